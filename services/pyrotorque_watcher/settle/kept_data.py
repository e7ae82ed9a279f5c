"""Keeps metafiles that are data of an item: disposing of one would remove data that rTorrent serves."""

import logging
from dataclasses import dataclass, field
from typing import Protocol

from pyrotorque import logs
from pyrotorque.settings.schema import Disposal, WatchSettings
from pyrotorque.text import printable
from pyrotorque_watcher.load.visibility import mapped
from pyrotorque_watcher.rows import Row

log = logging.getLogger(__name__)


class DataHolder(Protocol):
    """Whose data a file is that was `seen` at its place (Unix seconds)."""

    def __call__(self, theirs: bytes, /, *, seen: float) -> str: ...


def _of_no_item(_: bytes, /, *, seen: float) -> str:
    del seen
    return ""


@dataclass
class KeptData:
    """Whether a metafile is data of an item; reports it once for each job."""

    holder: DataHolder = _of_no_item
    """The name of an item with the file at this path of rTorrent's as its data; empty if there is none."""
    _reported: set[str] = field(default_factory=set[str])
    """The jobs for which it was reported."""

    def has(self, row: Row, settings: WatchSettings, how: Disposal) -> bool:
        """Whether an item has the file, which then stays."""
        name = self.holder(mapped(row.path, settings.path_map), seen=row.arrival.first_seen)
        if not name:
            return False
        text = (
            f"{row.job}: {printable(row.path)} stays where it is: it is data of the item {name}, so {how} does "
            "not apply; keep rTorrent's download folder and the watched folders apart"
        )
        if row.job in self._reported:
            log.info("%s", text)
        else:
            self._reported.add(row.job)
            log.warning("%s", text)
            logs.owner_event("metafile kept", text, subject=row.job)
        return True
