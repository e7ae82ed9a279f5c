"""The ledger's part for the scan stage: the roots, and what is known about the file at each path."""

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from pyrotorque.fleet_inbox import FleetHold
from pyrotorque.linux.filesystems import is_within
from pyrotorque.store import Store
from pyrotorque_watcher.rows import KNOWN_COLUMNS, FoundFile, KnownFile, Row, Sighting

_YEAR = 366 * 86400.0
_GONE_KEPT = 100_000  # newest rows of files that are gone, which no clock makes old
_URGENT_MAX = 1000  # of which some may wait
_PART = 1000  # rows read at a time: a few milliseconds


class FileLedger:
    """Files and their operations; each joins the caller's transaction or commits by itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db
        (last,) = self._db.execute("SELECT max(turn) FROM metafiles").fetchone()
        self._turn = int(last or 0)
        self.configured_folders = _Folders(self._db)
        """Those whose watch.ini had settings when it was read last."""
        self.inboxes: frozenset[bytes] = frozenset()
        """The roots of metafiles of the fleet: what is loaded from them is held."""
        self.left_out: frozenset[bytes] = frozenset()
        """The roots whose filesystem does not answer: nothing is done about their files."""
        self._urgent: deque[int] = deque(maxlen=_URGENT_MAX)
        """The turns of the newest files of a burst: others that are older may be recorded after them."""

    @property
    def store(self) -> Store:
        return self._store

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._store.transaction()

    @contextmanager
    def urgent(self) -> Generator[None]:
        """What is added meanwhile is loaded before all others."""
        before = self._turn
        yield
        self._urgent.extend(range(before + 1, self._turn + 1))

    @property
    def _answers(self) -> str:
        """A condition for rows whose root is not left out."""
        return "".join(f" AND root != x'{root.hex()}'" for root in sorted(self.left_out))

    # -- roots

    def roots(self, job: str) -> dict[bytes, tuple[int, bool]]:
        """Each root the job ever had, since when it is watched (ns), and whether it was completely listed once."""
        rows = self._db.execute("SELECT path, since_ns, complete FROM roots WHERE job = ?", (job,))
        return {path: (since, bool(complete)) for path, since, complete in rows}

    def knows_roots(self) -> bool:
        """Whether any job ever had a root: false only at the first start, or when the state was lost."""
        return self._db.execute("SELECT 1 FROM roots LIMIT 1").fetchone() is not None

    def add_root(self, job: str, path: bytes, since_ns: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO roots (job, path, since_ns) VALUES (?, ?, ?)", (job, path, since_ns))

    def restore_baseline(self, seen_before_ns: int) -> None:
        """This ledger is older than the last one, which knew what is older than this: what is unknown here, and not
        newer, may have been loaded and erased since. It is baseline at the next walk."""
        self._db.execute("UPDATE roots SET complete = 0, since_ns = max(since_ns, ?)", (seen_before_ns,))

    def complete_root(self, job: str, path: bytes) -> None:
        self._db.execute("UPDATE roots SET complete = 1 WHERE job = ? AND path = ?", (job, path))

    def hand_over(self, owner: Callable[[bytes], tuple[str, bytes] | None]) -> int:
        """Give each file to the job and root that its folder belongs to now; how many had others."""
        count = 0
        for job, root, folder in self._db.execute("SELECT DISTINCT job, root, folder FROM metafiles").fetchall():
            found = owner(folder)
            if found is not None and found != (job, root) and is_within(folder, found[1]):
                count += self._db.execute(
                    "UPDATE OR IGNORE metafiles SET job = ?, root = ? WHERE job = ? AND root = ? AND folder = ?",
                    (*found, job, root, folder),
                ).rowcount
        return count

    # -- what is known

    def known(self, job: str, path: bytes) -> KnownFile | None:
        query = f"SELECT {KNOWN_COLUMNS} FROM metafiles WHERE job = ? AND path = ?"
        row = self._db.execute(query, (job, path)).fetchone()
        return None if row is None else KnownFile(*row)

    def known_in(self, job: str, folder: bytes) -> dict[bytes, KnownFile]:
        """The files directly in `folder`, by path."""
        return {known.path: known for part in self.known_parts(job, folder) for known in part}

    def known_parts(self, job: str, folder: bytes) -> Iterator[list[KnownFile]]:
        """The files directly in `folder`, some at a time; the ledger may change in between."""
        query = (
            f"SELECT turn, {KNOWN_COLUMNS} FROM metafiles WHERE job = ? AND folder = ? AND turn > ?"
            " ORDER BY turn LIMIT ?"
        )
        last = 0
        while rows := self._db.execute(query, (job, folder, last, _PART)).fetchall():
            last = rows[-1][0]
            yield [KnownFile(*row[1:]) for row in rows]

    def same_file(self, job: str, found: FoundFile) -> KnownFile | None:
        """The same file under another path, by its inode or its name; preferably one that is gone from there. The
        device number is no evidence: it changes with each mount."""
        of_file = f"mtime_ns = ? AND size = ? AND job = ? AND path != ?{self._answers}"
        same = f"SELECT {KNOWN_COLUMNS} FROM metafiles WHERE {of_file}"
        of = (found.mtime_ns, found.size, job, found.path)
        rows = self._db.execute(
            f"{same} AND inode = ? UNION {same} AND substr(path, length(folder) + 2) = ? ORDER BY 9 DESC LIMIT 1",
            (*of, found.inode, *of, found.path.rpartition(b"/")[2]),
        )
        row = rows.fetchone()
        return None if row is None else KnownFile(*row)

    def same_content(self, row: Row, info_hash: str) -> list[KnownFile]:
        """Files under other paths that were loaded as the same metafile, with the same size and modification time."""
        query = (
            f"SELECT {KNOWN_COLUMNS} FROM metafiles WHERE info_hash = ? AND size = ? AND mtime_ns = ?"
            f" AND job = ? AND path != ? AND state IN ('visible', 'loaded', 'duplicate'){self._answers}"
        )
        rows = self._db.execute(query, (info_hash, *row.file.version, row.job, row.path))
        return [KnownFile(*found) for found in rows]

    def folders(self, job: str) -> list[bytes]:
        """Every folder that a known file is in."""
        return [folder for (folder,) in self._db.execute("SELECT DISTINCT folder FROM metafiles WHERE job = ?", (job,))]

    # -- what was found

    def add(self, job: str, root: bytes, found: FoundFile, now: float, sighting: Sighting) -> None:
        """Record a file that is to be loaded (or left: `baseline`, `duplicate`). It replaces the row of its path, and
        keeps of that row only which item was loaded from this path before."""
        self._turn += 1
        token = os.urandom(4).hex()
        folder = found.path.rpartition(b"/")[0]
        where = (self._turn, job, found.path, folder, root, found.size, found.mtime_ns, found.ctime_ns)
        hold = int(FleetHold.HELD if root in self.inboxes else FleetHold.LOCAL)
        how = (sighting.state, sighting.reason, now, now, sighting.closed, sighting.settled, sighting.next_try)
        self._db.execute(
            "INSERT OR REPLACE INTO metafiles (turn, job, path, folder, root, size, mtime_ns, ctime_ns, device, inode,"
            " state, reason, first_seen, changed, closed, settled, next_try, token, hold, broken, was)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " coalesce((SELECT broken FROM metafiles WHERE job = ? AND path = ?), ''),"
            " coalesce((SELECT iif(info_hash = '', was, info_hash) FROM metafiles WHERE job = ? AND path = ?), ''))",
            (*where, found.device, found.inode, *how, token, hold, job, found.path, job, found.path),
        )

    def move(self, job: str, origin: bytes, root: bytes, found: FoundFile, *, retie: bool = True) -> None:
        """The file at `origin` is at `found.path` now; `retie` requests that the tie of its item follows."""
        self._db.execute("DELETE FROM metafiles WHERE job = ? AND path = ?", (job, found.path))
        self._db.execute(
            "UPDATE metafiles SET path = ?, folder = ?, root = ?, ctime_ns = ?, device = ?, inode = ?, gone = 0,"
            " disposed = 0, todo = CASE WHEN ? AND (tied = 1 AND state IN ('visible', 'loaded') OR state = 'sent')"
            " THEN iif(todo LIKE '%loaded', 'retie_loaded', 'retie') ELSE todo END WHERE job = ? AND path = ?",
            (
                *(found.path, found.path.rpartition(b"/")[0], root, found.ctime_ns),
                *(found.device, found.inode, retie, job, origin),
            ),
        )

    def mark_closed(self, job: str, path: bytes, closed: float) -> None:
        """An event reported that the writer of this file, which waits as it is, has closed it."""
        self._db.execute(
            "UPDATE metafiles SET settled = 1, closed = ?, next_try = 0 WHERE job = ? AND path = ?"
            " AND state IN ('seen', 'sent')",
            (closed, job, path),
        )

    def wake(self, job: str, path: bytes) -> None:
        """This file is read again now, if it waits."""
        self._db.execute("UPDATE metafiles SET next_try = 0 WHERE job = ? AND path = ? AND state = 'seen'", (job, path))

    def update_identity(self, job: str, found: FoundFile) -> None:
        """It is the same file, with other attributes or on another mount."""
        self._db.execute(
            "UPDATE metafiles SET ctime_ns = ?, device = ?, inode = ?, gone = 0 WHERE job = ? AND path = ?",
            (found.ctime_ns, found.device, found.inode, job, found.path),
        )

    def mark_present(self, job: str, path: bytes) -> None:
        """The file is at its path again."""
        self._db.execute("UPDATE metafiles SET gone = 0 WHERE job = ? AND path = ?", (job, path))

    def mark_gone(self, job: str, paths: Iterable[bytes], now: float) -> None:
        """These files are not at their paths; their rows are kept in case they come back."""
        self._db.executemany(
            "UPDATE metafiles SET gone = ? WHERE job = ? AND path = ? AND gone = 0",
            [(now, job, path) for path in paths],
        )

    def mark_folder_gone(self, job: str, folder: bytes, now: float) -> None:
        """This folder was moved away with everything in it."""
        self._db.execute(
            "UPDATE metafiles SET gone = ? WHERE job = ? AND gone = 0 AND (folder = ? OR (folder > ? AND folder < ?))",
            (now, job, folder, folder + b"/", folder + b"0"),  # `0` follows `/`
        )

    def forget_old(self, now: float, kept: int = _GONE_KEPT) -> None:
        """Remove the rows of files that are gone for more than a year, but for the newest `kept` of all that are gone.

        The system clock may be years ahead for a moment, or was years behind when they disappeared: what is forgotten
        is loaded again if its disk comes back, also if its item was erased.
        """
        self._db.execute(
            "DELETE FROM metafiles WHERE gone != 0 AND gone < ? AND turn <="
            " (SELECT turn FROM metafiles WHERE gone != 0 ORDER BY turn DESC LIMIT 1 OFFSET ?)",
            (now - _YEAR, kept),
        )


class _Folders(set[bytes]):
    """The rows of the table configured_folders; few, and changed with a watch.ini only."""

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__(path for (path,) in db.execute("SELECT path FROM configured_folders"))
        self._db = db

    def add(self, folder: bytes, /) -> None:
        if folder not in self:
            super().add(folder)
            self._db.execute("INSERT OR IGNORE INTO configured_folders VALUES (?)", (folder,))

    def discard(self, folder: object, /) -> None:
        if folder in self:
            super().discard(folder)
            self._db.execute("DELETE FROM configured_folders WHERE path = ?", (folder,))
