"""The ledger's part for the fleet: what is offered, and what came through the inbox."""

from collections.abc import Iterable
from typing import Any

from pyrotorque.fleet_inbox import FleetHold
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.rows import PUBLISHED, ROW_COLUMNS, Row, row_of

WAITS = "waits for the fleet"
_THIS_ROW = "WHERE turn = ? AND token = ?"


class FleetRows:
    """Operations on rows; each joins the caller's transaction or commits by itself."""

    def __init__(self, ledger: Ledger) -> None:
        self._db = ledger.store.db

    # -- offers

    def mark_offered(self, row: Row, info_hash: str, name: str, now: float) -> None:
        """Its tree belongs to the fleet: the fleet process offers it."""
        self._db.execute(
            "UPDATE metafiles SET info_hash = ?, others = '', name = ?, state = 'offered', kind = '', reason = ?,"
            f" absence = '', changed = ? {_THIS_ROW}",
            (info_hash, name, WAITS, now, row.turn, row.token),
        )

    def offered(self, turn: int, token: str) -> Row | None:
        """The row of this offer, if it still is one."""
        return self._one("state = 'offered' AND turn = ? AND token = ?", turn, token)

    def mark_placed(self, row: Row, reason: str, now: float, *, keeps_file: bool) -> None:
        """A group of the fleet has it; its file is disposed of as the settings say, or stays."""
        self._db.execute(
            f"UPDATE metafiles SET state = 'placed', reason = ?, changed = ?, todo = ? {_THIS_ROW}",
            (reason, now, "" if keeps_file else "loaded", row.turn, row.token),
        )

    def look_again(self, job: str) -> None:
        """The settings of the job changed: its offers may be local now."""
        self._db.execute(
            "UPDATE metafiles SET state = 'seen', next_try = 0 WHERE state = 'offered' AND job = ?", (job,)
        )

    # -- the inbox

    def permit(self, info_hash: str, now: float) -> str:
        """Permit the item of the inbox; its state in the ledger, empty if there is no such row."""
        row = self._db.execute(
            "SELECT turn, state FROM metafiles WHERE info_hash = ? AND hold != 0 AND gone = 0"
            " ORDER BY turn DESC LIMIT 1",
            (info_hash,),
        ).fetchone()
        if row is None:
            return ""
        self._db.execute(
            "UPDATE metafiles SET hold = ?, changed = ? WHERE turn = ? AND hold = ?",
            (int(FleetHold.PERMITTED), now, row[0], int(FleetHold.HELD)),
        )
        return str(row[1])

    def permitted(self, limit: int) -> list[Row]:
        """Rows whose items are there and are to be released."""
        return self._rows("hold = 2 AND state IN ('visible', 'loaded')", limit)

    def held(self, info_hash: str) -> list[Row]:
        """The rows of the inbox for this item that are not permitted."""
        return self._rows("hold = 1 AND (info_hash = ? OR instr(path, ?))", 10, info_hash, info_hash.encode())

    def mark_published(self, rows: Iterable[Row]) -> None:
        """Their items have their priority; their load is published."""
        for row in rows:
            self._db.execute(
                f"UPDATE metafiles SET mode = ?, {PUBLISHED} = 1 {_THIS_ROW}", (row.load.mode, row.turn, row.token)
            )

    def mark_released(self, rows: Iterable[Row]) -> None:
        """That is saved in rTorrent's session."""
        for row in rows:
            self._db.execute(
                f"UPDATE metafiles SET hold = ? {_THIS_ROW}", (int(FleetHold.RELEASED), row.turn, row.token)
            )

    def _one(self, where: str, *values: object) -> Row | None:
        found = self._db.execute(f"SELECT {ROW_COLUMNS} FROM metafiles WHERE {where}", values).fetchone()
        return None if found is None else row_of(found)

    def _rows(self, where: str, limit: int, *values: object) -> list[Row]:
        query = f"SELECT {ROW_COLUMNS} FROM metafiles WHERE {where} ORDER BY turn LIMIT ?"
        found: list[tuple[Any, ...]] = self._db.execute(query, (*values, limit)).fetchall()
        return [row_of(row) for row in found]
