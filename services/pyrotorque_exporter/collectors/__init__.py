"""The collectors, one module for each group of metrics (queue, watch and jobs share `services`)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from prometheus_client.core import Metric

from pyrotorque_exporter.rtorrent_calls import RTorrentCalls


@dataclass(frozen=True, slots=True)
class ScrapeContext:
    """The time of a scrape, and its calls to rTorrent."""

    now: float
    calls: RTorrentCalls


class Collector(Protocol):
    """Collects one group of metrics; where there are very many, as text that is rendered already."""

    @property
    def name(self) -> str: ...
    @property
    def uses_rtorrent(self) -> bool: ...

    def collect(self, context: ScrapeContext) -> Iterable[Metric | str]: ...


@runtime_checkable
class PartialCollector(Protocol):
    """A collector that has some metrics while rTorrent does not answer; any thread may call `collect_rest`."""

    def collect_rest(self, context: ScrapeContext) -> Iterable[Metric | str]: ...
