"""Tables of single numbers that rTorrent's own commands give, read in one request each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric

from pyrotorque.rtorrent import Value
from pyrotorque_exporter.families import Kind, single
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls


@dataclass(frozen=True, slots=True)
class CommandMetric:
    """A number: the first of `commands` that this rTorrent knows gives it; none known means no metric, never 0."""

    name: str
    kind: Kind
    commands: tuple[str, ...]
    help: str

    def command(self, calls: RTorrentCalls) -> str | None:
        return next((command for command in self.commands if calls.known(command)), None)


def read(
    calls: RTorrentCalls, group: str, prefix: str, table: Sequence[CommandMetric], *, restricted: bool = False
) -> Iterator[Metric]:
    """One metric for each reading of `table` that rTorrent knows and answers with a number."""
    asked = [(reading, command) for reading in table if (command := reading.command(calls)) is not None]
    answers = calls.multicall(group, [(command, ()) for _, command in asked], restricted=restricted)
    for (reading, command), answer in zip(asked, answers, strict=True):
        value = number(answer)
        if value is not None:
            help_text = f"{reading.help} ({command})."
            yield single(reading.kind, prefix + reading.name, help_text, value)


def number(answer: object) -> float | None:
    """`answer` as a number, None for a fault or anything else."""
    if isinstance(answer, bool | int | float):
        return float(answer)
    if isinstance(answer, str):
        try:
            return float(answer)
        except ValueError:
            return None
    return None


def text(answer: Value | Exception) -> str:
    return answer if isinstance(answer, str) else ""
