"""What is shown, one module for each group of metrics."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import Metric

from pyrotorque_exporter.rtorrent_calls import Calls


@dataclass(frozen=True, slots=True)
class Turn:
    """One scrape: when it is, and how rTorrent is asked in it."""

    now: float
    calls: Calls


class Group(Protocol):
    """A group of metrics; text that is rendered already may stand in for metrics where there are very many."""

    @property
    def name(self) -> str: ...
    @property
    def asks_rtorrent(self) -> bool: ...

    def collect(self, turn: Turn) -> Iterable[Metric | str]: ...
