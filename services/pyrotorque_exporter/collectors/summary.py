"""Group `summary`: all items by state, their sizes, and what is wrong with them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

from prometheus_client.core import Metric

from pyrotorque_exporter.calls import Calls
from pyrotorque_exporter.collectors import Turn
from pyrotorque_exporter.families import by_label, single

STATES: Final = ("hashing", "error", "stopped", "paused", "leeching", "seeding")
# Not d.complete: it costs rTorrent three times as much, and is the same for items that are active.
FLAGS: Final = ("d.hashing=", "d.state=", "d.is_active=", "d.is_partially_done=")
Flags = tuple[str, str, str, str]
Row = tuple[str, ...]

_flags = itemgetter(0, 1, 2, 3)
_sizes = itemgetter(4)
_left = itemgetter(5)


def state(flags: Flags) -> str:
    """The one state that an item with these FLAGS is in."""
    hashing, started, active, complete = (flag != "0" for flag in flags)
    if hashing:
        return "hashing"
    if not started:
        return "stopped"
    if not active:
        return "paused"
    return "seeding" if complete else "leeching"


def states(all_flags: Counter[Flags], broken: Counter[Flags]) -> dict[str, float]:
    """How many items are in each state; the sum is the number of items.

    `broken` counts those of them that are in error: hashing failed, or closed with a message.
    """
    counts = Counter[str](dict.fromkeys(STATES, 0))
    for flags, count in all_flags.items():
        # The two were asked for one after the other: an item may have changed in between.
        in_error = 0 if flags[0] != "0" else min(count, broken[flags])
        counts["error"] += in_error
        counts[state(flags)] += count - in_error
    return {name: float(count) for name, count in counts.items()}


class Summary:
    """One call that reads six fields of all items, and three that let rTorrent pick the few that are special."""

    name = "summary"
    asks_rtorrent = True

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def collect(self, turn: Turn) -> Iterator[Metric]:
        rows = self._rows(turn.calls, *FLAGS, "d.size_bytes=", "d.left_bytes=")
        with_message = self._rows(turn.calls, *FLAGS, "d.is_open=", "d.hashing_failed=", where="d.message=")
        failed = self._rows(turn.calls, *FLAGS, where="d.hashing_failed=")
        connected = self._rows(turn.calls, *FLAGS, "d.peers_connected=", "d.down.rate=", where="d.peers_connected=")

        counts = Counter[Flags](map(_flags, rows))
        closed = Counter[Flags](_flags(row) for row in with_message if row[4] == "0" and row[5] == "0")
        by_state = states(counts, closed + Counter[Flags](map(_flags, failed)))
        moving = sum(1 for row in connected if state(_flags(row)) == "leeching" and row[5] != "0")

        yield by_label(
            "gauge",
            f"{self._prefix}items",
            "Items by state, each in one (d.hashing, d.hashing_failed, d.state, d.is_active, d.is_partially_done).",
            "state",
            by_state,
        )
        yield self._gauge("items_size_bytes", "Size of all items (d.size_bytes).", _total(map(_sizes, rows)))
        yield self._gauge(
            "items_left_bytes", "Not yet downloaded of all items (d.left_bytes).", _total(map(_left, rows))
        )
        yield self._gauge("items_with_message", "Items with a message (d.message).", len(with_message))
        yield self._gauge("items_hash_failed", "Items whose hash check failed (d.hashing_failed).", len(failed))
        yield self._gauge(
            "items_stalled",
            "Leeching items that receive nothing (d.down.rate).",
            max(0.0, by_state["leeching"] - moving),
        )
        yield self._gauge(
            "connected_peers",
            "Peers connected, over all items (d.peers_connected).",
            _total(row[4] for row in connected),
        )

    def _rows(self, calls: Calls, *commands: str, where: str = "") -> Sequence[Row]:
        return calls.rows(self.name, "main", commands, where=where)

    def _gauge(self, name: str, help_text: str, value: float) -> Metric:
        return single("gauge", self._prefix + name, help_text, float(value))


def _total(texts: Iterator[str]) -> int:
    return sum(map(int, texts))
