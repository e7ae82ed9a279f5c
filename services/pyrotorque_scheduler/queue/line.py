"""Reads for a stall whether the line is up, which disks rTorrent checks, and when an item may be announced again."""

from collections.abc import Sequence
from typing import Any, Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import RTorrent
from pyrotorque_scheduler.queue.disk_space import disk_of
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.queue.stall import RunningItem, line_is_up

_TRACKERS_MAX: Final = 200
_ANSWER: Final = 'Tracker: [Failure reason "'
_TRAFFIC: Final = (("throttle.global_up.total", ("",)), ("throttle.global_down.total", ("",)))


class Line:
    """The connection of rTorrent to its peers and trackers, as seen by the looks of one queue."""

    def __init__(self, rtorrent: RTorrent) -> None:
        self._rtorrent = rtorrent
        self._traffic: Sequence[Any] = ()
        self._moved_at = self._looked_at = float("-inf")
        self._gap = 0.0

    def look(self, now: Instant) -> None:
        """Read whether a byte moved since the last look."""
        traffic = self._rtorrent.multicall(_TRAFFIC)
        if traffic != self._traffic:
            self._traffic, self._moved_at = traffic, now.awake
        self._gap = max(now.awake - self._looked_at, 0.0) if self._looked_at > 0 else 0.0
        self._looked_at = now.awake

    def is_up(self, running: Sequence[RunningItem], after: float, now: Instant) -> bool:
        """Whether within `after` seconds a byte moved, or a tracker answered for an item that runs or seeds."""
        # Two looks may lie between the start of an item, which asks its tracker, and the first look at it.
        window = after + 2 * self._gap + 5.0
        if line_is_up(self._moved_at, (), window, now.awake, now.wall):
            return True
        return line_is_up(self._moved_at, self._answered(running), window, now.awake, now.wall)

    def _answered(self, running: Sequence[RunningItem]) -> list[float]:
        """When trackers answered last, in Unix seconds."""
        active = [item.info_hash for item in running]
        active += [h for (h,) in self._rtorrent.rows("active", ("d.hash=",))[:_TRACKERS_MAX] if h not in set(active)]
        times = ("t.success_time_last=", "t.failed_time_last=")
        calls = [(("t.multicall", (h, "", *times)), ("d.message", (h,))) for h in active[:_TRACKERS_MAX]]
        answers = self._rtorrent.multicall([call for pair in calls for call in pair])
        answered: list[float] = []
        for rows, message in zip(answers[::2], answers[1::2], strict=True):
            for row in rows if isinstance(rows, list) else ():
                success, failed = row if isinstance(row, list) else (0, 0)
                answered += [float(str(success)), float(str(failed)) if str(message).startswith(_ANSWER) else 0.0]
        return answered


def announce_interval(rtorrent: RTorrent, info_hash: str) -> float:
    """The longest of the intervals that the item's trackers require between two announces, in seconds."""
    rows = rtorrent.call("t.multicall", info_hash, "", "t.is_enabled=", "t.min_interval=")
    pairs = [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    return float(max((int(str(least)) for enabled, least in pairs if enabled not in (0, "0")), default=0))


def on_checked_disks(rtorrent: RTorrent, found: Sequence[RunningItem]) -> set[str]:
    """Those of these items on whose disk rTorrent checks data."""
    try:
        checked = rtorrent.rows("hashing", ("d.directory=",))
    except RTorrentFault:  # a user removed this view
        return set()
    disks = {disk_of(directory)[0] for (directory,) in checked} - {0}
    if not disks:
        return set()
    answers = rtorrent.multicall([("d.directory", (item.info_hash,)) for item in found])
    pairs = zip(found, answers, strict=True)
    return {item.info_hash for item, directory in pairs if disk_of(str(directory))[0] in disks}
