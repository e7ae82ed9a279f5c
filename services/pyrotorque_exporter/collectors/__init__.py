"""What is shown, one module for each group of metrics."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import Metric

from pyrotorque_exporter.rtorrent_calls import RTorrentCalls


@dataclass(frozen=True, slots=True)
class ScrapeContext:
    """One scrape: when it is, and how rTorrent is asked in it."""

    now: float
    calls: RTorrentCalls


class Collector(Protocol):
    """A group of metrics; text that is rendered already may stand in for metrics where there are very many."""

    @property
    def name(self) -> str: ...
    @property
    def uses_rtorrent(self) -> bool: ...

    def collect(self, context: ScrapeContext) -> Iterable[Metric | str]: ...
