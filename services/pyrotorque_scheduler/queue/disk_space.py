"""Room on disks: what running items still need, and items that rTorrent closed for want of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pyrotorque.customfields import worker_of
from pyrotorque.items import Item, ItemReader, Reader, read_items
from pyrotorque.linux.filesystems import disk_space
from pyrotorque_scheduler.queue.model import Candidate
from pyrotorque_scheduler.queue.rules import DISK_FIELDS, QueueRules

_ROOT: Final = Path("/")
_LOOK_EVERY: Final = 60.0
_FIRST_WAIT: Final = 60.0
_LAST_WAIT: Final = 3600.0


def as_candidate(item: Item) -> Candidate:
    """An item as the rule sees it; its disk only where that was asked for."""
    info_hash, name, loaded = str(item["hash"]), str(item["name"]), float(item["loaded"] or 0)
    try:
        need, told, directory = _number(item["d_left_bytes"]), _number(item["d_free_diskspace"]), str(item["directory"])
    except KeyError:
        return Candidate(info_hash, name, loaded)
    disk, free = disk_of(directory)
    # rTorrent knows the free space of open items only, and says 0 of others; what we cannot know holds nothing back.
    return Candidate(info_hash, name, loaded, need, free if disk else told or None, disk)


def promised_of(rtorrent: Reader, rules: QueueRules, now: float) -> dict[int, int]:
    """What running items of any job still need, by disk."""
    promised: dict[int, int] = {}
    for item in read_items(rtorrent, "main", rules.running, DISK_FIELDS, now):
        disk, _ = disk_of(str(item["directory"]))
        promised[disk] = promised.get(disk, 0) + _number(item["d_left_bytes"])
    return promised


def disk_of(directory: str) -> tuple[int, int]:
    """A number for the filesystem that holds (or will hold) `directory`, and its free bytes.

    (0, 0) where nothing but the root of such a path is here: rTorrent then lives on another machine or in a container.
    """
    space = disk_space(directory)
    if space is None or (space.folder == _ROOT and Path(directory) != _ROOT):
        return 0, 0
    return space.device, space.free


class LowDiskItems:
    """Items that rTorrent's low-disk schedule closed come back when there is room, each time after a longer wait."""

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._waits: dict[str, tuple[float, float]] = {}

    def due(self, rtorrent: Reader, rules: QueueRules, now: float) -> list[Item]:
        """Those that may be tried again; at most one look in a minute."""
        if 0 <= now - self._looked < _LOOK_EVERY:
            return []
        self._looked = now
        fields = rules.fields | rules.startable.fields | DISK_FIELDS
        reader = ItemReader(rtorrent, worker_of(rules.table))
        found = reader.read(rules.settings.view, rules.closed_for_room, fields, now, table=rules.table)
        return [
            item for item in found if rules.startable.matches(_as_before(item, rules), now) and self._is_due(item, now)
        ]

    def came_back(self, info_hash: str, now: float) -> None:
        """It was started again: should rTorrent close it soon once more, it waits twice as long."""
        if info_hash in self._waits:
            _, wait = self._waits[info_hash]
            self._waits[info_hash] = (now + wait, min(wait * 2, _LAST_WAIT))

    def _is_due(self, item: Item, now: float) -> bool:
        until, _ = self._waits.setdefault(str(item["hash"]), (0.0, _FIRST_WAIT))
        return until <= now


def _as_before(item: Item, rules: QueueRules) -> Mapping[str, Any]:
    """An item as it was before it began and rTorrent closed it: that is how `startable` is to judge it."""
    values: dict[str, Any] = {name: item[name] for name in rules.startable.fields}
    return values | {"message": "", "done": 0.0}


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else int(str(value) or 0)
