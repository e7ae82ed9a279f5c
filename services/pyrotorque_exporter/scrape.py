"""One scrape: each group in an error boundary, cheap ones first, within a deadline."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import Metric

from pyrotorque.errors import RTorrentError
from pyrotorque.text import printable
from pyrotorque_exporter.collectors import Collector, PartialCollector, ScrapeContext
from pyrotorque_exporter.exposition import Exposition, render
from pyrotorque_exporter.families import by_label, single
from pyrotorque_exporter.rtorrent_calls import DeadlinePassed, RTorrentCalls

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _GroupReport:
    """Duration and success of each group of one scrape."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    success: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, name: str, seconds: float, success: bool) -> None:
        self.seconds[name], self.success[name] = seconds, float(success)


class Scraper:
    """Runs collectors in the order given; `scrape` belongs to one thread, `without_rtorrent` to any."""

    def __init__(
        self,
        collectors: Sequence[Collector],
        calls: RTorrentCalls,
        prefix: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._collectors, self._calls, self._prefix = tuple(collectors), calls, prefix
        self._clock, self._wall = clock, wall
        self._problems: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(collector.name for collector in self._collectors)

    def scrape(self, groups: frozenset[str], deadline: float) -> Exposition:
        """The metrics of `groups` (empty: all) now; an error in one group never affects the others."""
        self._calls.begin(deadline)
        collectors, report = self._selected(groups), _GroupReport()
        collected: list[Metric | str] = []
        answers = any(collector.uses_rtorrent for collector in collectors) and self._ping()
        for collector in collectors:
            if collector.uses_rtorrent and (not answers or self._calls.unavailable is not None):
                collected += self._collect_rest(collector, report)
            else:
                collected += self._collect(collector, report)
        up = answers and self._calls.unavailable is None
        return render([*self._scrape_metrics(collectors, report, up=up), *collected], self._prefix)

    def without_rtorrent(self, groups: frozenset[str]) -> Exposition:
        """The metrics that need no rTorrent, for a scrape whose deadline has passed."""
        collectors, report = self._selected(groups), _GroupReport()
        collected: list[Metric | str] = []
        for collector in collectors:
            if collector.uses_rtorrent:
                collected += self._collect_rest(collector, report)
            else:
                collected += self._collect(collector, report)
        return render([*self._scrape_metrics(collectors, report, up=False), *collected], self._prefix)

    def _selected(self, groups: frozenset[str]) -> list[Collector]:
        return [collector for collector in self._collectors if not groups or collector.name in groups]

    def _ping(self) -> bool:
        try:
            self._calls.ping()
        except RTorrentError as error:
            # A scrape whose deadline passed while it was queued is no news about rTorrent.
            if not (isinstance(error, DeadlinePassed) and "ping" in self._problems):
                self._log_problem("ping", f"rTorrent does not answer, its metrics are absent: {error}")
            return False
        self._log_recovery("ping", "rTorrent answers again")
        return True

    def _collect(self, collector: Collector, report: _GroupReport) -> list[Metric | str]:
        name, began = collector.name, self._clock()
        try:
            collected = list(collector.collect(ScrapeContext(self._wall(), self._calls)))
        except RTorrentError as error:
            self._log_problem(name, f"metrics of group {name} are absent: {error}")
        except Exception as error:
            # The error boundary: a bug in one group must not hide the others.
            self._log_problem(name, f"metrics of group {name} are absent, unexpected error: {error!r}", error)
        else:
            self._log_recovery(name, f"metrics of group {name} are complete again")
            report.add(name, self._clock() - began, True)
            return collected
        report.add(name, self._clock() - began, False)
        return []

    def _collect_rest(self, collector: Collector, report: _GroupReport) -> list[Metric | str]:
        """What a group has without rTorrent; the group is incomplete."""
        collected: list[Metric | str] = []
        if isinstance(collector, PartialCollector):
            try:
                collected = list(collector.collect_rest(ScrapeContext(self._wall(), self._calls)))
            except Exception as error:
                name = collector.name
                self._log_problem(name, f"metrics of group {name} are absent, unexpected error: {error!r}", error)
        report.add(collector.name, 0.0, False)
        return collected

    def _scrape_metrics(self, collectors: Iterable[Collector], report: _GroupReport, *, up: bool) -> list[Metric]:
        timestamps = dict.fromkeys(report.seconds, self._wall())
        metrics = [
            by_label(
                "gauge",
                "rtorrent_scrape_collector_duration_seconds",
                "Time that collecting a group took.",
                "collector",
                report.seconds,
            ),
            by_label(
                "gauge",
                "rtorrent_scrape_collector_success",
                "Whether a group was collected completely.",
                "collector",
                report.success,
            ),
            by_label(
                "gauge",
                "rtorrent_scrape_collector_data_timestamp_seconds",
                "When a group was collected.",
                "collector",
                timestamps,
            ),
        ]
        if any(collector.uses_rtorrent for collector in collectors):
            metrics.insert(0, single("gauge", "rtorrent_up", "Whether rTorrent answers.", float(up)))
        return metrics

    def _log_problem(self, name: str, line: str, error: Exception | None = None) -> None:
        # Once for each kind of problem, at a scrape every few seconds. Numbers (times, sizes) vary within a kind.
        kind = re.sub(r"[0-9.]+", "", line)
        if self._problems.get(name) != kind:
            self._problems[name] = kind
            log.warning("%s", printable(line), exc_info=error)

    def _log_recovery(self, name: str, line: str) -> None:
        if self._problems.pop(name, None) is not None:
            log.info("%s", line)
