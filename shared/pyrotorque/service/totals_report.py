"""Decides when a service publishes its totals: soon after they changed, and regularly in any case."""

import time
from dataclasses import dataclass, field
from typing import Final, Protocol

from pyrotorque.events import Family, Live, TotalsReported
from pyrotorque.store import Store
from pyrotorque.totals import Totals

CHANGED_INTERVAL: Final = 5.0  # seconds between two reports of totals that change
UNCHANGED_INTERVAL: Final = 30.0  # seconds between two reports of totals that do not


class LivePublisher(Protocol):
    """The part of the bus that is needed here."""

    def publish_live(self, event: Live) -> None: ...


@dataclass
class TotalsReport:
    """The last report of one service; `monotonic` in its methods is CLOCK_MONOTONIC seconds."""

    service: str
    totals: Totals
    bus: LivePublisher
    _reported_at: float = float("-inf")
    _reported: tuple[Family, ...] | None = field(default=None, repr=False)

    def is_due(self, monotonic: float) -> bool:
        """Whether totals that changed are published now."""
        return monotonic - self._reported_at >= CHANGED_INTERVAL

    def is_overdue(self, monotonic: float) -> bool:
        """Whether totals are published now even if they did not change."""
        return monotonic - self._reported_at >= UNCHANGED_INTERVAL

    def save_and_publish(self, store: Store, monotonic: float) -> None:
        """Publish totals that changed or are overdue; they are saved first, so that no restart takes them back."""
        families = self.totals.families()
        if families != self._reported or self.is_overdue(monotonic):
            self.totals.save(store)
            self._publish(families, monotonic)

    def publish(self, monotonic: float) -> None:
        """Publish the totals of now, which were saved already."""
        self._publish(self.totals.families(), monotonic)

    def _publish(self, families: tuple[Family, ...], monotonic: float) -> None:
        self._reported, self._reported_at = families, monotonic
        self.bus.publish_live(TotalsReported(at=time.time(), service=self.service, families=families))
