"""The ledger: one row for each metafile in the watched trees, with what became of it; the watcher's own database."""

import secrets
import sqlite3
from collections.abc import Callable, Container, Iterable
from contextlib import AbstractContextManager
from typing import NamedTuple

import msgspec

from pyrotorque.events import LoadFailure
from pyrotorque.linux.filesystems import is_within
from pyrotorque.store import Store
from pyrotorque_watcher.rows import (
    KNOWN_COLUMNS,
    PUBLISHED,
    ROW_COLUMNS,
    FoundFile,
    KnownFile,
    LoadRecord,
    Row,
    Sighting,
    State,
    TiedRow,
    Todo,
    row_of,
)

_YEAR = 366 * 86400.0
_NEXT_CHECK = 1.0  # seconds after which a row that was sent or became visible is checked
_RETRY = (
    "UPDATE metafiles SET state = 'seen', attempts = 0, next_try = 0, kind = '', reason = '', gone = 0,"
    f" {PUBLISHED} = 0,"
    " todo = '', closed = ?, changed = ? WHERE state IN ('failed', 'baseline')"
)
# A file that was written again has another turn and token: an operation on its old row changes nothing.
_THIS_ROW = "WHERE turn = ? AND token = ?"
_LOAD = "info_hash = ?, others = ?, name = ?, mode = ?, tied = ?, attempts = max(1, ?)"


class FailedFile(NamedTuple):
    """A metafile that failed: its turn, path and root, why, and when."""

    turn: int
    path: bytes
    root: bytes
    reason: str
    at: float


