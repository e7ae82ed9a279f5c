"""The truth about metafiles: one row for each, what became of it, in the watcher's own file."""

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import msgspec

from pyrotorque.linux.filesystems import is_within
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque_watcher.scan.files import Found, is_metafile
from pyrotorque_watcher.scan.reconcile import Known, State

_KNOWN = "path, size, mtime_ns, ctime_ns, device, inode, state, kind, gone != 0, info_hash"
_ROW = (
    "turn, job, path, root, size, mtime_ns, device, inode, info_hash, name, state, mode, attempts, kind, reason,"
    " first_seen, changed, closed, next_try, token, incarnation, settled, broken, told, tied, others, was"
)
_YEAR = 366 * 86400.0
_RETRY = (
    "UPDATE metafiles SET state = 'seen', attempts = 0, next_try = 0, kind = '', reason = '', gone = 0, told = 0,"
    " todo = '', closed = ?, changed = ? WHERE state IN ('failed', 'baseline')"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """How a file was seen: when its writer closed it (Unix seconds), and whether that is known or only likely."""

    closed: float
    settled: bool = True
    state: State = "seen"
    reason: str = ""


class Row(msgspec.Struct, frozen=True):
    """A metafile on its way into rTorrent."""

    turn: int
    job: str
    path: bytes
    root: bytes
    size: int
    mtime_ns: int
    device: int
    inode: int
    info_hash: str
    name: str
    state: State
    mode: str
    attempts: int
    kind: str
    reason: str
    first_seen: float
    changed: float
    closed: float
    next_try: float
    token: str
    incarnation: str
    settled: int
    broken: str
    told: int
    tied: int
    others: str
    was: str


class Ledger:
    """Rows and their changes; each method joins the caller's transaction or commits by itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db
        (last,) = self._db.execute("SELECT max(turn) FROM metafiles").fetchone()
        self._turn = int(last or 0)

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._store.transaction()

    # -- roots

    def roots(self, job: str) -> dict[bytes, tuple[int, bool]]:
        """Each root the job ever had, since when it is watched (ns), and whether all of it was listed once."""
        rows = self._db.execute("SELECT path, since_ns, complete FROM roots WHERE job = ?", (job,))
        return {path: (since, bool(complete)) for path, since, complete in rows}

    def knows_roots(self) -> bool:
        """Whether any job ever had a root: false only for a first start or a lost state."""
        return self._db.execute("SELECT 1 FROM roots LIMIT 1").fetchone() is not None

    def add_root(self, job: str, path: bytes, since_ns: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO roots (job, path, since_ns) VALUES (?, ?, ?)", (job, path, since_ns))

    def complete_root(self, job: str, path: bytes) -> None:
        self._db.execute("UPDATE roots SET complete = 1 WHERE job = ? AND path = ?", (job, path))

    # -- what reconciling asks

    def known(self, job: str, path: bytes) -> Known | None:
        query = f"SELECT {_KNOWN} FROM metafiles WHERE job = ? AND path = ?"
        row = self._db.execute(query, (job, path)).fetchone()
        return None if row is None else Known(*row)

    def known_in(self, job: str, folder: bytes) -> dict[bytes, Known]:
        """The rows of the files directly in `folder`, by path."""
        query = f"SELECT {_KNOWN} FROM metafiles WHERE job = ? AND folder = ?"
        return {row[0]: Known(*row) for row in self._db.execute(query, (job, folder))}

    def same_file(self, job: str, found: Found) -> Known | None:
        """A row under another path that is this very file, by its inode or its name; one whose file is gone from there
        is preferred. The device says nothing: it changes with each mount."""
        same = f"SELECT {_KNOWN} FROM metafiles WHERE mtime_ns = ? AND size = ? AND job = ? AND path != ?"
        of = (found.mtime_ns, found.size, job, found.path)
        rows = self._db.execute(
            f"{same} AND inode = ? UNION {same} AND substr(path, length(folder) + 2) = ? ORDER BY 9 DESC LIMIT 1",
            (*of, found.inode, *of, found.path.rpartition(b"/")[2]),
        )
        row = rows.fetchone()
        return None if row is None else Known(*row)

    def same_content(self, row: Row, info_hash: str) -> list[Known]:
        """Rows under other paths that were the same metafile, by its hash, its size and when it was written."""
        query = (
            f"SELECT {_KNOWN} FROM metafiles WHERE info_hash = ? AND size = ? AND mtime_ns = ?"
            " AND job = ? AND path != ? AND state IN ('visible', 'loaded', 'duplicate')"
        )
        rows = self._db.execute(query, (info_hash, row.size, row.mtime_ns, row.job, row.path))
        return [Known(*found) for found in rows]

    def folders(self, job: str) -> list[bytes]:
        """Every folder that a known file is in."""
        return [folder for (folder,) in self._db.execute("SELECT DISTINCT folder FROM metafiles WHERE job = ?", (job,))]

    # -- what reconciling records

    def see(self, job: str, root: bytes, found: Found, now: float, seen: Seen) -> None:
        """A file to load (or to leave: `baseline`, `duplicate`); whatever was known about its path is over."""
        self._turn += 1
        token = secrets.token_hex(4)
        folder = found.path.rpartition(b"/")[0]
        where = (self._turn, job, found.path, folder, root, found.size, found.mtime_ns, found.ctime_ns)
        self._db.execute(
            "INSERT OR REPLACE INTO metafiles (turn, job, path, folder, root, size, mtime_ns, ctime_ns, device, inode,"
            " state, reason, first_seen, changed, closed, settled, token, broken, was)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " coalesce((SELECT broken FROM metafiles WHERE job = ? AND path = ?), ''),"
            " coalesce((SELECT iif(info_hash = '', was, info_hash) FROM metafiles WHERE job = ? AND path = ?), ''))",
            (
                *(*where, found.device, found.inode, seen.state, seen.reason, now, now, seen.closed, seen.settled),
                *(token, job, found.path, job, found.path),
            ),
        )

    def move(self, job: str, origin: bytes, root: bytes, found: Found, *, retie: bool = True) -> None:
        """The file known as `origin` is `found` now; what became of it stays true, but for the tie of its item."""
        self._db.execute("DELETE FROM metafiles WHERE job = ? AND path = ?", (job, found.path))
        self._db.execute(
            "UPDATE metafiles SET path = ?, folder = ?, root = ?, ctime_ns = ?, device = ?, inode = ?, gone = 0,"
            " todo = CASE WHEN ? AND (tied = 1 AND state IN ('visible', 'loaded') OR state = 'sent') THEN 'retie'"
            " ELSE todo END WHERE job = ? AND path = ?",
            (
                *(found.path, found.path.rpartition(b"/")[0], root, found.ctime_ns),
                *(found.device, found.inode, retie, job, origin),
            ),
        )

    def back(self, job: str, path: bytes) -> None:
        self._db.execute("UPDATE metafiles SET gone = 0 WHERE job = ? AND path = ?", (job, path))

    def gone(self, job: str, paths: Iterable[bytes], now: float) -> None:
        """These files are not there any more; what they became is remembered in case they come back."""
        self._db.executemany(
            "UPDATE metafiles SET gone = ? WHERE job = ? AND path = ? AND gone = 0",
            [(now, job, path) for path in paths],
        )

    def forget_old(self, now: float) -> None:
        """Rows whose files are gone for more than a year."""
        self._db.execute("DELETE FROM metafiles WHERE gone != 0 AND gone < ?", (now - _YEAR,))

    # -- what loading asks and records

    def rows(self, state: State, now: float, limit: int) -> list[Row]:
        """The first rows in this state, in the order they were seen, whose time for a try has come."""
        query = f"SELECT {_ROW} FROM metafiles WHERE state = ? AND next_try <= ? ORDER BY turn LIMIT ?"
        return [Row(*row) for row in self._db.execute(query, (state, now, limit))]

    def next_try(self, state: State) -> float | None:
        """When the first of the rows in this state is to be tried."""
        (first,) = self._db.execute("SELECT min(next_try) FROM metafiles WHERE state = ?", (state,)).fetchone()
        return None if first is None else float(first)

    def set(self, row: Row, now: float, **columns: object) -> None:
        """Change columns of a row, if it still is the one that was read (a new write of the file makes it another)."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(
            f"UPDATE metafiles SET {names}, changed = ? WHERE turn = ? AND token = ?",
            (*columns.values(), now, row.turn, row.token),
        )

    def seen_in_rtorrent(self, rows: Iterable[Row], incarnation: str, now: float) -> None:
        """Their items are visible in this rTorrent; a second later somebody looks whether they are saved."""
        self._db.executemany(
            "UPDATE metafiles SET state = 'visible', info_hash = ?, others = ?, name = ?, mode = ?, tied = ?,"
            " attempts = max(1, ?), incarnation = ?, next_try = ?, told = 1, reason = '', kind = '', changed = ?"
            " WHERE turn = ? AND token = ?",
            [
                (
                    *(row.info_hash, row.others, row.name, row.mode, row.tied, row.attempts, incarnation, now + 1.0),
                    *(now, row.turn, row.token),
                )
                for row in rows
            ],
        )

    def all_loaded(self, rows: Iterable[Row], now: float) -> None:
        """Their items are written down: the end of their way."""
        self._db.executemany(
            "UPDATE metafiles SET state = 'loaded', changed = ? WHERE turn = ? AND token = ?",
            [(now, row.turn, row.token) for row in rows],
        )

    def drop(self, row: Row) -> None:
        self._db.execute("DELETE FROM metafiles WHERE turn = ? AND token = ?", (row.turn, row.token))

    def claim(self, rows: Iterable[Row], now: float) -> None:
        """These are sent now. Should it not come to that, somebody looks for them a second later."""
        self._db.executemany(
            "UPDATE metafiles SET state = 'sent', attempts = attempts + 1, next_try = ?, changed = ?"
            " WHERE turn = ? AND token = ?",
            [(now + 1.0, now, row.turn, row.token) for row in rows],
        )

    def todo(self, limit: int) -> list[tuple[str, Row]]:
        """What is to be done about files after their load, oldest first."""
        query = (
            f"SELECT todo, {_ROW} FROM metafiles WHERE todo != '' AND state IN"
            " ('visible', 'loaded', 'duplicate', 'failed') ORDER BY turn LIMIT ?"
        )
        return [(what, Row(*row)) for what, *row in self._db.execute(query, (limit,))]

    def retry(self, paths: Iterable[str] | None, now: float) -> int:
        """Failed and baseline metafiles are to be loaded again: all of them, or those that one of `paths` names or is a
        folder of; how many there were."""
        if paths is None:
            return self._db.execute(_RETRY, (now, now)).rowcount
        rows = self._db.execute("SELECT turn, path FROM metafiles WHERE state IN ('failed', 'baseline')").fetchall()
        return self._retry(_named(rows, list(paths)), now)

    def retry_templates(self, job: str, folder: bytes, now: float) -> int:
        """Metafiles for which a watch.ini in `folder` holds, and that failed at one or at a template, are to be loaded
        again, unless they were put away; how many there were."""
        rows = self._db.execute(
            "SELECT turn, path, root FROM metafiles WHERE state = 'failed' AND kind = 'template' AND gone = 0"
            " AND job = ?",
            (job,),
        ).fetchall()
        below = [(turn, path) for turn, path, root in rows if is_within(folder, root) and is_within(path, folder)]
        return self._retry([turn for turn, path in below if is_metafile(path)], now)

    def _retry(self, turns: Iterable[int], now: float) -> int:
        return sum(self._db.execute(f"{_RETRY} AND turn = ?", (now, now, turn)).rowcount for turn in turns)

    def wake_all(self) -> None:
        """What waited for something (a writer, an active job, the end of a dry run) is tried at once."""
        self._db.execute("UPDATE metafiles SET next_try = 0 WHERE state IN ('seen', 'sent', 'visible')")

    def counts(self) -> dict[str, int]:
        """How many rows are in each state, files that are gone left out."""
        rows = self._db.execute("SELECT state, count(*) FROM metafiles WHERE gone = 0 GROUP BY state")
        return dict(rows.fetchall())

    def oldest_pending(self) -> float | None:
        """When the oldest file that is on its way was seen."""
        (oldest,) = self._db.execute("SELECT min(first_seen) FROM metafiles WHERE state IN ('seen', 'sent')").fetchone()
        return None if oldest is None else float(oldest)


def _named(rows: Sequence[tuple[int, bytes]], paths: Sequence[str]) -> list[int]:
    """Of `rows`, those that people mean by `paths`: as they are, as they are shown, or by way of links to folders."""
    raw = [os.fsencode(path) for path in paths]
    turns = [turn for turn, path in rows if printable(path) in paths or any(is_within(path, each) for each in raw)]
    if turns:
        return turns
    real = [os.path.realpath(each) for each in raw]
    return [turn for turn, path in rows if any(is_within(os.path.realpath(path), each) for each in real)]


def all_rows(db: sqlite3.Connection) -> Iterator[Row]:
    """Every row of an open file, in the order the metafiles were seen."""
    for row in db.execute(f"SELECT {_ROW} FROM metafiles ORDER BY turn"):
        yield Row(*row)
