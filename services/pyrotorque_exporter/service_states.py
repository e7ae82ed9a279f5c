"""The latest heartbeat, state and totals of each service; written by the loop, read by scrapes in other threads."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.events import Delivery, Family, Heartbeat, ServiceStateChanged, TotalsReported

EXPORTER: Final = "exporter"
SILENT_AFTER: Final = 5.0
"""Seconds without a heartbeat after which a service's gauges are withdrawn, because they are outdated."""

FAMILIES_MAX: Final = 200
SAMPLES_MAX: Final = 2000


@dataclass(slots=True)
class ServiceState:
    """One service; its last heartbeat was received at `received` (monotonic) and sent at `heartbeat_at` (Unix time)."""

    heartbeat: Heartbeat | None = None
    received: float = float("-inf")
    heartbeat_at: float = 0.0
    state: str = ""
    totals: TotalsReported | None = None


@dataclass(slots=True)
class ServiceStates:
    """All services; every method may be called from any thread."""

    clock: Callable[[], float]
    services: dict[str, ServiceState] = field(default_factory=dict[str, ServiceState])
    events: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Durable events by (source, type), including those of earlier runs of the exporter."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, services: Iterable[str]) -> None:
        """Include these services even before their first heartbeat."""
        with self._lock:
            for name in services:
                self.services.setdefault(name, ServiceState())

    def receive(self, delivery: Delivery) -> None:
        """Apply one event."""
        with self._lock:
            if delivery.envelope.seq:
                self.events[delivery.envelope.source, type(delivery.event).__name__] += 1
            match delivery.event:
                case Heartbeat() as heartbeat:
                    service = self._service(heartbeat.service)
                    service.heartbeat, service.received = heartbeat, self.clock()
                    service.heartbeat_at = heartbeat.at
                case TotalsReported() as totals:
                    self._service(totals.service).totals = _bounded(totals)
                case ServiceStateChanged() as change:
                    self._service(change.service).state = change.state
                case _:
                    pass

    def restore(
        self, totals: Iterable[TotalsReported], states: Mapping[str, str], events: Mapping[tuple[str, str], int]
    ) -> None:
        """Continue from what an earlier run of the exporter saved."""
        with self._lock:
            for one in totals:
                self._service(one.service).totals = _bounded(one)
            for name, state in states.items():
                self._service(name).state = state
            self.events.update(events)

    def families(self, selects: Callable[[str], bool]) -> list[Family]:
        """The families whose name `selects` accepts: all counters and histograms, gauges of services that are up."""
        with self._lock:
            now = self.clock()
            return [
                family
                for service in self.services.values()
                if service.totals is not None
                for family in service.totals.families
                if selects(family.name) and (family.kind != "gauge" or now - service.received <= SILENT_AFTER)
            ]

    def is_up(self, name: str) -> bool:
        """Whether service `name` sent a heartbeat recently; the exporter, which receives none of its own, is up."""
        with self._lock:
            service = self.services.get(name)
            return name == EXPORTER or (service is not None and self.clock() - service.received <= SILENT_AFTER)

    def snapshot(self) -> dict[str, ServiceState]:
        """A copy that later events do not change."""
        with self._lock:
            return {
                name: ServiceState(one.heartbeat, one.received, one.heartbeat_at, one.state, one.totals)
                for name, one in self.services.items()
            }

    def event_counts(self) -> dict[tuple[str, str], float]:
        """Durable events by (source, type)."""
        with self._lock:
            return {key: float(count) for key, count in self.events.items()}

    def _service(self, name: str) -> ServiceState:
        return self.services.setdefault(name, ServiceState())


def _bounded(totals: TotalsReported) -> TotalsReported:
    """`totals` without families that would overload Prometheus; no service comes near these limits."""
    if len(totals.families) <= FAMILIES_MAX and all(len(one.samples) <= SAMPLES_MAX for one in totals.families):
        return totals
    kept = tuple(one for one in totals.families[:FAMILIES_MAX] if len(one.samples) <= SAMPLES_MAX)
    return TotalsReported(at=totals.at, service=totals.service, families=kept)
