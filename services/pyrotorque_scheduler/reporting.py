"""When the scheduler says what it counts, and which checks are worth an event."""

import time
from typing import Final

from pyrotorque.events import Family
from pyrotorque.store import Store
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.check import CheckResult

_CHANGED_EVERY: Final = 5.0
_SAME_EVERY: Final = 30.0
_CHECKS_EVERY: Final = 60.0


class Reporting:
    """Totals every five seconds when they changed, every thirty when not; saved whenever they are reported."""

    def __init__(self, service: str, metrics: SchedulerMetrics, store: Store) -> None:
        self._service = service
        self._metrics = metrics
        self._store = store
        self._reported_at = float("-inf")
        self._reported: tuple[Family, ...] | None = None
        self._checks: dict[str, tuple[float, tuple[object, ...]]] = {}

    def is_time(self, now: float) -> bool:
        return now - self._reported_at >= _CHANGED_EVERY

    def due(self, now: float) -> tuple[Family, ...] | None:
        """The totals when they should be reported; `now` is CLOCK_MONOTONIC seconds."""
        families = self._metrics.totals.families()
        if families == self._reported and now - self._reported_at < _SAME_EVERY:
            return None
        self.save()
        self._reported, self._reported_at = families, now
        return families

    def save(self) -> None:
        self._metrics.totals.save(self._store)

    def is_news(self, job: str, outcome: CheckResult) -> bool:
        """Whether this check came to something else than the last one told, or the last is a minute ago."""
        now = time.monotonic()
        facts = (outcome.hold.reason, outcome.startable, outcome.downloading)
        at, told = self._checks.get(job, (float("-inf"), ()))
        if not outcome.started and told == facts and now - at < _CHECKS_EVERY:
            return False
        self._checks[job] = (now, facts)
        return True
