"""Detects items that have all wanted data, and erased ones, also after a downtime, by comparing with the store."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Final, TypeAlias

from pyrotorque.errors import RTorrentFault
from pyrotorque.events import TorrentCompleted, TorrentErased
from pyrotorque.rtorrent import RTorrent
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque_scheduler.event_routing import EventRouter

log = logging.getLogger(__name__)

Row: TypeAlias = tuple[str, ...]

_VIEW: Final = "main"
_STATES: Final = ("d.hash=", "d.name=", "d.complete=", "d.is_partially_done=", "d.completed_chunks=")
_PARTIAL_FILTER: Final = "d.is_partially_done="
_INCOMPLETE_FILTER: Final = "not=$d.complete="
# Which stored items.
_ALL: Final = "1"
_COMPLETE: Final = "complete = 1"
_INCOMPLETE: Final = "complete = 0"
# Thousands of items are compared in parts, so that they do not fill the memory.
_PART: Final = 500
# Compare all items even if the counts are equal: one item may have replaced another.
_COMPARE_ALL_EVERY: Final = 300.0
# The same for incomplete items; these are compared at once when rTorrent counts more or fewer than before.
_COMPARE_INCOMPLETE_EVERY: Final = 60.0
# An owner does not erase so many items at once: this is another rTorrent, or one that is still loading its session.
MASS_ERASURE: Final = 20
# rTorrent stores the time of completion in whole seconds, from a clock that it reads once per iteration of its loop.
_FINISHED_PRECISION: Final = 2.0


class CompletionDetector:
    """Publishes TorrentCompleted and TorrentErased once each; the very first comparison only stores the items."""

    def __init__(self, store: Store, router: EventRouter, rtorrent: RTorrent) -> None:
        self._store = store
        self._router = router
        self._rtorrent = rtorrent
        self._sizes: Sequence[object] = ()
        self._partial_items: frozenset[str] = frozenset()
        self._incomplete_compared_at = float("-inf")
        self._all_compared_at = float("-inf")

    def detect(self, now: float) -> None:
        """Store the events of what changed since the last call: one cheap call to rTorrent if nothing did.

        Raises RTorrentError.
        """
        # Read before the items: the next call detects what changes in between.
        sizes = self._rtorrent.multicall([("view.size", ("", view)) for view in (_VIEW, "incomplete")])
        partial = self._partial(sizes[1])
        is_changed = sizes != self._sizes or partial != self._partial_items
        if is_changed or not 0 <= now - self._incomplete_compared_at < _COMPARE_INCOMPLETE_EVERY:
            self._compare_incomplete(now)
            self._sizes, self._partial_items, self._incomplete_compared_at = sizes, partial, now
        if sizes[0] != self._count(_ALL) or not 0 <= now - self._all_compared_at < _COMPARE_ALL_EVERY:
            self._compare_all(now)
            self._all_compared_at = now

    def _partial(self, size: object) -> frozenset[str]:
        """The incomplete items of which all that is wanted is there: rTorrent has no event for these."""
        if not isinstance(size, int) or not self._rtorrent.known("d.multicall.filtered"):
            return frozenset()
        return frozenset(row[0] for row in self._rtorrent.scan_rows("incomplete", ("d.hash=",), where=_PARTIAL_FILTER))

    def _compare_incomplete(self, now: float) -> None:
        where = _INCOMPLETE_FILTER if self._rtorrent.known("d.multicall.filtered") else ""
        rows = [row for row in self._rtorrent.scan_rows(_VIEW, _STATES, where=where) if row[2] != "1"]
        done = {row[0]: row[1] for row in rows if _is_wanted_done(row)}
        stored, found = self._count(_INCOMPLETE), 0
        for part in _parts(row for row in rows if row[0] not in done):
            known = self._known(part, _INCOMPLETE)
            found += len(known)
            new = {h: name for h, name, *_ in part if h not in known}
            checked = self._checked(new) if new else frozenset()
            self._insert((h, name, False) for h, name in new.items() if h not in checked)
        finished = self._insert_partial(done)
        if found == stored and not finished:
            return
        missing = self._stored_without({row[0] for row in rows if row[0] not in done}, _INCOMPLETE)
        if not self._knows_partial():
            self._insert((h, name, True) for h, name in missing.items() if h in done)
        gone = {h: name for h, name in missing.items() if h not in done}
        answers = self._rtorrent.multicall([("d.complete", (info_hash,)) for info_hash in gone])
        completed = {h: gone[h] for h, a in zip(gone, answers, strict=True) if a == 1}
        completed |= {h: name for h, name in missing.items() if h in done and self._knows_partial()}
        erased = {h: gone[h] for h, a in zip(gone, answers, strict=True) if isinstance(a, RTorrentFault)}
        self._publish(completed, erased, now)

    def _checked(self, names: Mapping[str, str]) -> frozenset[str]:
        """The items that are stored as complete and whose data rTorrent checks now: they may still be complete."""
        complete = [h for part in _parts((h,) for h in names) for h in self._known(part, _COMPLETE)]
        answers = self._rtorrent.multicall([("d.hashing", (info_hash,)) for info_hash in complete])
        return frozenset(h for h, answer in zip(complete, answers, strict=True) if answer not in (0, "0"))

    def _insert_partial(self, done: Mapping[str, str]) -> bool:
        """Store the partial items that are not stored yet; whether one of them was downloaded since the last look."""
        unknown = {
            h: done[h] for part in _parts((h,) for h in done) for h in {h for (h,) in part} - self._known(part, _ALL)
        }
        answers = self._rtorrent.multicall([("d.down.total", (info_hash,)) for info_hash in unknown])
        is_first = not self._knows_partial()
        finished = {h for h, answer in zip(unknown, answers, strict=True) if not is_first and answer not in (0, "0")}
        self._insert((h, name, h not in finished) for h, name in unknown.items())
        return bool(finished)

    def _knows_partial(self) -> bool:
        """Whether partial items were compared before: those of an earlier version are stored without an event."""
        return self._store.db.execute("SELECT 1 FROM compared WHERE partial = 1").fetchone() is not None

    def _compare_all(self, now: float) -> None:
        rows = self._rtorrent.scan_rows(_VIEW, ("d.hash=", "d.name=", "d.complete=", "d.timestamp.finished="))
        # An item that was added and completed between two comparisons: only its time of completion shows that.
        since = self._compared_at() - _FINISHED_PRECISION
        stored, found = self._count(_ALL), 0
        completed: dict[str, str] = {}
        for part in _parts(rows):
            known = self._known(part, _ALL)
            found += len(known)
            new = [row for row in part if row[0] not in known]
            finished = {h: name for h, name, complete, at in new if complete == "1" and float(at or 0) >= since}
            # Incomplete ones are stored by the other comparison, which reads what is wanted of them.
            self._insert((h, name, True) for h, name, complete, _ in new if complete == "1" and h not in finished)
            completed |= finished
        erased = self._stored_without({row[0] for row in rows}, _ALL) if found < stored else {}
        is_mass_erasure = len(erased) > max(MASS_ERASURE, stored // 2)
        # A completed item is stored as complete with its event only: the process may be killed in between.
        self._insert((h, name, is_mass_erasure) for h, name in completed.items())
        if is_mass_erasure:
            log.warning(
                "%d of %d items disappeared at once: storing rTorrent's items without publishing events",
                len(erased),
                stored,
            )
            self._delete(erased)
        else:
            self._publish(completed, erased, now)
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO compared (one, at, partial) VALUES (1, ?, 1)", (now,))

    def _count(self, which: str) -> int:
        return int(self._store.db.execute(f"SELECT count(*) FROM known_items WHERE {which}").fetchone()[0])

    def _known(self, rows: Sequence[Row], which: str) -> set[str]:
        """The info-hashes of these rows that are stored."""
        places = ",".join("?" * len(rows))
        query = f"SELECT info_hash FROM known_items WHERE {which} AND info_hash IN ({places})"
        return {info_hash for (info_hash,) in self._store.db.execute(query, [row[0] for row in rows])}

    def _stored_without(self, hashes: Set[str], which: str) -> dict[str, str]:
        """The names of the other stored items by info-hash."""
        stored = self._store.db.execute(f"SELECT info_hash, name FROM known_items WHERE {which} ORDER BY info_hash")
        return {info_hash: name for info_hash, name in stored if info_hash not in hashes}

    def _compared_at(self) -> float:
        """When all items were last compared, also before a restart; infinite before the very first comparison."""
        found = self._store.db.execute("SELECT at FROM compared").fetchone()
        return float(found[0]) if found else float("inf")

    def _insert(self, items: Iterable[tuple[str, str, bool]]) -> None:
        rows = [(info_hash, printable(name), int(complete)) for info_hash, name, complete in items]
        if rows:
            with self._store.transaction() as db:
                db.executemany("INSERT OR REPLACE INTO known_items VALUES (?, ?, ?)", rows)

    def _delete(self, erased: Iterable[str]) -> None:
        with self._store.transaction() as db:
            db.executemany("DELETE FROM known_items WHERE info_hash = ?", [(info_hash,) for info_hash in erased])

    def _publish(self, completed: Mapping[str, str], erased: Mapping[str, str], now: float) -> None:
        """Store the events of these items, given as names by info-hash."""
        if not completed and not erased:
            return
        with self._store.transaction() as db:
            for info_hash, name in completed.items():
                self._router.add(TorrentCompleted(at=now, info_hash=info_hash, name=printable(name)))
                db.execute("UPDATE known_items SET complete = 1 WHERE info_hash = ?", (info_hash,))
            for info_hash, name in erased.items():
                self._router.add(TorrentErased(at=now, info_hash=info_hash, name=printable(name)))
            self._delete(erased)
        for info_hash, name in completed.items():
            log.info("completed: %s (%s)", printable(name), info_hash)


def _is_wanted_done(row: Row) -> bool:
    """Whether all that is wanted of the item is there, and anything at all."""
    return row[2] == "1" or (row[3] == "1" and row[4] != "0")


def _parts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists that are short enough for one statement of SQLite."""
    remaining = iter(rows)
    while part := list(islice(remaining, _PART)):
        yield part
