"""The ledger: one row for each metafile in the watched trees, with what became of it; the watcher's own database."""

from collections.abc import Container, Iterable
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from pyrotorque.text import printable
from pyrotorque_watcher.file_ledger import FileLedger
from pyrotorque_watcher.rows import (
    PUBLISHED,
    ROW_COLUMNS,
    LoadRecord,
    LoadRefused,
    Row,
    State,
    TiedRow,
    Todo,
    row_of,
)

_URGENT = 64  # urgent rows at a time
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


class Ledger(FileLedger):
    """Rows and the operations of the load and settle stages on them, beside those on files."""

    # -- load

    def rows(self, state: State, now: float, limit: int) -> list[Row]:
        """The first rows in this state that are due, in the order they were seen."""
        due = f"state = ? AND next_try <= ?{self._answers}"
        query = f"SELECT {ROW_COLUMNS} FROM metafiles WHERE {due} ORDER BY turn LIMIT ?"
        return [row_of(row) for row in self._db.execute(query, (state, now, limit))]

    def rows_to_load(self, now: float, limit: int) -> list[Row]:
        """Rows to load that are due: urgent ones, then in turn the one seen last and the one seen first. So a new file
        does not wait behind thousands of others, and these do not wait for an end of new ones, however few of them a
        step gets to."""
        urgent = self._urgent_rows(now, min(_URGENT, limit // 2))
        turns = {row.turn for row in urgent}
        return urgent + [row for row in self._rows_in_turn(now, limit - len(urgent)) if row.turn not in turns]

    def _urgent_rows(self, now: float, limit: int) -> list[Row]:
        query = (
            f"SELECT {ROW_COLUMNS} FROM metafiles WHERE turn = ? AND state = 'seen' AND next_try <= ?{self._answers}"
        )
        turns = [self._urgent.pop() for _ in range(min(limit, len(self._urgent)))]
        found = [self._db.execute(query, (turn, now)).fetchone() for turn in turns]
        return [row_of(row) for row in found if row is not None]

    def _rows_in_turn(self, now: float, limit: int) -> list[Row]:
        first = self.rows("seen", now, limit + 1)
        if len(first) <= limit:
            return first
        query = (
            f"SELECT {ROW_COLUMNS} FROM metafiles WHERE state = 'seen' AND next_try <= ?{self._answers}"
            " ORDER BY turn DESC LIMIT ?"
        )
        oldest = first[: limit - limit // 2]
        newest = [row_of(row) for row in self._db.execute(query, (now, limit // 2))]
        pairs = zip_longest((row for row in newest if row.turn > oldest[-1].turn), oldest)
        return [row for pair in pairs for row in pair if row is not None]

    def next_try(self, state: State) -> float | None:
        """When the first of the rows in this state is due."""
        query = f"SELECT min(next_try) FROM metafiles WHERE state = ?{self._answers}"
        (first,) = self._db.execute(query, (state,)).fetchone()
        return None if first is None else float(first)

    def record_loads(self, rows: Iterable[Row], now: float) -> list[Row]:
        """These are sent to rTorrent next; if that fails, they are looked up a second later. Records what each is sent
        as, and that rTorrent does not have its items.

        Returns those to send: a file that was written again meanwhile is not. The tie of one that was renamed follows.
        """
        change = (
            f"{_LOAD}, absence = ?, state = 'sent', next_try = ?, changed = ?,"
            " todo = iif(path = ?, todo, iif(todo LIKE '%loaded', 'retie_loaded', 'retie'))"
        )

        def record(row: Row) -> bool:
            values = (*_columns(row.load), _absence(row), now + _NEXT_CHECK, now, row.path, row.turn, row.token)
            return self._db.execute(f"UPDATE metafiles SET {change} {_THIS_ROW}", values).rowcount == 1

        return [row for row in rows if record(row)]

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
            f"UPDATE metafiles SET {_LOAD}, state = 'visible', incarnation = ?, next_try = ?,"
            f" {PUBLISHED} = iif(hold = 1, 0, 1), reason = '', kind = '', changed = ? {_THIS_ROW}",
            [(*_columns(row.load), incarnation, now + _NEXT_CHECK, now, row.turn, row.token) for row in rows],
        )

    def mark_unchanged(self, row: Row, incarnation: str, now: float) -> None:
        """The item that was loaded from this file before is there: nothing was loaded. It may not be saved yet."""
        change = (
            f"{_LOAD}, state = 'visible', incarnation = ?, next_try = ?, {PUBLISHED} = 1, reason = '', kind = '',"
            " absence = ''"
        )
        self._update(row, change, (*_columns(row.load), incarnation, now), now)

    def mark_duplicate(self, row: Row, reason: str, now: float, where: str, *, keeps_file: bool = False) -> None:
        """The rTorrent with the incarnation `where`, or another group (`IN_FLEET`), has this torrent, loaded from
        another file: the tie of that item must not change."""
        load = msgspec.structs.replace(row.load, tied=False)
        change = (
            f"{_LOAD}, state = 'duplicate', kind = 'duplicate', reason = ?, broken = '', absence = '', todo = ?,"
            " incarnation = ?"
        )
        self._update(row, change, (*_columns(load), reason, "" if keeps_file else "loaded", where), now)

    def load_lost_duplicate(self, row: Row, now: float) -> None:
        """rTorrent has the item of this duplicate no more: it is loaded as a new one."""
        self._update(row, "state = 'seen', kind = '', reason = '', next_try = 0, todo = ''", (), now)

    def mark_failed(self, row: Row, refused: LoadRefused, now: float) -> None:
        """It is not loaded until it changes or a retry is requested. An item that it left may be replaced then."""
        kind, todo = refused.kind, "failed" if refused.is_bad_content else "failed_kept"
        broken = row.token if kind == "rpc" else ""
        # Only a load that got no answer may have left an item that is not marked.
        absence = _absence(row) if kind == "timeout" else ""
        change = f"{_LOAD}, state = 'failed', kind = ?, reason = ?, broken = ?, absence = ?, todo = ?"
        self._update(row, change, (*_columns(row.load), kind, refused.reason, broken, absence, todo), now)

    def remove(self, row: Row) -> bool:
        """The file is gone; False if it has another path now, by an event since the row was read."""
        values = (row.turn, row.token, row.path)
        return self._db.execute(f"DELETE FROM metafiles {_THIS_ROW} AND path = ?", values).rowcount == 1

    def retryable(self) -> list[tuple[int, bytes]]:
        """The turns and paths of the metafiles that `retry` loads again."""
        return self._db.execute("SELECT turn, path FROM metafiles WHERE state IN ('failed', 'baseline')").fetchall()

    def failed_by_settings(self, job: str) -> list[FailedFile]:
        """Metafiles that are there and failed because of a command, a template or a watch.ini."""
        rows = self._db.execute(
            "SELECT turn, path, root, reason, changed FROM metafiles WHERE state = 'failed'"
            f" AND kind IN ('template', 'rpc') AND gone = 0 AND job = ?{self._answers}",
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

    def forget(self, turns: Iterable[int], now: float) -> int:
        """These failed metafiles are baseline: known, not loaded before they change; how many there were."""
        change = "state = 'baseline', todo = '', next_try = 0, changed = ?"
        query = f"UPDATE metafiles SET {change} WHERE state = 'failed' AND turn = ?"
        return sum(self._db.execute(query, (now, turn)).rowcount for turn in turns)

    def failed(self) -> list[tuple[int, bytes]]:
        """The turns and paths of the metafiles that failed."""
        return self._db.execute("SELECT turn, path FROM metafiles WHERE state = 'failed' AND gone = 0").fetchall()

    def listed(self, state: str, after: int, limit: int, *, newest: bool) -> list[dict[str, object]]:
        """A page of the rows of files that are there, as plain values."""
        columns = "turn, path, state, job, info_hash, name, kind, reason, first_seen, changed, size"
        place, order = ("turn < ? OR ? = 0", "DESC") if newest else ("turn > ? OR ? = 0", "ASC")
        query = f"SELECT {columns} FROM metafiles WHERE gone = 0 AND ? IN ('', state) AND ({place})"
        rows = self._db.execute(f"{query} ORDER BY turn {order} LIMIT ?", (state, after, after, limit))
        found: list[dict[str, object]] = []
        for row in rows:
            values: dict[str, Any] = dict(zip(columns.split(", "), row, strict=True))
            shown: dict[str, object] = {name: printable(values[name]) for name in ("path", "name", "reason")}
            found.append(values | shown)
        return found

    def wake_all(self) -> None:
        """Whatever waits (for a writer, an active job, the end of a dry run) is due now."""
        self._db.execute("UPDATE metafiles SET next_try = 0 WHERE state IN ('seen', 'sent', 'visible')")

    # -- settle

    def mark_loaded(self, rows: Iterable[Row], now: float, dispose: Container[int] = ()) -> None:
        """Their items are in rTorrent's session; the files of those whose turn is in `dispose` are disposed of next."""
        self._db.executemany(
            f"UPDATE metafiles SET state = 'loaded', changed = ?, absence = '', todo = CASE WHEN NOT ? THEN todo"
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

    def seen_after_restart(self, row: Row, incarnation: str) -> None:
        """Another rTorrent process has the item of this duplicate."""
        self._update(row, "incarnation = ?", (incarnation,), row.progress.changed)

    def todo(self, limit: int) -> list[tuple[Todo, Row]]:
        """What is still to be done about files, oldest first."""
        query = (
            # Version 1.0.0 recorded that it disposes of all that failed.
            "SELECT iif(todo = 'failed' AND kind != 'invalid', 'failed_kept', todo),"
            f" {ROW_COLUMNS} FROM metafiles WHERE todo != '' AND state IN"
            f" ('visible', 'loaded', 'duplicate', 'failed', 'placed'){self._answers} ORDER BY turn LIMIT ?"
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


def _absence(row: Row) -> str:
    return "" if row.absence is None else msgspec.json.encode(row.absence).decode()
