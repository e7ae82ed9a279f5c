"""Group `summary`: all items by state, their sizes, and those with problems."""

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

from prometheus_client.core import Metric

from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.command_metrics import number
from pyrotorque_exporter.families import by_label, single
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls

STATES: Final = ("hashing", "error", "stopped", "paused", "leeching", "seeding")
# Not d.complete: it costs rTorrent three times as much, and is the same for items that are active.
FLAGS: Final = ("d.hashing=", "d.state=", "d.is_active=", "d.is_partially_done=")
Flags = tuple[str, str, str, str]
Row = tuple[str, ...]

# Read of every item; rare states are counted through rTorrent's views and filters.
EVERY: Final = ("d.is_active=", "d.is_partially_done=", "d.size_bytes=", "d.left_bytes=")

_activity = itemgetter(0, 1)
_sizes = itemgetter(2)
_left = itemgetter(3)
_flags = itemgetter(0, 1, 2, 3)


def state(flags: Flags) -> str:
    """The state of an item with these FLAGS, apart from hashing and error."""
    _, started, active, complete = (flag != "0" for flag in flags)
    if not started:
        return "stopped"
    if not active:
        return "paused"
    return "seeding" if complete else "leeching"


def states(
    activity: Counter[tuple[str, str]], started: int, hashing: Counter[Flags], broken: Counter[Flags]
) -> dict[str, float]:
    """How many items are in each state; the sum is the number of items.

    `activity` counts all items by (active, complete); `hashing` and `broken` (hash check failed, or closed with a
    message) those that leave their state. They were read one after the other: an item may have changed in between.
    """
    seeding = sum(count for (active, complete), count in activity.items() if active != "0" and complete != "0")
    leeching = sum(count for (active, complete), count in activity.items() if active != "0" and complete == "0")
    idle = activity.total() - seeding - leeching
    paused = min(idle, max(0, started - seeding - leeching))
    counts = {"stopped": idle - paused, "paused": paused, "leeching": leeching, "seeding": seeding}
    special = {"hashing": 0, "error": 0}
    for name, items in (("hashing", hashing), ("error", broken - hashing)):
        for flags, count in items.items():
            moved = min(count, counts[state(flags)])
            counts[state(flags)] -= moved
            special[name] += moved
    return {name: float((special | counts)[name]) for name in STATES}


class SummaryCollector:
    """One call that reads four fields of all items, and four that let rTorrent filter for the rare states."""

    name = "summary"
    uses_rtorrent = True

    def collect(self, context: ScrapeContext) -> Iterator[Metric]:
        rows = self._rows(context.calls, *EVERY)
        started, hashing = self._by_view(context.calls)
        with_message = self._rows(context.calls, *FLAGS, "d.is_open=", "d.hashing_failed=", where="d.message=")
        failed = self._rows(context.calls, *FLAGS, where="d.hashing_failed=")
        connected = self._rows(context.calls, *FLAGS, "d.peers_connected=", "d.down.rate=", where="d.peers_connected=")

        closed = Counter[Flags](_flags(row) for row in with_message if row[4] == "0" and row[5] == "0")
        broken = closed + Counter[Flags](map(_flags, failed))
        by_state = states(Counter(map(_activity, rows)), started, hashing, broken)
        moving = sum(1 for row in connected if state(_flags(row)) == "leeching" and row[5] != "0")

        yield by_label(
            "gauge",
            "rtorrent_items",
            "Items by state, each in one (d.hashing, d.hashing_failed, d.state, d.is_active, d.is_partially_done).",
            "state",
            by_state,
        )
        yield _gauge("rtorrent_items_size_bytes", "Size of all items (d.size_bytes).", _total(map(_sizes, rows)))
        yield _gauge(
            "rtorrent_items_left_bytes", "Bytes left to download of all items (d.left_bytes).", _total(map(_left, rows))
        )
        yield _gauge("rtorrent_items_with_message", "Items with a message (d.message).", len(with_message))
        yield _gauge("rtorrent_items_hash_failed", "Items whose hash check failed (d.hashing_failed).", len(failed))
        yield _gauge(
            "rtorrent_items_stalled",
            "Leeching items that receive nothing (d.down.rate).",
            max(0.0, by_state["leeching"] - moving),
        )
        yield _gauge(
            "rtorrent_connected_peers",
            "Peers connected, over all items (d.peers_connected).",
            _total(row[4] for row in connected),
        )

    def _by_view(self, calls: RTorrentCalls) -> tuple[int, Counter[Flags]]:
        """The number of started items, and the flags of those being hashed.

        rTorrent keeps views of both; reading the fields of all items would take it 30 ms more.
        """
        sizes = calls.multicall(self.name, [("view.size", ("", "started")), ("view.size", ("", "hashing"))])
        started, hashing = (number(size) for size in sizes)
        if started is None:
            started = len(self._rows(calls, "d.state=", where="d.state="))
        hashed = self._rows(calls, *FLAGS, where="d.hashing=") if hashing != 0 else ()
        return int(started), Counter[Flags](map(_flags, hashed))

    def _rows(self, calls: RTorrentCalls, *commands: str, where: str = "") -> Sequence[Row]:
        return calls.rows(self.name, "main", commands, where=where)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return single("gauge", name, help_text, float(value))


def _total(texts: Iterator[str]) -> int:
    return sum(map(int, texts))
