"""Whether the trackers of an item have answered that it was stopped."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pyrotorque.rtorrent import RTorrent

_COMMANDS: Final = ("t.is_enabled=", "t.is_busy=", "t.success_counter=", "t.failed_counter=")


class TrackerCounters(NamedTuple):
    """How often a tracker answered, or failed, and whether a request is in flight."""

    busy: bool
    successes: int
    failures: int


def tracker_counters(rtorrent: RTorrent, info_hash: str) -> Mapping[int, TrackerCounters]:
    """Those of the enabled trackers of an item, by place."""
    rows = rtorrent.call("t.multicall", info_hash, "", *_COMMANDS)
    found: dict[int, TrackerCounters] = {}
    for number, row in enumerate(rows if isinstance(rows, list) else ()):
        if isinstance(row, list):
            enabled, busy, successes, failures = (int(str(each)) for each in row)
            if enabled:
                found[number] = TrackerCounters(bool(busy), successes, failures)
    return found


def is_announced(before: Mapping[int, TrackerCounters], now: Mapping[int, TrackerCounters]) -> bool:
    """Whether no tracker is busy, and one has answered, or failed, since `before`."""
    if any(each.busy for each in now.values()):
        return False
    return not now or any(now[each][1:] != before[each][1:] for each in now if each in before)
