"""The result of a check of a queue, its metrics, and which results are published."""

from dataclasses import dataclass
from typing import Final

from pyrotorque.events import QueueChecked
from pyrotorque_scheduler.due_jobs import Cause
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.explain_text import hold_text
from pyrotorque_scheduler.queue.model import Hold, QueueState

_SAME_CHECK_EVERY: Final = 60.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: `hold` is why no more was started; numbers are None where the check needed none."""

    at: float
    hold: Hold
    started: int = 0
    startable: int | None = None
    downloading: int | None = None
    called_rtorrent: bool = False


def count_check(
    metrics: SchedulerMetrics, job: str, result: CheckResult, cause: Cause, state: QueueState, intermission: float
) -> None:
    """Set the metrics of a queue after a check."""
    metrics.checks.inc(job, cause)
    metrics.last_run.set(result.at, job)
    if result.downloading is not None:
        metrics.downloading.set(result.downloading, job)
    if result.startable is not None:
        metrics.startable.set(max(0, result.startable - result.started), job)
    if (last := state.last_batch) is not None:
        metrics.intermission_end.set(last.wall + intermission, job)
        # The stored state may be from before a restart.
        metrics.last_start.set(max(last.wall, metrics.last_start.get(job)), job)
    if not result.started:
        metrics.skips.inc(job, result.hold.reason)


class PublishedChecks:
    """The last published check of each queue: one with the same result is published once a minute."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, tuple[object, ...]]] = {}

    def event(self, job: str, slots: int, result: CheckResult, now: float) -> QueueChecked | None:
        """The event to publish, if any; `now` is CLOCK_MONOTONIC seconds."""
        facts = (result.hold.reason, result.startable, result.downloading)
        at, published = self._last.get(job, (float("-inf"), ()))
        if not result.started and published == facts and now - at < _SAME_CHECK_EVERY:
            return None
        self._last[job] = (now, facts)
        return QueueChecked(
            at=result.at,
            job=job,
            startable=result.startable,
            downloading=result.downloading,
            slots=slots,
            started=result.started,
            reason=hold_text(result.hold, result.at),
            summary=hold_text(result.hold, result.at, error=False),
        )
