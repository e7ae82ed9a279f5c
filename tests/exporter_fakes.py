"""Fakes for tests of the exporter: an rTorrent with fixed results, and a clock that the test moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import CallStats, Identity, Value
from pyrotorque_exporter.rtorrent_calls import CommandCall, Results, Rows


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeRTorrent:
    """Returns results by command and parameters, rows by (view, where)."""

    answers: Mapping[str, Value | RTorrentFault] = field(default_factory=dict[str, Value | RTorrentFault])
    tables: Mapping[tuple[str, str], Sequence[Mapping[str, str]]] = field(
        default_factory=dict[tuple[str, str], Sequence[Mapping[str, str]]]
    )
    broken: Exception | None = None
    read_timeout: float = 10.0
    stats: CallStats = field(default_factory=CallStats)
    asked: list[str] = field(default_factory=list[str])

    def identity(self) -> Identity:
        self._note("ping")
        return Identity(42, "0.9.8", "0.13.8", "host", "one")

    def multicall(self, calls: Sequence[CommandCall], timeout: float | None = None, *, label: str = "") -> Results:
        self._note(label)
        keys = [(name, f"{name} {' '.join(params)}".strip()) for name, params in calls]
        return [self.answers.get(full, self.answers.get(name, RTorrentFault("none", -1))) for name, full in keys]

    def rows(
        self,
        view: str,
        commands: Sequence[str],
        *,
        where: str = "",
        timeout: float | None = None,
        label: str = "",
    ) -> Rows:
        self._note(label)
        return [tuple(item.get(command, "0") for command in commands) for item in self.tables.get((view, where), ())]

    def known(self, command: str) -> bool:
        name = command.partition("=")[0]
        return any(key.split(" ")[0] == name for key in self.answers) or name.startswith("d.")

    def _note(self, label: str) -> None:
        self.asked.append(label)
        if self.broken is not None:
            raise self.broken
