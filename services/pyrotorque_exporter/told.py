"""What the other services told: heartbeats and last totals, kept in memory for any thread to look at."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.events import Delivery, Family, Heartbeat, QueueChecked, ServiceStateChanged, TotalsReported

SILENT_AFTER: Final = 5.0
"""Seconds without a heartbeat after which a service's gauges are withdrawn: they would lie."""

FAMILIES_MAX: Final = 200
SAMPLES_MAX: Final = 2000


@dataclass(slots=True)
class Service:
    """What is known of one service; `heard` is when its last heartbeat came (monotonic), `beat_at` the same in Unix time."""

    heartbeat: Heartbeat | None = None
    heard: float = float("-inf")
    beat_at: float = 0.0
    state: str = ""
    totals: TotalsReported | None = None


@dataclass(frozen=True, slots=True)
class Losses:
    """Events of one source that did not reach us, and messages that could not be read."""

    lost: float = 0.0
    undecodable: float = 0.0


@dataclass(slots=True)
class Told:
    """Written by the loop, read by scrapes; every method may be called from any thread."""

    clock: Callable[[], float]
    services: dict[str, Service] = field(default_factory=dict[str, Service])
    received: Counter[str] = field(default_factory=Counter[str])
    losses: dict[str, Losses] = field(default_factory=dict[str, Losses])
    queues: dict[str, QueueChecked] = field(default_factory=dict[str, QueueChecked])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def expect(self, services: Iterable[str]) -> None:
        """Show these services from the beginning, also those that were never heard of."""
        with self._lock:
            for name in services:
                self.services.setdefault(name, Service())
                self.received.setdefault(name, 0)
                self.losses.setdefault(name, Losses())

    def hear(self, delivery: Delivery) -> None:
        """Take in one event."""
        source = delivery.envelope.source
        with self._lock:
            self.received[source] += 1
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

    def remember(self, service: str, totals: TotalsReported | None, state: str) -> None:
        """What an earlier life of the exporter knew of `service`."""
        with self._lock:
            known = self._service(service)
            known.totals, known.state = known.totals or totals, known.state or state

    def note_losses(self, source: str, losses: Losses) -> None:
        with self._lock:
            self.losses[source] = losses

    def beating(self, name: str) -> bool:
        """Whether `name` was heard of within the last SILENT_AFTER seconds."""
        with self._lock:
            service = self.services.get(name)
            return service is not None and self.clock() - service.heard <= SILENT_AFTER

    def families(self, prefixes: tuple[str, ...]) -> list[Family]:
        """The families whose names begin so: all counters and histograms, gauges of services that are alive."""
        with self._lock:
            now = self.clock()
            return [
                family
                for service in self.services.values()
                if service.totals is not None
                for family in service.totals.families
                if family.name.startswith(prefixes) and (family.kind != "gauge" or now - service.heard <= SILENT_AFTER)
            ]

    def snapshot(self) -> dict[str, Service]:
        """A copy that the loop does not change under the reader's hands."""
        with self._lock:
            return {
                name: Service(one.heartbeat, one.heard, one.beat_at, one.state, one.totals)
                for name, one in self.services.items()
            }

    def counts(self) -> tuple[dict[str, float], dict[str, Losses]]:
        """Events received, and losses, by source."""
        with self._lock:
            return dict(self.received), dict(self.losses)

    def last_checks(self) -> dict[str, QueueChecked]:
        """Each queue's last look."""
        with self._lock:
            return dict(self.queues)

    def _service(self, name: str) -> Service:
        return self.services.setdefault(name, Service())


def _bounded(totals: TotalsReported) -> TotalsReported:
    """`totals` without what would flood Prometheus; a service of ours never comes near these limits."""
    if len(totals.families) <= FAMILIES_MAX and all(len(one.samples) <= SAMPLES_MAX for one in totals.families):
        return totals
    kept = tuple(one for one in totals.families[:FAMILIES_MAX] if len(one.samples) <= SAMPLES_MAX)
    return TotalsReported(at=totals.at, service=totals.service, families=kept)
