"""Runs checks of queues and samples of connections, records each run, and completes starts that were interrupted."""

import time
from collections.abc import Callable
from typing import Final

from pyrotorque.rtorrent.availability import Availability
from pyrotorque.service.runtime import Runtime
from pyrotorque_scheduler.due_jobs import Cause, DueJobs
from pyrotorque_scheduler.job_table import JobTable
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.check import Queue
from pyrotorque_scheduler.queue.check_result import CheckResult, PublishedChecks
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.queue.stall_report import StallReports
from pyrotorque_scheduler.state import EndedRun

# A check makes a few calls with a deadline of ten seconds each, and ends at the first that fails. Each start of a batch
# begins it again: hundreds of starts take long where rTorrent is busy.
CHECK_DEADLINE: Final = 60.0
_RETRY_AFTER: Final = 5.0


class QueueRuns:
    """The runs of all jobs that run in the scheduler's own loop."""

    def __init__(
        self,
        runtime: Runtime,
        job_table: JobTable,
        due_jobs: DueJobs,
        availability: Availability,
        metrics: SchedulerMetrics,
        stalls: StallReports,
        now: Callable[[], Instant],
    ) -> None:
        self._life = runtime.life
        self._bus = runtime.bus
        self._job_table = job_table
        self._due_jobs = due_jobs
        self._availability = availability
        self._metrics = metrics
        self._stalls = stalls
        self._now = now
        self._published_checks = PublishedChecks()
        self._recovery_pending = True

    def recover(self) -> None:
        """Complete starts that were cut off by a kill or a lost connection, before anything is decided."""
        starter = self._job_table.starter
        if self._recovery_pending and starter is not None:
            # Without open intents there is no call, and so no news about the availability of rTorrent.
            self._recovery_pending = starter.has_open_intents() and not self._attempt(
                "start", lambda: starter.recover(time.monotonic())
            )

    def is_held(self, name: str) -> bool:
        """Whether the queue can start nothing, whatever the event was: thousands of events then cause no check."""
        queue = self._job_table.queues.get(name)
        # The first check always runs: its result is published and shown.
        hold = queue.schedule_hold(self._now()) if queue is not None and queue.last is not None else None
        if hold is not None and hold.until is not None:
            self._recheck(name, hold.until)
        return hold is not None

    def _recheck(self, name: str, at: float) -> None:
        wait = at - time.time()
        # A time that has passed already must not cause one check after the other.
        self._due_jobs.recheck(name, time.monotonic() + (wait if wait > 0 else _RETRY_AFTER))

    def run(self, name: str, cause: Cause) -> CheckResult | None:
        """Run a job now; returns the result of a queue's check."""
        began = time.monotonic()
        result: CheckResult | None = None
        failed = False
        self._metrics.running.set(1, name)
        with self._life.step(f"job {name}", began + CHECK_DEADLINE):
            if (queue := self._job_table.queues.get(name)) is not None:
                result = self._check(queue, cause)
                failed = result is None
            elif (stats := self._job_table.stats.get(name)) is not None:
                failed = not self._attempt("connstats", lambda: stats.run(time.time()))
        seconds = time.monotonic() - began
        self._metrics.finished(name, time.time(), seconds, failed)
        if failed:
            self._metrics.failures.inc(name)
        reason = self._availability.failure if failed else ""
        self._job_table.last_runs.put(name, EndedRun(at=time.time(), seconds=seconds, ok=not failed, reason=reason))
        if failed and self._availability.problem:
            self._due_jobs.recheck(name, time.monotonic() + _RETRY_AFTER)
        return result

    def _check(self, queue: Queue, cause: Cause) -> CheckResult | None:
        result: CheckResult | None = None

        def check() -> bool:
            nonlocal result
            queue.progressed = self._extend
            result = queue.check(self._now(), cause)
            if result.called_rtorrent:
                self._stalls.checked(queue, result, self._now())
            return result.called_rtorrent

        if not self._attempt(queue.name, check):
            self._recovery_pending = True
            self._metrics.skips.inc(queue.name, "rpc")
        self._bus.publish()
        if result is not None:
            self._after_check(queue, cause, result)
        return result

    def _extend(self) -> None:
        self._life.extend(time.monotonic() + CHECK_DEADLINE)

    def verify_starts(self) -> None:
        """Complete starts whose items rTorrent was still checking."""
        starter = self._job_table.starter
        if starter is not None and starter.wait(time.monotonic()) <= 0:
            self._attempt("start", lambda: starter.verify(time.monotonic()))
            self._bus.publish()

    def _after_check(self, queue: Queue, cause: Cause, result: CheckResult) -> None:
        if result.called_rtorrent and cause != "request":
            self._due_jobs.charge(queue.name, time.monotonic())
        if result.hold.until is not None and not result.started:
            self._recheck(queue.name, result.hold.until)
        if (
            event := self._published_checks.event(
                queue.name, queue.rules.limits.downloading_max, result, time.monotonic()
            )
        ) is not None:
            self._bus.publish_live(event)

    def _attempt(self, what: str, call: Callable[[], object]) -> bool:
        """Whether a call to rTorrent succeeded; errors are logged once."""
        return self._availability.attempt(what, call, time.monotonic())
