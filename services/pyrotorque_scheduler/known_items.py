"""The table of the items that rTorrent had at the last comparison, and of those that are absent since its restart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Final, TypeAlias

from pyrotorque.store import Store
from pyrotorque.text import printable

Row: TypeAlias = tuple[str, ...]

# Which stored items.
ALL: Final = "1"
COMPLETE: Final = "complete = 1"
INCOMPLETE: Final = "complete = 0"
# Thousands of items are compared in parts, so that they do not fill the memory.
PART: Final = 500


class KnownItems:
    """Info-hash, name and completeness of each item; writes join the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def count(self, which: str) -> int:
        return int(self._store.db.execute(f"SELECT count(*) FROM known_items WHERE {which}").fetchone()[0])

    def among(self, rows: Sequence[Row], which: str) -> set[str]:
        """The info-hashes of these rows that are stored."""
        places = ",".join("?" * len(rows))
        query = f"SELECT info_hash FROM known_items WHERE {which} AND info_hash IN ({places})"
        return {info_hash for (info_hash,) in self._store.db.execute(query, [row[0] for row in rows])}

    def without(self, hashes: Set[str], which: str) -> dict[str, str]:
        """The names of the other stored items by info-hash."""
        stored = self._store.db.execute(f"SELECT info_hash, name FROM known_items WHERE {which} ORDER BY info_hash")
        return {info_hash: name for info_hash, name in stored if info_hash not in hashes}

    def insert(self, items: Iterable[tuple[str, str, bool]]) -> int:
        """Store items (info-hash, name, completeness); how many they are."""
        rows = [(info_hash, printable(name), int(complete)) for info_hash, name, complete in items]
        if rows:
            with self._store.transaction() as db:
                db.executemany("INSERT OR REPLACE INTO known_items VALUES (?, ?, ?)", rows)
        return len(rows)

    def without_metadata(self) -> set[str]:
        """The incomplete items that were stored as magnet links, which rTorrent names by their info-hash."""
        query = f"SELECT info_hash FROM known_items WHERE {INCOMPLETE} AND name = info_hash || '.meta'"
        return {info_hash for (info_hash,) in self._store.db.execute(query)}

    def rename(self, names: Mapping[str, str]) -> None:
        """Store other names, by info-hash."""
        rows = [(printable(name), info_hash) for info_hash, name in names.items()]
        with self._store.transaction() as db:
            db.executemany("UPDATE known_items SET name = ? WHERE info_hash = ?", rows)

    def complete(self, info_hash: str) -> None:
        self._store.db.execute("UPDATE known_items SET complete = 1 WHERE info_hash = ?", (info_hash,))

    def delete(self, hashes: Iterable[str]) -> None:
        with self._store.transaction() as db:
            db.executemany("DELETE FROM known_items WHERE info_hash = ?", [(info_hash,) for info_hash in hashes])

    def clear(self) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM known_items")
            db.execute("DELETE FROM absent_items")

    # -- absent items

    def set_absent(self, hashes: Iterable[str]) -> None:
        """Keep these items apart until rTorrent has them again, or their session files are gone."""
        with self._store.transaction() as db:
            moved = [(info_hash,) for info_hash in hashes]
            query = "INSERT OR REPLACE INTO absent_items SELECT * FROM known_items WHERE info_hash = ?"
            db.executemany(query, moved)
            db.executemany("DELETE FROM known_items WHERE info_hash = ?", moved)

    def absent(self) -> dict[str, str]:
        """The names of the absent items by info-hash."""
        return dict(self._store.db.execute("SELECT info_hash, name FROM absent_items"))

    def set_present(self, hashes: Iterable[str]) -> None:
        """rTorrent has these absent items again."""
        with self._store.transaction() as db:
            moved = [(info_hash,) for info_hash in hashes]
            query = "INSERT OR REPLACE INTO known_items SELECT * FROM absent_items WHERE info_hash = ?"
            db.executemany(query, moved)
            db.executemany("DELETE FROM absent_items WHERE info_hash = ?", moved)

    def delete_absent(self, hashes: Iterable[str]) -> None:
        with self._store.transaction() as db:
            db.executemany("DELETE FROM absent_items WHERE info_hash = ?", [(info_hash,) for info_hash in hashes])

    # -- the time of the last comparison

    def compared_at(self) -> float:
        """When all items were last compared, also before a restart; infinite before the very first comparison."""
        found = self._store.db.execute("SELECT at FROM compared").fetchone()
        return float(found[0]) if found else float("inf")

    def set_compared(self, now: float) -> None:
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO compared (one, at, partial) VALUES (1, ?, 1)", (now,))

    def has_partial(self) -> bool:
        """Whether partial items were compared before: those of an earlier version are stored without an event."""
        return self._store.db.execute("SELECT 1 FROM compared WHERE partial = 1").fetchone() is not None


def parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists that are short enough for one statement of SQLite."""
    remaining = iter(rows)
    while part := list(islice(remaining, PART)):
        yield part
