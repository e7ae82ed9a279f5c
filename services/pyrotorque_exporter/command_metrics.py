"""Metrics that each come from one command of rTorrent; a table of them is read in one request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric

from pyrotorque.rtorrent import Value
from pyrotorque_exporter.families import Kind, single
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls


@dataclass(frozen=True, slots=True)
class CommandMetric:
    """A metric with the result of the first of `commands` that this rTorrent has; absent if it has none."""

    name: str
    kind: Kind
    commands: tuple[str, ...]
    help: str

    def command(self, calls: RTorrentCalls) -> str | None:
        return next((command for command in self.commands if calls.known(command)), None)


def read_table(
    calls: RTorrentCalls, group: str, table: Sequence[CommandMetric], *, restricted: bool = False
) -> Iterator[Metric]:
    """The metrics of `table` for which rTorrent returns a number."""
    available = [(metric, command) for metric in table if (command := metric.command(calls)) is not None]
    results = calls.multicall(group, [(command, ()) for _, command in available], restricted=restricted)
    for (metric, command), result in zip(available, results, strict=True):
        value = number(result)
        if value is not None:
            yield single(metric.kind, metric.name, f"{metric.help} ({command}).", value)


def number(result: object) -> float | None:
    """`result` as a number; None for a fault and for anything that is not a number."""
    if isinstance(result, bool | int | float):
        return float(result)
    if isinstance(result, str):
        try:
            return float(result)
        except ValueError:
            return None
    return None


def text(result: Value | Exception) -> str:
    return result if isinstance(result, str) else ""
