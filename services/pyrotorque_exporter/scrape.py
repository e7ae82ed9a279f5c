"""One scrape: every group in its own error boundary, cheap ones first, all of it within the deadline."""

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import Metric

from pyrotorque.errors import RTorrentError
from pyrotorque.text import printable
from pyrotorque_exporter.collectors import Collector, ScrapeContext
from pyrotorque_exporter.exposition import Exposition, render
from pyrotorque_exporter.families import by_label, single
from pyrotorque_exporter.rtorrent_calls import DeadlinePassed, RTorrentCalls

log = logging.getLogger(__name__)

FRESH: Final = 1.0
WAITING_MAX: Final = 8
LARGE: Final = 1 << 20


@dataclass(slots=True)
class _Report:
    """How the groups of one scrape fared."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    success: dict[str, float] = field(default_factory=dict[str, float])

    def note(self, name: str, seconds: float, success: bool) -> None:
        self.seconds[name], self.success[name] = seconds, float(success)


class Scraper:
    """Collects the groups, in the order given; `scrape` belongs to one thread, `without_rtorrent` to any."""

    def __init__(
        self,
        groups: Sequence[Collector],
        calls: RTorrentCalls,
        prefix: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._groups, self._calls, self._prefix = tuple(groups), calls, prefix
        self._clock, self._wall = clock, wall
        self._troubles: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(group.name for group in self._groups)

    def scrape(self, wanted: frozenset[str], deadline: float) -> list[Metric | str]:
        """Everything that the groups in `wanted` (empty: all) show now; never raises for what one group does."""
        self._calls.begin(deadline)
        groups, report = self._chosen(wanted), _Report()
        collected: list[Metric | str] = []
        pinged = any(group.uses_rtorrent for group in groups) and self._ping(collected)
        for group in groups:
            if group.uses_rtorrent and (not pinged or self._calls.unavailable is not None):
                report.note(group.name, 0.0, False)
            else:
                collected += self._boundary(group, report)
        return [*self._collector_metrics(groups, report, up=pinged and self._calls.unavailable is None), *collected]

    def without_rtorrent(self, wanted: frozenset[str]) -> list[Metric | str]:
        """What can be said without asking rTorrent, for a scrape whose time is over."""
        groups, report = self._chosen(wanted), _Report()
        collected: list[Metric | str] = []
        for group in groups:
            if group.uses_rtorrent:
                report.note(group.name, 0.0, False)
            else:
                collected += self._boundary(group, report)
        return [*self._collector_metrics(groups, report, up=False), *collected]

    def _chosen(self, wanted: frozenset[str]) -> list[Collector]:
        return [group for group in self._groups if not wanted or group.name in wanted]

    def _ping(self, collected: list[Metric | str]) -> bool:
        try:
            self._calls.ping()
        except RTorrentError as error:
            # A scrape that waited behind another until its time was over says nothing new.
            if not (isinstance(error, DeadlinePassed) and "ping" in self._troubles):
                self._trouble("ping", f"rTorrent does not answer, its metrics are absent: {error}")
            return False
        self._recovered("ping", "rTorrent answers")
        return True

    def _boundary(self, group: Collector, report: _Report) -> list[Metric | str]:
        began = self._clock()
        try:
            collected = list(group.collect(ScrapeContext(self._wall(), self._calls)))
        except RTorrentError as error:
            self._trouble(group.name, f"group {group.name} is absent: {error}")
        except Exception as error:
            # The boundary: whatever is wrong with one group, the others must be shown.
            self._trouble(group.name, f"group {group.name} is absent, an error of ours: {error!r}", error)
        else:
            self._recovered(group.name, f"group {group.name} is shown again")
            report.note(group.name, self._clock() - began, True)
            return collected
        report.note(group.name, self._clock() - began, False)
        return []

    def _collector_metrics(self, groups: Iterable[Collector], report: _Report, *, up: bool) -> list[Metric]:
        now = self._wall()
        prefix = f"{self._prefix}scrape_collector_"
        stamps = dict.fromkeys(report.seconds, now)
        told = [
            by_label("gauge", f"{prefix}duration_seconds", "Time that a group took.", "collector", report.seconds),
            by_label("gauge", f"{prefix}success", "Whether a group is complete.", "collector", report.success),
            by_label("gauge", f"{prefix}data_timestamp_seconds", "When a group was read.", "collector", stamps),
        ]
        if any(group.uses_rtorrent for group in groups):
            told.insert(0, single("gauge", f"{self._prefix}up", "Whether rTorrent answers.", float(up)))
        return told

    def _trouble(self, name: str, line: str, error: Exception | None = None) -> None:
        # Once per kind of trouble: a scrape every few seconds must not fill the log. Numbers (times, sizes) vary.
        kind = re.sub(r"[0-9.]+", "", line)
        if self._troubles.get(name) != kind:
            self._troubles[name] = kind
            log.warning("%s", printable(line), exc_info=error)

    def _recovered(self, name: str, line: str) -> None:
        if self._troubles.pop(name, None) is not None:
            log.info("%s", line)


class SharedScrape:
    """One collection of some groups; `result` is there when it has landed."""

    def __init__(self, wanted: frozenset[str], deadline: float) -> None:
        self.wanted, self.deadline = wanted, deadline
        self.result: Exposition | None = None
        self.finished_at = 0.0


class ScrapeThread:
    """Starts scrapes; `landed` is called from the collecting thread after each."""

    def __init__(
        self, scraper: Scraper, on_finished: Callable[[], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._scraper, self._finished, self._clock = scraper, on_finished, clock
        self._lock = threading.Lock()
        self._scrapes: dict[frozenset[str], SharedScrape] = {}
        self._waiting: queue.SimpleQueue[SharedScrape | None] = queue.SimpleQueue()
        # A daemon: a call to a hung rTorrent must not delay the end of the service.
        self._thread = threading.Thread(target=self._collect, name="collect", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._waiting.put(None)

    def request(self, wanted: frozenset[str], deadline: float) -> SharedScrape | None:
        """The scrape for `wanted` that is under way or landed just now, else a new one; None when too many wait."""
        with self._lock:
            now = self._clock()
            self._scrapes = {
                key: scrape
                for key, scrape in self._scrapes.items()
                if scrape.result is None or now - scrape.finished_at < FRESH
            }
            known = self._scrapes.get(wanted)
            if known is not None:
                return known
            if sum(scrape.result is None for scrape in self._scrapes.values()) >= WAITING_MAX:
                return None
            scrape = self._scrapes[wanted] = SharedScrape(wanted, deadline)
            self._waiting.put(scrape)
            return scrape

    def _collect(self) -> None:
        while (scrape := self._waiting.get()) is not None:
            try:
                result = render(self._scraper.scrape(scrape.wanted, scrape.deadline))
            except Exception:
                # Nothing may end this thread; an empty exposition is answered as an error.
                log.exception("a scrape could not be rendered")
                result = Exposition(b"")
            with self._lock:
                scrape.finished_at, scrape.result = self._clock(), result
            self._finished()
            if len(result.plain) > LARGE:
                _give_back_memory()


def _give_back_memory() -> None:
    """Return freed memory to the kernel (malloc_trim(3)): a scrape of 10,000 items leaves 30 MB of it behind."""
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
