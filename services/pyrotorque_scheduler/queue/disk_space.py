"""Disk space: what running items still need, and the return of items that rTorrent closed by itself."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from pyrotorque.errors import RTorrentFault
from pyrotorque.fields.converters import bytes_left
from pyrotorque.fields.field import DETAILS, Rows
from pyrotorque.items import Item, ItemReader, Reader, is_fresh, read_items
from pyrotorque.open_loads import MARK_FIELD
from pyrotorque.room import room
from pyrotorque_scheduler.queue.model import Candidate
from pyrotorque_scheduler.queue.policy import DiskBudget
from pyrotorque_scheduler.queue.rules import CHECK_FAILED, DISK_FIELDS, LOW_DISK, QueueRules

_ROOT: Final = Path("/")
# Each costs a call: a queue of thousands of new items that do not fit must not block the loop.
_EXACT_MAX: Final = 100
_READ_EVERY: Final = 60.0
_FIRST_WAIT: Final = 60.0
_LAST_WAIT: Final = 3600.0
_OF_TRACKER: Final = "Tracker: ["

ClosedCause = Literal["low_disk", "check_failed"]


def as_candidate(item: Item) -> Candidate:
    """An item for the policy; with disk and free space only if DISK_FIELDS were read."""
    info_hash, name, loaded = str(item["hash"]), str(item["name"]), float(item["loaded"] or 0)
    marked = _is_marked(item)
    try:
        need, free_there = _left(item), _number(item["d_free_diskspace"])
        directory = str(item["directory"])
    except KeyError:
        return Candidate(info_hash, name, loaded, marked=marked)
    disk, free = disk_of(directory)
    # rTorrent returns the free space of open items only, and 0 for others; unknown space holds nothing back.
    return Candidate(info_hash, name, loaded, need, free if disk else free_there or None, disk, marked=marked)


def _is_marked(item: Item) -> bool:
    """Whether the mark of the watcher was read with the item, and is there."""
    try:
        return bool(item[MARK_FIELD])
    except KeyError:
        return False


def candidates(
    rtorrent: Reader, items: Sequence[Item], order: Iterable[int], disks: DiskBudget
) -> Iterator[tuple[int, Item, Candidate]]:
    """The items for the policy in this order, with their places.

    One that does not fit gets its exact need, if deselected files may not be counted yet: before rTorrent 0.9.8 has
    opened it for the first time.
    """
    exact = 0
    for place in order:
        item = items[place]
        candidate = as_candidate(item)
        if exact < _EXACT_MAX and disks.hold(candidate) is not None and is_fresh(item):
            exact += 1
            candidate = replace(candidate, need=_exact_need(rtorrent, item))
        yield place, item, candidate


def _exact_need(rtorrent: Reader, item: Item) -> int:
    method, commands = DETAILS["priorities"]
    (rows,) = rtorrent.multicall([(method, (item["hash"], "", *commands))])
    return _left(item) if isinstance(rows, RTorrentFault) else _left(item, rows)


def reserved_bytes(rtorrent: Reader, rules: QueueRules, now: float) -> dict[int, int]:
    """What the running items of all jobs still need, by disk."""
    reserved: dict[int, int] = {}
    for item in read_items(rtorrent, "main", rules.running, DISK_FIELDS, now):
        disk, _ = disk_of(str(item["directory"]))
        reserved[disk] = reserved.get(disk, 0) + _left(item)
    return reserved


def disk_of(directory: str) -> tuple[int, int]:
    """The device number of the filesystem that contains (or will contain) `directory`, and its free bytes.

    (0, 0) if only the root of the path exists here: rTorrent then runs on another machine or in a container.
    """
    space = room(directory)
    if space is None or (space.folder == _ROOT and Path(directory) != _ROOT):
        return 0, 0
    return space.device, space.free


class ClosedItems:
    """Items that rTorrent closed by itself are started again.

    One that was closed on a full disk waits longer each time; one whose data could not be checked, as after any start
    that failed. When it closes an item, rTorrent announces that to the trackers, and their answers replace its message:
    they say nothing about an item that `started_by_us` has.
    """

    def __init__(self, reader: ItemReader, started_by_us: Callable[[], Collection[str]]) -> None:
        self._reader, self._started_by_us = reader, started_by_us
        self._read_at = float("-inf")
        self._waits: dict[str, tuple[float, float]] = {}

    def due(self, rules: QueueRules, now: float, *, at_once: bool) -> list[Item]:
        """The items that may be tried again; read at most once a minute, except `at_once`."""
        if not at_once and 0 <= now - self._read_at < _READ_EVERY:
            return []
        self._read_at = now
        return self.read(rules, now)

    def read(self, rules: QueueRules, now: float) -> list[Item]:
        """The items that may be tried again, read now."""
        fields = rules.fields | rules.startable.fields | rules.closed_by_rtorrent.fields | DISK_FIELDS
        found = self._reader.read(rules.settings.view, rules.closed_by_rtorrent, fields, now, table=rules.table)
        if not found:
            return []
        ours = self._started_by_us()
        causes = [(item, closed_cause(item, rules, now, is_ours=item["hash"] in ours)) for item in found]
        return [item for item, cause in causes if cause and (cause != "low_disk" or self._is_due(item, now))]

    def cause(self, item: Item, rules: QueueRules, now: float) -> ClosedCause | None:
        """Why rTorrent closed this item, if it may be tried again, perhaps later."""
        return closed_cause(item, rules, now, is_ours=item["hash"] in self._started_by_us())

    def started(self, info_hash: str, now: float) -> None:
        """The item was started again: if rTorrent closes it again, the wait doubles."""
        if info_hash in self._waits:
            _, wait = self._waits[info_hash]
            self._waits[info_hash] = (now + wait, min(wait * 2, _LAST_WAIT))

    def _is_due(self, item: Item, now: float) -> bool:
        until, _ = self._waits.setdefault(str(item["hash"]), (0.0, _FIRST_WAIT))
        return until <= now


def closed_cause(item: Item, rules: QueueRules, now: float, *, is_ours: bool) -> ClosedCause | None:
    """Why rTorrent closed the item by itself, if that alone excludes it from `startable`.

    `is_ours`: the queue started it, so a message of its tracker did not exclude it then.
    """
    may_return = (
        rules.closed_by_rtorrent.matches(item, now)
        and not rules.startable.matches(item, now)
        and rules.startable.matches(_before_start(item, rules, is_ours=is_ours), now)
    )
    if not may_return:
        return None
    message, runs = str(item["message"]), is_ours and item["is_started"]
    return "low_disk" if message == LOW_DISK or (runs and not message.startswith(CHECK_FAILED)) else "check_failed"


def _before_start(item: Item, rules: QueueRules, *, is_ours: bool) -> Mapping[str, Any]:
    """An item as it was before its start, for the condition `startable`; other messages stay."""
    values: dict[str, Any] = {name: item[name] for name in rules.startable.fields}
    removed = (LOW_DISK, *CHECK_FAILED, *([_OF_TRACKER] if is_ours and item["is_started"] else ()))
    if str(item["message"]).startswith(removed):
        values["message"] = ""
    return values | {"done": 0.0} if item["is_started"] else values


def _left(item: Item, files: Rows = ()) -> int:
    """The field `left`, without a call of its own."""
    return bytes_left(str(item["d_left_bytes"]), str(item["d_wanted_chunks"]), str(item["d_chunk_size"]), files)


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else int(str(value) or 0)