class Ledger:
    """Rows and the operations on them; each joins the caller's transaction or commits by itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db
        (last,) = self._db.execute("SELECT max(turn) FROM metafiles").fetchone()
        self._turn = int(last or 0)

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._store.transaction()

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

    # -- scan: what is known about files

    def known(self, job: str, path: bytes) -> KnownFile | None:
        query = f"SELECT {KNOWN_COLUMNS} FROM metafiles WHERE job = ? AND path = ?"
        row = self._db.execute(query, (job, path)).fetchone()
        return None if row is None else KnownFile(*row)

    def known_in(self, job: str, folder: bytes) -> dict[bytes, KnownFile]:
        """The files directly in `folder`, by path."""
        query = f"SELECT {KNOWN_COLUMNS} FROM metafiles WHERE job = ? AND folder = ?"
        return {row[0]: KnownFile(*row) for row in self._db.execute(query, (job, folder))}

    def same_file(self, job: str, found: FoundFile) -> KnownFile | None:
        """The same file under another path, by its inode or its name; preferably one that is gone from there. The
        device number is no evidence: it changes with each mount."""
        same = f"SELECT {KNOWN_COLUMNS} FROM metafiles WHERE mtime_ns = ? AND size = ? AND job = ? AND path != ?"
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
            " AND job = ? AND path != ? AND state IN ('visible', 'loaded', 'duplicate')"
        )
        rows = self._db.execute(query, (info_hash, *row.file.version, row.job, row.path))
        return [KnownFile(*found) for found in rows]

    def folders(self, job: str) -> list[bytes]:
        """Every folder that a known file is in."""
        return [folder for (folder,) in self._db.execute("SELECT DISTINCT folder FROM metafiles WHERE job = ?", (job,))]

    # -- scan: what was found

    def add(self, job: str, root: bytes, found: FoundFile, now: float, sighting: Sighting) -> None:
        """Record a file that is to be loaded (or left: `baseline`, `duplicate`). It replaces the row of its path, and
        keeps of that row only which item was loaded from this path before."""
        self._turn += 1
        token = secrets.token_hex(4)
        folder = found.path.rpartition(b"/")[0]
        where = (self._turn, job, found.path, folder, root, found.size, found.mtime_ns, found.ctime_ns)
        how = (sighting.state, sighting.reason, now, now, sighting.closed, sighting.settled, sighting.next_try)
        self._db.execute(
            "INSERT OR REPLACE INTO metafiles (turn, job, path, folder, root, size, mtime_ns, ctime_ns, device, inode,"
            " state, reason, first_seen, changed, closed, settled, next_try, token, broken, was)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " coalesce((SELECT broken FROM metafiles WHERE job = ? AND path = ?), ''),"
            " coalesce((SELECT iif(info_hash = '', was, info_hash) FROM metafiles WHERE job = ? AND path = ?), ''))",
            (*where, found.device, found.inode, *how, token, job, found.path, job, found.path),
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

    def forget_old(self, now: float) -> None:
        """Remove the rows of files that are gone for more than a year."""
        self._db.execute("DELETE FROM metafiles WHERE gone != 0 AND gone < ?", (now - _YEAR,))

    # -- load

    def rows(self, state: State, now: float, limit: int) -> list[Row]:
        """The first rows in this state that are due, in the order they were seen."""
        query = f"SELECT {ROW_COLUMNS} FROM metafiles WHERE state = ? AND next_try <= ? ORDER BY turn LIMIT ?"
        return [row_of(row) for row in self._db.execute(query, (state, now, limit))]

    def rows_to_load(self, now: float, limit: int) -> list[Row]:
        """Rows to load that are due: half of them those seen last, then those seen first. So a new file does not wait
        behind thousands of others, and these do not wait for an end of new ones."""
        first = self.rows("seen", now, limit + 1)
        if len(first) <= limit:
            return first
        query = f"SELECT {ROW_COLUMNS} FROM metafiles WHERE state = 'seen' AND next_try <= ? ORDER BY turn DESC LIMIT ?"
        oldest = first[: limit - limit // 2]
        last = [row_of(row) for row in self._db.execute(query, (now, limit // 2))]
        return [*(row for row in reversed(last) if row.turn > oldest[-1].turn), *oldest]

    def next_try(self, state: State) -> float | None:
        """When the first of the rows in this state is due."""
        (first,) = self._db.execute("SELECT min(next_try) FROM metafiles WHERE state = ?", (state,)).fetchone()
        return None if first is None else float(first)

    def mark_sent(self, rows: Iterable[Row], now: float) -> None:
        """These are sent to rTorrent next. If that fails, they are looked up a second later."""
        self._db.executemany(
            f"UPDATE metafiles SET state = 'sent', attempts = attempts + 1, next_try = ?, changed = ? {_THIS_ROW}",
            [(now + _NEXT_CHECK, now, row.turn, row.token) for row in rows],
        )

    def await_visible(self, row: Row, next_check: float, now: float) -> None:
        """It was sent to rTorrent, which does not show the item yet."""
        self._update(row, f"{_LOAD}, state = 'sent', next_try = ?", (*_columns(row.load), next_check), now)

    def postpone(self, row: Row, until: float, reason: str, now: float, *, attempts: int = 0) -> None:
        """It is not sent before `until`."""
        change = "state = 'seen', next_try = ?, reason = ?, attempts = ?"
        self._update(row, change, (until, reason, attempts), now)

    def send_again(self, row: Row, now: float) -> None:
        """rTorrent has no item of it: it is sent again."""
        self._update(row, "state = 'seen', next_try = 0", (), now)

    def mark_visible(self, rows: Iterable[Row], incarnation: str, now: float) -> None:
        """This rTorrent shows their items; a second later it is checked whether its session has them."""
        self._db.executemany(
            f"UPDATE metafiles SET {_LOAD}, state = 'visible', incarnation = ?, next_try = ?, {PUBLISHED} = 1,"
            f" reason = '', kind = '', changed = ? {_THIS_ROW}",
            [(*_columns(row.load), incarnation, now + _NEXT_CHECK, now, row.turn, row.token) for row in rows],
        )

    def mark_unchanged(self, row: Row, now: float) -> None:
        """The item that was loaded from this file before is still there: nothing was loaded."""
        change = f"{_LOAD}, state = 'loaded', {PUBLISHED} = 1, reason = '', kind = '', todo = 'loaded'"
        self._update(row, change, _columns(row.load), now)

    def mark_duplicate(self, row: Row, reason: str, now: float) -> None:
        """rTorrent has this torrent, loaded from another file: the tie of that item must not change."""
        load = msgspec.structs.replace(row.load, tied=False)
        change = f"{_LOAD}, state = 'duplicate', kind = 'duplicate', reason = ?, broken = '', todo = 'loaded'"
        self._update(row, change, (*_columns(load), reason), now)

    def mark_failed(self, row: Row, kind: LoadFailure, reason: str, now: float) -> None:
        """It is not loaded until it changes or a retry is requested. An item that it left may be replaced then."""
        broken = row.token if kind == "rpc" else ""
        change = f"{_LOAD}, state = 'failed', kind = ?, reason = ?, broken = ?, todo = 'failed'"
        self._update(row, change, (*_columns(row.load), kind, reason, broken), now)

    def remove(self, row: Row) -> None:
        self._db.execute(f"DELETE FROM metafiles {_THIS_ROW}", (row.turn, row.token))

    def retryable(self) -> list[tuple[int, bytes]]:
        """The turns and paths of the metafiles that `retry` loads again."""
        return self._db.execute("SELECT turn, path FROM metafiles WHERE state IN ('failed', 'baseline')").fetchall()

    def failed_by_settings(self, job: str) -> list[FailedFile]:
        """Metafiles that are there and failed because of a command, a template or a watch.ini."""
        rows = self._db.execute(
            "SELECT turn, path, root, reason, changed FROM metafiles WHERE state = 'failed'"
            " AND kind IN ('template', 'rpc') AND gone = 0 AND job = ?",
            (job,),
        )
        return [FailedFile(*row) for row in rows]

    def replace_settings(self, job: str, digest: str) -> bool:
        """Record the settings of a job; whether it had others before."""
        before = self._db.execute("SELECT digest FROM job_settings WHERE job = ?", (job,)).fetchone()
        self._db.execute("INSERT OR REPLACE INTO job_settings (job, digest) VALUES (?, ?)", (job, digest))
        return before is not None and before[0] != digest

    def failed_by_the_kernel(self) -> list[tuple[int, bytes]]:
        """The turns and paths of metafiles that version 1.0.0 gave up because they could not be read."""
        query = "SELECT turn, path FROM metafiles WHERE state = 'failed' AND kind = 'io' AND gone = 0"
        return self._db.execute(query).fetchall()

    def retry(self, turns: Iterable[int], now: float) -> int:
        """Load these failed and baseline metafiles again; how many there were."""
        return sum(self._db.execute(f"{_RETRY} AND turn = ?", (now, now, turn)).rowcount for turn in turns)

    def retry_all(self, now: float) -> int:
        """Load all failed and baseline metafiles again; how many there were."""
        return self._db.execute(_RETRY, (now, now)).rowcount

    def wake_all(self) -> None:
        """Whatever waits (for a writer, an active job, the end of a dry run) is due now."""
        self._db.execute("UPDATE metafiles SET next_try = 0 WHERE state IN ('seen', 'sent', 'visible')")

    # -- settle

    def mark_loaded(self, rows: Iterable[Row], now: float, dispose: Container[int] = ()) -> None:
        """Their items are in rTorrent's session; the files of those whose turn is in `dispose` are disposed of next."""
        self._db.executemany(
            f"UPDATE metafiles SET state = 'loaded', changed = ?, todo = CASE WHEN NOT ? THEN todo"
            f" ELSE iif(todo LIKE 'retie%', 'retie_loaded', 'loaded') END {_THIS_ROW}",
            [(now, row.turn in dispose, row.turn, row.token) for row in rows],
        )

    def check_again(self, row: Row, at: float, reason: str = "") -> None:
        """Its item is not in the session yet; since when it is visible does not change."""
        change, values = ("next_try = ?, reason = ?", (at, reason)) if reason else ("next_try = ?", (at,))
        self._update(row, change, values, row.progress.changed)

    def found_after_restart(self, row: Row, incarnation: str, next_check: float, now: float) -> None:
        """Another rTorrent process shows its item."""
        self._update(row, "incarnation = ?, next_try = ?", (incarnation, next_check), now)

    def todo(self, limit: int) -> list[tuple[Todo, Row]]:
        """What is still to be done about files, oldest first."""
        query = (
            f"SELECT todo, {ROW_COLUMNS} FROM metafiles WHERE todo != '' AND state IN"
            " ('visible', 'loaded', 'duplicate', 'failed') ORDER BY turn LIMIT ?"
        )
        return [(todo, row_of(row)) for todo, *row in self._db.execute(query, (limit,))]

    def mark_done(self, todo: Todo, row: Row) -> None:
        """This is done; what follows it is still to be done."""
        self._update(row, "todo = ?", ("loaded" if todo == "retie_loaded" else "",), row.progress.changed)

    def mark_disposing(self, rows: Iterable[Row]) -> None:
        """These files are removed from their paths next."""
        self._db.executemany(f"UPDATE metafiles SET disposed = 1 {_THIS_ROW}", [(row.turn, row.token) for row in rows])

    def tied_rows(self, info_hash: str) -> list[TiedRow]:
        """The rows whose load made this item."""
        query = (
            f"SELECT gone, disposed, {ROW_COLUMNS} FROM metafiles WHERE info_hash = ?"
            " AND state IN ('visible', 'loaded') ORDER BY turn DESC"
        )
        return [TiedRow(row_of(row), gone, bool(mine)) for gone, mine, *row in self._db.execute(query, (info_hash,))]

    # -- totals

    def counts(self) -> dict[str, int]:
        """How many rows are in each state, without files that are gone."""
        rows = self._db.execute("SELECT state, count(*) FROM metafiles WHERE gone = 0 GROUP BY state")
        return dict(rows.fetchall())

    def oldest_pending(self) -> float | None:
        """When the oldest metafile that is not loaded yet was seen."""
        (oldest,) = self._db.execute("SELECT min(first_seen) FROM metafiles WHERE state IN ('seen', 'sent')").fetchone()
        return None if oldest is None else float(oldest)

    def _update(self, row: Row, change: str, values: tuple[object, ...], changed: float) -> None:
        self._db.execute(
            f"UPDATE metafiles SET {change}, changed = ? {_THIS_ROW}", (*values, changed, row.turn, row.token)
        )


def _columns(load: LoadRecord) -> tuple[object, ...]:
    return load.info_hash, " ".join(load.others), load.name, load.mode, load.tied, load.attempts
