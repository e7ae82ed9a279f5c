"""What the other services told: heartbeats and last totals, kept in memory for any thread to look at."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.events import Delivery, Family, Heartbeat, QueueChecked, ServiceStateChanged, TotalsReported

OURSELVES: Final = "exporter"
SILENT_AFTER: Final = 5.0
"""Seconds without a heartbeat after which a service's gauges are withdrawn: they would lie."""

FAMILIES_MAX: Final = 200
SAMPLES_MAX: Final = 2000


@dataclass(slots=True)
class ServiceState:
    """What is known of one service; `heard` is when its last heartbeat came (monotonic), `beat_at` in Unix time."""

    heartbeat: Heartbeat | None = None
    heard: float = float("-inf")
    beat_at: float = 0.0
    state: str = ""
    totals: TotalsReported | None = None


@dataclass(slots=True)
class ServiceStates:
    """Written by the loop, read by scrapes; every method may be called from any thread."""

    clock: Callable[[], float]
    services: dict[str, ServiceState] = field(default_factory=dict[str, ServiceState])
    events: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Durable events by (source, type), over all lives of the exporter."""
    queues: dict[str, QueueChecked] = field(default_factory=dict[str, QueueChecked])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, services: Iterable[str]) -> None:
        """Show these services from the beginning, also those that were never heard of."""
        with self._lock:
            for name in services:
                self.services.setdefault(name, ServiceState())

    def receive(self, delivery: Delivery) -> None:
        """Take in one event."""
        with self._lock:
            if delivery.envelope.seq:
                self.events[delivery.envelope.source, type(delivery.event).__name__] += 1
            match delivery.event:
                case Heartbeat() as beat:
                    service = self._service(beat.service)
                    service.heartbeat, service.heard, service.beat_at = beat, self.clock(), beat.at
                case TotalsReported() as totals:
                    self._service(totals.service).totals = _bounded(totals)
                case ServiceStateChanged() as change:
                    self._service(change.service).state = change.state
                case QueueChecked() as check:
                    self.queues[check.job] = check
                case _:
                    pass

    def remember(
        self, totals: Iterable[TotalsReported], states: Mapping[str, str], events: Mapping[tuple[str, str], int]
    ) -> None:
        """What an earlier life of the exporter knew."""
        with self._lock:
            for one in totals:
                self._service(one.service).totals = _bounded(one)
            for name, state in states.items():
                self._service(name).state = state
            self.events.update(events)

    def families(self, wanted: Callable[[str], bool]) -> list[Family]:
        """The families whose names are `wanted`: all counters and histograms, gauges of services that are alive."""
        with self._lock:
            now = self.clock()
            return [
                family
                for service in self.services.values()
                if service.totals is not None
                for family in service.totals.families
                if wanted(family.name) and (family.kind != "gauge" or now - service.heard <= SILENT_AFTER)
            ]

    def is_up(self, name: str) -> bool:
        """Whether service `name` was heard of lately; we are not told of ourselves."""
        with self._lock:
            service = self.services.get(name)
            return name == OURSELVES or (service is not None and self.clock() - service.heard <= SILENT_AFTER)

    def snapshot(self) -> dict[str, ServiceState]:
        """A copy that the loop does not change under the reader's hands."""
        with self._lock:
            return {
                name: ServiceState(one.heartbeat, one.heard, one.beat_at, one.state, one.totals)
                for name, one in self.services.items()
            }

    def event_counts(self) -> dict[tuple[str, str], float]:
        """Durable events by (source, type)."""
        with self._lock:
            return {key: float(count) for key, count in self.events.items()}

    def last_checks(self) -> dict[str, QueueChecked]:
        """Each queue's last look."""
        with self._lock:
            return dict(self.queues)

    def _service(self, name: str) -> ServiceState:
        return self.services.setdefault(name, ServiceState())


def _bounded(totals: TotalsReported) -> TotalsReported:
    """`totals` without what would flood Prometheus; a service of ours never comes near these limits."""
    if len(totals.families) <= FAMILIES_MAX and all(len(one.samples) <= SAMPLES_MAX for one in totals.families):
        return totals
    kept = tuple(one for one in totals.families[:FAMILIES_MAX] if len(one.samples) <= SAMPLES_MAX)
    return TotalsReported(at=totals.at, service=totals.service, families=kept)
