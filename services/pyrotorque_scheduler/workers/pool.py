"""All custom jobs of the scheduler: run at fire times, for events and on request, each in its worker; never blocks."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyrotorque import humanize
from pyrotorque.bus import Bus, Gap, PendingRequest
from pyrotorque.events import (
    Delivery,
    Fact,
    JobFailed,
    JobFinished,
    JobRecovered,
    Live,
    TorrentMoved,
    TorrentRemoved,
    UniqueEvent,
)
from pyrotorque.job_order import EventOrder
from pyrotorque.layout import Layout
from pyrotorque.logs import owner_event
from pyrotorque.outbox import CursorTable
from pyrotorque.requests import Answer, Request, RunJob
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque.workers.preparation import SourceStamp, create_message, source_stamp
from pyrotorque_scheduler.due_jobs import NEVER
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.job_table import JobTable
from pyrotorque_scheduler.state import EndedRun
from pyrotorque_scheduler.workers.event_runs import CancelledRun, EventRuns, event_subscriptions
from pyrotorque_scheduler.workers.job_worker import JobRun, JobWorker, RunResult

log = logging.getLogger("pyrotorque_scheduler.jobs")

_EXIT_DEADLINE: Final = 0.4
_RETRY_DELAYS: Final = (1.0, 5.0, 30.0, 120.0, 300.0)
"""Seconds until a queued event is tried again after its job could not be created or was interrupted."""


@dataclass
class _PooledJob:
    """One job: its worker, what requests its next run, and its failures."""

    worker: JobWorker
    stamp: SourceStamp
    ticked: bool = False
    requests: list[PendingRequest] = field(default_factory=list[PendingRequest])
    failures: int = 0
    failing_since: float = 0.0
    """When the first of the last failures in a row ended (monotonic)."""
    not_before: float = 0.0
    last_error: str = ""
    """Empty if the last run succeeded."""


class WorkerPool:
    """Lives as long as the scheduler; `configure` applies a configuration and keeps the processes of unchanged jobs."""

    def __init__(self, store: Store, layout: Layout, umask: int) -> None:
        self._store = store
        self._layout = layout
        self._umask = umask
        self._runs = EventRuns(store, layout.state_dir / "marks")
        self._cursors = CursorTable(store)
        self._jobs: dict[str, _PooledJob] = {}
        self._recovered = False

    def configure(self, job_table: JobTable, router: EventRouter, publish_live: Callable[[Live], None]) -> None:
        """Run these jobs from now on; `publish_live` publishes events that are not durable."""
        self._job_table, self._router, self._publish_live = job_table, router, publish_live
        settings = job_table.settings
        self._runs.set_routes(router.routes, EventOrder(settings.jobs), time.time(), forget=not settings.only)
        wanted = {name: job for name, job in job_table.customs.items() if settings.only in ("", name)}
        for name in [name for name, job in self._jobs.items() if not self._is_unchanged(job, wanted.get(name))]:
            self._remove(name)
        stamp = source_stamp(self._layout.config_dir / "jobs")
        for name, job in wanted.items():
            if name not in self._jobs:
                self._jobs[name] = _PooledJob(self._worker(job, settings), stamp)
        if not self._recovered:
            for name in self._jobs:
                self._recover_marked(name)
            self._recovered = True

    def _recover_marked(self, name: str) -> None:
        """Complete the run that ended when the scheduler died."""
        with self._store.transaction():
            cancelled = self._runs.delete_marked(name)
            if cancelled is not None:
                self._publish_lost(name, "its run failed when the scheduler was killed: see its log")
                self._publish_cancelled(cancelled)

    def create_jobs(self) -> None:
        """Create all jobs now, so that their errors are reported at the start."""
        for job in self._jobs.values():
            job.worker.create_job(time.monotonic())

    def subscriptions(
        self, hints: dict[str, tuple[type[Fact], ...]]
    ) -> tuple[dict[str, tuple[type[Fact], ...]], CursorTable | None]:
        """What to subscribe to, always including `hints`; with cursors if a job must not miss events."""
        return event_subscriptions(self._router.routes, hints), self._cursors if self._router.routes else None

    def fds(self) -> list[int]:
        return [fd for job in self._jobs.values() for fd in job.worker.fds]

    def wait(self, now: float) -> float:
        """Seconds until `step` has something to do, unless a descriptor becomes readable before."""
        times = [min(job.worker.deadline, self._due_at(name, job)) for name, job in self._jobs.items()]
        return max(0.0, min(times, default=NEVER) - now)

    def queue_events(self, bus: Bus, deliveries: list[Delivery], gaps: list[Gap]) -> None:
        """Queue events of other services for the jobs that are `on` them; the cursor moves in the same transaction."""
        if not self._router.routes:
            return
        for delivery in deliveries:
            if delivery.envelope.seq:
                with bus.applying(delivery):
                    self._runs.add(delivery.event, self._router.routes.get(type(delivery.event).__name__, ()))
        for gap in gaps:
            log.error("jobs miss events of the %s that can no longer be replayed: %s", gap.source, gap.reason)
            owner_event("job failed", f"failed: jobs miss events of the {gap.source}: {gap.reason}")

    def accept(self, pending: PendingRequest) -> bool:
        """Whether the request is to run one of these jobs; it is answered when the run has ended."""
        request: Request = pending.request
        if not isinstance(request, RunJob) or request.job not in self._jobs:
            return False
        self._jobs[request.job].requests.append(pending)
        return True

    def tick(self, name: str) -> None:
        """A fire time: skipped while a run for a fire time or request is in progress, delayed by one for an event."""
        job = self._jobs.get(name)
        if job is None or self._job_table.job_states.is_paused(name):
            return
        run = job.worker.run
        if job.ticked or (run is not None and run.cause != "event"):
            self._job_table.metrics.skipped.inc(name)
        else:
            job.ticked = True

    def step(self) -> None:
        """Read from all workers, record the runs that ended, start those that are due; takes milliseconds."""
        if self._runs.has_grown():
            self._trim_events()
        for name, job in self._jobs.items():
            for result in job.worker.step(time.monotonic()):
                self._record(name, job, result)
            self._begin(name, job, time.monotonic())

    def close(self) -> None:
        """End all processes; idle jobs get time to close themselves."""
        for job in self._jobs.values():
            job.worker.request_exit()
        end = time.monotonic() + _EXIT_DEADLINE
        idle = [job.worker for job in self._jobs.values() if job.worker.is_idle]
        while time.monotonic() < end and not all(worker.has_exited for worker in idle):
            time.sleep(0.005)
        for name in list(self._jobs):
            self._remove(name)

    def pids(self) -> dict[str, int]:
        """The running worker processes, by job."""
        return {name: pid for name, job in self._jobs.items() if (pid := job.worker.pid) is not None}

    def _worker(self, job: CustomSettings, settings: Settings) -> JobWorker:
        create = create_message(job, settings, self._layout)
        return JobWorker(job, create, self._umask, self._runs.mark_file(job.name))

    def _is_unchanged(self, job: _PooledJob, settings: CustomSettings | None) -> bool:
        if settings is None or job.stamp != source_stamp(self._layout.config_dir / "jobs"):
            return False
        create = create_message(settings, self._job_table.settings, self._layout)
        return job.worker.settings == settings and job.worker.create == create

    def _remove(self, name: str) -> None:
        job = self._jobs.pop(name)
        if job.worker.run is not None:
            log.warning("job %s is stopped during a run", printable(name))
        job.worker.close()
        self._job_table.metrics.running.set(0, name)
        for pending in job.requests:
            pending.answer(Answer(ok=False, text=f"{printable(name)} was stopped before its run ended"))

    def _due_at(self, name: str, job: _PooledJob) -> float:
        if not job.worker.is_idle:
            return NEVER
        if job.ticked or job.requests:
            return 0.0
        return job.not_before if self._has_event(name, job) else NEVER

    def _has_event(self, name: str, job: _PooledJob) -> bool:
        settings = job.worker.settings
        return bool(settings.on) and not self._job_table.job_states.is_paused(name) and self._runs.is_pending(name)

    def _begin(self, name: str, job: _PooledJob, now: float) -> None:
        if not job.worker.is_idle:
            return
        run: JobRun | None = None
        if job.requests:
            run = JobRun("request")
        elif job.ticked:
            job.ticked, run = False, JobRun("tick")
        elif now >= job.not_before and self._has_event(name, job):
            run = self._next_event(name)
        if run is not None:
            self._job_table.metrics.running.set(1, name)
            job.worker.begin(run, now)

    def _next_event(self, name: str) -> JobRun | None:
        self._drop_exhausted(name)
        return self._runs.take(name)

    def _trim_events(self) -> None:
        """Bound the queue of each job, also of one that is paused or runs for hours."""
        for name in self._jobs:
            if dropped := self._runs.trim(name):
                text = f"dropped the oldest {dropped} events: the queue of events is full"
                log.error("job %s: %s", printable(name), text)
                owner_event("job failed", f"failed: job {name}: {text}")

    def _drop_exhausted(self, name: str) -> None:
        """Drop the event whose run was interrupted too often, and publish the failure."""
        if (number := self._runs.exhausted(name)) is not None:
            with self._store.transaction():
                cancelled = self._runs.fail(name, number)
                self._publish_lost(name, "its run for one event was interrupted three times")
                self._publish_cancelled(cancelled)

    def _record(self, name: str, job: _PooledJob, result: RunResult) -> None:
        run = result.run
        is_event = run is not None and run.cause == "event"
        repeat = run is not None and is_event and (result.interrupted or not result.started)
        if run is not None and is_event and not result.started:
            self._runs.put_back(run)
        added: list[UniqueEvent] = []
        with self._store.transaction():
            cancelled: list[CancelledRun] = []
            if run is not None and is_event and not repeat:
                if result.error:
                    cancelled = self._runs.fail(name, run.number)
                else:
                    self._runs.delete(run.number)
            for report in result.reports:
                self._router.add(report)
            for unique in result.unique_events:
                if self._router.add_once(unique.identity, unique.event):
                    added.append(unique.event)
                    self._job_table.metrics.count(unique.event)
            if result.error:
                # A failure in the handling of a failure starts no further jobs: they could go on indefinitely.
                for_jobs = run is None or run.event_type != "JobFailed"
                self._publish_failure(name, result.error, result.seconds, for_jobs=for_jobs)
                self._publish_cancelled(cancelled, for_jobs=for_jobs)
            if run is not None:
                self._job_table.metrics.finished(name, time.time(), result.seconds, bool(result.error))
            if run is not None or result.error:
                ended = EndedRun(
                    at=time.time(), seconds=result.seconds, ok=not result.error, reason=printable(result.error)
                )
                self._job_table.last_runs.store(name, ended)
        if repeat:
            self._drop_exhausted(name)
        for event in added:
            _report(event)
        self._update(name, job, result, repeat)
        self._answer(name, job, result)

    def _publish_failure(self, name: str, reason: str, seconds: float, *, for_jobs: bool = True) -> None:
        event = JobFailed(at=time.time(), job=name, reason=printable(reason), seconds=seconds)
        self._router.add(event, for_jobs=for_jobs)

    def _publish_lost(self, name: str, reason: str, *, for_jobs: bool = True) -> None:
        """Publish and count the failure of a run that has no result."""
        self._job_table.metrics.failures.inc(name)
        self._publish_failure(name, reason, 0.0, for_jobs=for_jobs)

    def _publish_cancelled(self, cancelled: Sequence[CancelledRun], *, for_jobs: bool = True) -> None:
        for run in cancelled:
            reason = f"not run for {printable(run.subject)}: job {printable(run.failed)}, which runs before it, failed"
            log.error("job %s: %s", printable(run.job), reason)
            owner_event("job failed", f"failed: job {run.job}: {reason}")
            self._publish_lost(run.job, reason, for_jobs=for_jobs)

    def _update(self, name: str, job: _PooledJob, result: RunResult, repeat: bool) -> None:
        if not result.error:
            if job.last_error:
                self._report_recovery(name, job)
            job.failures, job.last_error, job.not_before = 0, "", 0.0
            self._publish_live(JobFinished(at=time.time(), job=name, seconds=result.seconds))
            return
        log.error("job %s failed after %.1f s: %s", printable(name), result.seconds, result.error)
        if not job.last_error:
            job.failing_since = time.monotonic()
        if result.error != job.last_error:
            owner_event("job failed", f"failed: job {name}: {result.error}")
        job.last_error = result.error
        if repeat:
            job.not_before = time.monotonic() + _RETRY_DELAYS[min(job.failures, len(_RETRY_DELAYS) - 1)]
        job.failures += 1

    def _report_recovery(self, name: str, job: _PooledJob) -> None:
        seconds = time.monotonic() - job.failing_since
        owner_event("job recovered", f"job {name} succeeded again after {humanize.duration(seconds)}")
        self._router.commit(JobRecovered(at=time.time(), job=name, failures=job.failures, seconds=seconds))

    def _answer(self, name: str, job: _PooledJob, result: RunResult) -> None:
        if result.run is None or result.run.cause != "request":
            return
        shown = printable(name)
        text = f"{shown} failed: {result.error}" if result.error else f"{shown} was run, {result.seconds:.1f} s"
        answered, job.requests = job.requests, []
        for pending in answered:
            pending.answer(Answer(ok=not result.error, text=text))


def _report(event: UniqueEvent) -> None:
    """Write what a job did to an item to the owner's log."""
    match event:
        case TorrentMoved():
            owner_event("item moved", f"{event.job}: moved {event.name} to {event.new_path}")
        case TorrentRemoved():
            owner_event("item removed", f"{event.job}: removed {event.name}, data: {event.data} ({event.reason})")
        case _:
            pass
