"""Stores what became of each run of a custom job: events, totals, log lines, answers, and when it is tried again."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from pyrotorque import humanize
from pyrotorque.bus import PendingRequest
from pyrotorque.events import JobFailed, JobFinished, JobRecovered, Live, TorrentMoved, TorrentRemoved, UniqueEvent
from pyrotorque.housekeeping.last_run import HANDLERS, has_open_problem
from pyrotorque.jobs.context import job_state_dir
from pyrotorque.limits import shortened
from pyrotorque.logs import owner_event
from pyrotorque.requests import Answer
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque.workers.preparation import SourceStamp
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.job_table import JobTable
from pyrotorque_scheduler.open_problems import OpenProblems
from pyrotorque_scheduler.state import EndedRun
from pyrotorque_scheduler.workers.event_runs import CancelledRun, EventRuns, UnrecordedRun
from pyrotorque_scheduler.workers.job_worker import JobWorker, RunResult

log = logging.getLogger("pyrotorque_scheduler.jobs")

_FAILING: Final = "job failing"
_RETRY_DELAYS: Final = (1.0, 5.0, 30.0, 120.0, 300.0)
"""Seconds until a queued event is tried again after its job could not be created or was interrupted."""


@dataclass
class PooledJob:
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


class RunRecords:
    """Under one configuration; each result is stored in one transaction, then logged."""

    def __init__(
        self,
        store: Store,
        runs: EventRuns,
        job_table: JobTable,
        router: EventRouter,
        publish_live: Callable[[Live], None],
        is_rtorrent_away: Callable[[], bool] = lambda: False,
        state_dir: Path | None = None,
    ) -> None:
        self._store = store
        self._state_dir = state_dir
        self._runs = runs
        self._job_table = job_table
        self._router = router
        self._publish_live = publish_live
        self._is_rtorrent_away = is_rtorrent_away
        # Over restarts and reloads: a failure that was reported has a recovery.
        self._problems = OpenProblems(store, router)
        for name in self._problems.subjects(_FAILING):
            if name not in job_table.customs and not job_table.settings.only:
                self._problems.forget(_FAILING, name)

    def drop_exhausted(self, name: str) -> None:
        """Drop the event whose run was interrupted too often, and publish the failure."""
        if (number := self._runs.exhausted(name)) is not None:
            with self._store.transaction():
                lost = self._runs.lose(name, number)
                self._publish_lost(name, "its run for one event was interrupted three times", lost)

    def record(self, name: str, job: PooledJob, result: RunResult) -> None:
        run = result.run
        is_event = run is not None and run.cause == "event"
        # The next fire time tries again. Its owner has to look at an event that is lost with its run, and at a job that
        # makes a call which is too slow, while rTorrent answers others.
        away = result.rtorrent_away and not is_event and self._is_rtorrent_away()
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
                for_jobs = run is None or _starts_jobs(run.event_type)
                self._publish_failure(name, result.error, result.seconds, for_jobs=for_jobs, rtorrent_away=away)
                self._publish_cancelled(cancelled, for_jobs=for_jobs)
            if run is not None:
                self._job_table.metrics.finished(name, time.time(), result.seconds, bool(result.error))
            if run is not None or result.error:
                ended = EndedRun(
                    at=time.time(), seconds=result.seconds, ok=not result.error, reason=printable(result.explanation)
                )
                self._job_table.last_runs.store(name, ended)
        if repeat:
            self.drop_exhausted(name)
        for event in added:
            _report(event)
        if away:
            log.warning("job %s failed, as rTorrent does not answer: %s", printable(name), result.error)
        else:
            self._update(name, job, result, repeat)
        self._answer(name, job, result)

    def _publish_failure(
        self, name: str, reason: str, seconds: float, *, for_jobs: bool = True, rtorrent_away: bool = False
    ) -> None:
        """Publish and count a failure; the total changes with the event."""
        event = JobFailed(
            at=time.time(), job=name, reason=printable(reason), seconds=seconds, rtorrent_away=rtorrent_away
        )
        self._job_table.metrics.failures.inc(name)
        self._router.add(event, for_jobs=for_jobs)

    def recover(self, name: str, ended: UnrecordedRun) -> None:
        """Publish what a run reported that had ended when the scheduler died, and its failure."""
        for report in ended.reports:
            self._router.add(shortened(replace(report, job=name)))
        if ended.failed:
            self._publish_lost(
                name,
                "its run failed while the scheduler was stopped, or applied a new configuration: see its log",
                ended,
            )

    def _publish_lost(self, name: str, reason: str, lost: UnrecordedRun) -> None:
        """Publish the failure of a run that has no result, and of those that are not made because of it."""
        for_jobs = _starts_jobs(lost.event_type)
        self._publish_failure(name, reason, 0.0, for_jobs=for_jobs)
        self._publish_cancelled(lost.cancelled, for_jobs=for_jobs)

    def _publish_cancelled(self, cancelled: Sequence[CancelledRun], *, for_jobs: bool) -> None:
        for run in cancelled:
            reason = f"not run for {printable(run.subject)}: job {printable(run.failed)}, which runs before it, failed"
            log.error("job %s: %s", printable(run.job), reason)
            owner_event("job failed", f"failed: job {run.job}: {reason}")
            self._publish_failure(run.job, reason, 0.0, for_jobs=for_jobs)

    def _update(self, name: str, job: PooledJob, result: RunResult, repeat: bool) -> None:
        now = time.monotonic()
        if not job.last_error and (began := self._problems.began(_FAILING, name)) is not None:
            job.failing_since = now - max(0.0, time.time() - began)
        if not result.error:
            if self._has_open_problem(name, result):
                self._publish_live(JobFinished(at=time.time(), job=name, seconds=result.seconds))
                return
            if job.last_error or self._problems.began(_FAILING, name) is not None:
                self._report_recovery(name, job, now - job.failing_since)
            job.failures, job.last_error, job.not_before = 0, "", 0.0
            self._publish_live(JobFinished(at=time.time(), job=name, seconds=result.seconds))
            return
        log.error("job %s failed after %.1f s: %s", printable(name), result.seconds, result.error)
        if not job.last_error and self._problems.began(_FAILING, name) is None:
            job.failing_since = now
            self._problems.note(_FAILING, name, time.time())
        if result.error != job.last_error:
            where = "; all of its output is in log/scheduler.log" if result.printed else ""
            owner_event("job failed", f"failed: job {name}: {result.explanation}{where}")
        job.last_error = result.error
        if repeat:
            job.not_before = now + _RETRY_DELAYS[min(job.failures, len(_RETRY_DELAYS) - 1)]
        job.failures += 1

    def _has_open_problem(self, name: str, result: RunResult) -> bool:
        """Whether this is a clean-up that succeeded only because it had reported its problem before."""
        job = self._job_table.customs.get(name)
        if self._state_dir is None or job is None:
            return False
        # Of users' classes, some write this file and some do not.
        since = None if job.handler in HANDLERS else time.time() - result.seconds - 1.0
        return has_open_problem(job_state_dir(self._state_dir, name), since=since)

    def _report_recovery(self, name: str, job: PooledJob, seconds: float) -> None:
        owner_event("job recovered", f"job {name} succeeded again after {humanize.duration(seconds)}")
        with self._store.transaction():
            self._problems.forget(_FAILING, name)
            self._router.add(JobRecovered(at=time.time(), job=name, failures=max(1, job.failures), seconds=seconds))

    def _answer(self, name: str, job: PooledJob, result: RunResult) -> None:
        if result.run is None or result.run.cause != "request":
            return
        shown = printable(name)
        text = f"{shown} failed: {result.explanation}" if result.error else f"{shown} was run, {result.seconds:.1f} s"
        answered, job.requests = job.requests, []
        for pending in answered:
            pending.answer(Answer(ok=not result.error, text=text))


def _starts_jobs(event_type: str) -> bool:
    """Whether the failure of a run for such an event starts jobs: in the handling of a failure, they could go on
    without end."""
    return event_type != JobFailed.__name__


def _report(event: UniqueEvent) -> None:
    """Write what a job did to an item to the owner's log."""
    match event:
        case TorrentMoved():
            owner_event("item moved", f"{event.job}: moved {event.name} to {event.new_path}")
        case TorrentRemoved():
            owner_event("item removed", f"{event.job}: removed {event.name}, data: {event.data} ({event.reason})")
        case _:
            pass
