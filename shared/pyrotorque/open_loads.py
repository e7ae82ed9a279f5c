"""Recognizes items whose load is not complete: rTorrent may restore them after a crash without their load commands.

The watcher's ledger has a load as open from before it is sent until rTorrent has saved the item. Of these, an item with
the watcher's mark is complete, also if it is not saved yet. One without it is no business of queues and jobs: the
watcher erases it and loads it again, which it does not do once the item was started or changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.rtorrent import Call, RTorrent
from pyrotorque.store import rows_of_other

MARK: Final = "pyrotorque"
"""The custom value of an item that names the metafile it was loaded for; a load sets it last."""

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


@dataclass(frozen=True, slots=True)
class OpenLoads:
    """Reads the watcher's ledger; without one, no load is open."""

    ledger: Path

    @classmethod
    def below(cls, state_dir: Path) -> "OpenLoads":
        """Those of the watcher with this state folder."""
        return cls(state_dir / "watcher.sqlite3")

    def has(self, info_hash: str) -> bool:
        """Whether the load of this item is open."""
        return bool(rows_of_other(self.ledger, _ONE, info_hash, info_hash))

    def incomplete(self, hashes: Iterable[str], rtorrent: RTorrent) -> set[str]:
        """Those of these items whose load is open and that are without a mark now. Raises RTorrentError."""
        rows = rows_of_other(self.ledger, _ALL)
        candidates = sorted({h for first, others in rows for h in (first, *others.split())}.intersection(hashes))
        marks = rtorrent.multicall([mark_of(info_hash) for info_hash in candidates])
        return {info_hash for info_hash, mark in zip(candidates, marks, strict=True) if mark == ""}
