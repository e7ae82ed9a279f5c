"""Recognizes items whose load is not complete: rTorrent may restore them after a crash without their load commands.

The watcher's ledger has a load as open from before it is sent until rTorrent has saved the item. Of these, an item with
the watcher's mark is complete, also if it is not saved yet. One without it is no business of queues and jobs: the
watcher erases it and loads it again, which it does not do once the item was started or changed.
"""

import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pyrotorque.errors import StateError
from pyrotorque.fleet_inbox import FOLDER
from pyrotorque.rtorrent import Call, RTorrent
from pyrotorque.store import read_rows_of_other, rows_of_other
from pyrotorque.text import printable

log = logging.getLogger(__name__)

MARK: Final = "pyrotorque"
"""The custom value of an item that names the metafile it was loaded for; a load sets it last."""

MARK_FIELD: Final = f"custom_{MARK}"

# `others` are further torrents of one metafile. A load that failed is not completed: its item stays as it is.
_IS_OPEN: Final = "absence != '' AND state != 'failed'"
_ONE: Final = (
    f"SELECT 1 FROM metafiles WHERE info_hash = ? AND {_IS_OPEN}"
    f" UNION ALL SELECT 1 FROM metafiles WHERE others > '' AND {_IS_OPEN} AND instr(others, ?)"
)
_ALL: Final = f"SELECT info_hash, others FROM metafiles WHERE {_IS_OPEN}"


def mark_of(info_hash: str) -> Call:
    """The call for the mark of an item: empty for one without."""
    return "d.custom", (info_hash, MARK)


_HELD: Final = "info_hash = ? AND hold = 1 AND gone = 0 AND state IN ('sent', 'visible', 'loaded')"
_ONE_HELD: Final = f"SELECT 1 FROM metafiles WHERE {_HELD}"
_ALL_HELD: Final = f"SELECT info_hash FROM metafiles WHERE {_HELD.replace('info_hash = ? AND ', '')}"


_REPORT_EVERY: Final = 600.0  # seconds


@dataclass(slots=True)
class OpenLoads:
    """Reads the watcher's ledger; without one, no load is open, and nothing is held for the fleet.

    While it cannot be read, each item may be held: it could start in two groups.
    """

    ledger: Path
    _reported_at: float = field(default=float("-inf"), repr=False, compare=False)

    @classmethod
    def below(cls, state_dir: Path) -> "OpenLoads":
        """Those of the watcher with this state folder."""
        return cls(state_dir / "watcher.sqlite3")

    def has(self, info_hash: str) -> bool:
        """Whether the load of this item is open."""
        return bool(rows_of_other(self.ledger, _ONE, info_hash, info_hash))

    def up_to(self, limit: int) -> list[str]:
        """The info-hashes of all loads that are open; none if there are more than `limit`."""
        rows = rows_of_other(self.ledger, f"{_ALL} LIMIT ?", limit + 1)
        hashes = [info_hash for first, others in rows for info_hash in (first, *others.split())]
        return hashes if len(hashes) <= limit else []

    def is_held(self, info_hash: str) -> bool:
        """Whether the item waits for the permission of the fleet, or may: nothing starts it before."""
        rows = self._held(_ONE_HELD, info_hash)
        return rows is None or bool(rows)

    def _held(self, query: str, *values: object) -> list[tuple[Any, ...]] | None:
        """The rows of held items; None while they cannot be read."""
        if not os.path.isdir(self.ledger.parent / FOLDER) or not os.path.lexists(self.ledger):
            return []
        try:
            return read_rows_of_other(self.ledger, query, *values)
        except StateError as error:
            if time.monotonic() - self._reported_at > _REPORT_EVERY:
                self._reported_at = time.monotonic()
                log.warning("no item is started or changed, because each may wait for the fleet: %s", error)
            return None

    def require_known(self, info_hash: str) -> None:
        """Raise StateError while it is unknown whether the item waits for the fleet: nothing repeats a run for its
        event, which must not count as one that had nothing to do."""
        if self._held(_ONE_HELD, info_hash) is None:
            raise StateError(f"the item may wait for the fleet, because {printable(str(self.ledger))} cannot be read")

    def incomplete(self, hashes: Iterable[str], rtorrent: RTorrent) -> set[str]:
        """Those of these items whose load is open and that are without a mark now, or that wait for the permission of
        the fleet, or may. Raises RTorrentError."""
        hashes = set(hashes)
        rows = self._held(_ALL_HELD)
        if rows is None:
            return hashes
        held = {info_hash for (info_hash,) in rows}
        return self._without_mark(hashes, rtorrent) | (held & hashes)

    def _without_mark(self, hashes: set[str], rtorrent: RTorrent) -> set[str]:
        rows = rows_of_other(self.ledger, _ALL)
        candidates = sorted({h for first, others in rows for h in (first, *others.split())}.intersection(hashes))
        marks = rtorrent.multicall([mark_of(info_hash) for info_hash in candidates])
        return {info_hash for info_hash, mark in zip(candidates, marks, strict=True) if mark == ""}
