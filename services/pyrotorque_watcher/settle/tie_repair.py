"""After each restart of rTorrent: repairs ties to files that we have renamed, moved or deleted.

An item may come back with an old tie, from a session that was saved before the tie changed or that was restored from a
backup; `remove_untied` would erase it. An item whose owner removed the metafile keeps its tie, so that it is erased.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyrotorque.linux.filesystems import is_within
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import WatchSettings
from pyrotorque.text import counted
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.prepare import LoadJob
from pyrotorque_watcher.load.visibility import FileVisibility, mapped, unmapped
from pyrotorque_watcher.rows import TiedRow
from pyrotorque_watcher.settle.ties import TieChange, Ties

log = logging.getLogger(__name__)

_FIELDS: Final = ("d.hash=", "d.tied_to_file=")


@dataclass
class TieRepair:
    ledger: Ledger
    rtorrent: RTorrent
    ties: Ties
    files: FileVisibility
    jobs: Mapping[str, LoadJob]
    _repaired: str = ""
    """The incarnation of rTorrent that was repaired last."""

    def step(self, incarnation: str) -> None:
        """Repair the ties of this incarnation, once. Raises RTorrentError."""
        if incarnation == self._repaired:
            return
        changes: list[TieChange] = []
        for info_hash, tie in self.rtorrent.rows("main", _FIELDS):
            if tie and (change := self._repair(info_hash, os.fsencode(tie))) is not None:
                changes.append(change)
        done = self.ties.apply(changes)
        if changes:
            log.warning(
                "rTorrent was restarted with %s to metafiles that were moved or deleted since: repaired, %d saved",
                *(counted(len(changes), "tie"), sum(done)),
            )
        self._repaired = incarnation

    def _repair(self, info_hash: str, tie: bytes) -> TieChange | None:
        """The change for the item that is tied to `tie`; None if it needs none."""
        if self._hangs(tie) or self.files.exists(tie):
            return None
        for tied in self.ledger.tied_rows(info_hash):
            job = self.jobs.get(tied.row.job)
            if job is not None and not self._exists(tie, job.settings):
                return self._change(tied, job.settings, tie)
        return None

    def _hangs(self, tie: bytes) -> bool:
        """Whether it is in a root that is left out: whatever looks there waits."""
        left_out = self.ledger.left_out
        if not left_out:
            return False
        ours = {tie, *(unmapped(tie, job.settings.path_map) or tie for job in self.jobs.values())}
        return any(is_within(path, root) for path in ours for root in left_out)

    def _exists(self, tie: bytes, settings: WatchSettings) -> bool:
        """Whether rTorrent sees a file at `tie`, or must be assumed to."""
        found = self.files.exists(tie)
        if found is None:
            ours = unmapped(tie, settings.path_map)
            return ours is None or os.path.lexists(ours)
        return found

    def _change(self, tied: TiedRow, settings: WatchSettings, tie: bytes) -> TieChange | None:
        row = tied.row
        own = mapped(row.path, settings.path_map)
        if own != tie and os.path.lexists(row.path):
            return TieChange(row.load.info_hash, None, self.ties.target(row.path, settings))
        # 1.0.0 did not record which files it deleted.
        deleted = tied.disposed or (tied.gone and settings.on_loaded == "delete")
        return TieChange(row.load.info_hash, None, b"") if deleted and not os.path.lexists(row.path) else None
