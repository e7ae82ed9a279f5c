"""All custom jobs of the scheduler: run at fire times, for events and on request, each in its worker; never blocks."""

import logging
import time
from collections.abc import Callable
from typing import Final

from pyrotorque.bus import Bus, Gap, PendingRequest
from pyrotorque.errors import StateError
from pyrotorque.events import (
    Delivery,
    Fact,
    Live,
)
from pyrotorque.group_state import service_state_problem
from pyrotorque.job_order import EventOrder
from pyrotorque.jobs.left_moves import left_moves
from pyrotorque.layout import Layout
from pyrotorque.logs import owner_event
from pyrotorque.outbox import CursorTable
from pyrotorque.requests import Answer, Request, RunJob
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque.workers.preparation import create_message, source_stamp
from pyrotorque_scheduler.due_jobs import NEVER
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.job_table import JobTable
from pyrotorque_scheduler.workers.event_runs import EventRuns, event_subscriptions
from pyrotorque_scheduler.workers.job_worker import JobRun, JobWorker
from pyrotorque_scheduler.workers.run_records import PooledJob, RunRecords

log = logging.getLogger("pyrotorque_scheduler.jobs")

_EXIT_DEADLINE: Final = 0.4
OWN_STOP: Final = 5.0
"""Seconds: a run that is stopped before may have asked for that itself, as by `pyrotorque --restart`. Its attempt
counts, or it would do so without end."""
_LOOK_EVERY: Final = 1.0  # seconds between two looks whether the state folder is there


class WorkerPool:
    """Lives as long as the scheduler; `configure` applies a configuration and keeps the processes of unchanged jobs."""

    def __init__(self, store: Store, layout: Layout, umask: int) -> None:
        self._store = store
        self._layout = layout
        self._umask = umask
        self._runs = EventRuns(store, layout.state_dir / "marks")
        self._cursors = CursorTable(store)
        self._jobs: dict[str, PooledJob] = {}
        self._recovered = False
        self._held = ""
        self._look_at = 0.0

    def configure(
        self,
        job_table: JobTable,
        router: EventRouter,
        publish_live: Callable[[Live], None],
        is_rtorrent_away: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run these jobs from now on; `publish_live` publishes events that are not durable."""
        self._job_table, self._router = job_table, router
        self._records = RunRecords(
            self._store, self._runs, job_table, router, publish_live, is_rtorrent_away, self._layout.state_dir
        )
        settings = job_table.settings
        self._runs.set_routes(router.routes, EventOrder(settings.jobs), time.time(), forget=not settings.only)
        for text in () if settings.only else self._left(router):
            log.warning("%s", text)
        wanted = {name: job for name, job in job_table.customs.items() if settings.only in ("", name)}
        for name in [name for name, job in self._jobs.items() if not self._is_unchanged(job, wanted.get(name))]:
            self._remove(name)
        stamp = source_stamp(self._layout.config_dir / "jobs")
        for name, job in wanted.items():
            if name not in self._jobs:
                self._jobs[name] = PooledJob(self._worker(job, settings), stamp)
        if not self._recovered:
            for name in self._jobs:
                self._recover_marked(name)
            self._recovered = True

    def _left(self, router: EventRouter) -> list[str]:
        """What jobs have left behind that are not active any more."""
        return [*left_moves(self._layout.state_dir, self._job_table.customs), *self._runs.left_events(router.routes)]

    def _recover_marked(self, name: str) -> bool:
        """Complete the run that had ended when the scheduler died, or its worker was stopped; False without one."""
        with self._store.transaction():
            ended = self._runs.delete_marked(name)
            if ended is not None:
                self._records.recover(name, ended)
        return ended is not None

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
        begins = self._look_at if self._held else 0.0
        times = [min(job.worker.deadline, max(begins, self._due_at(name, job))) for name, job in self._jobs.items()]
        return max(0.0, min(times, default=NEVER) - now)

    def queue_events(self, bus: Bus, deliveries: list[Delivery], gaps: list[Gap]) -> None:
        """Queue events of other services for the jobs that are `on` them; the cursor moves in the same transaction."""
        if not self._router.routes:
            return
        for delivery in deliveries:
            if delivery.envelope.seq:
                with bus.applying(delivery):
                    jobs = self._router.routes.get(type(delivery.event).__name__, ())
                    self._runs.add(delivery.event, jobs, time.time())
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
                self._records.record(name, job, result)
            if not self._is_held(time.monotonic()):
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

    def _is_unchanged(self, job: PooledJob, settings: CustomSettings | None) -> bool:
        if settings is None or job.stamp != source_stamp(self._layout.config_dir / "jobs"):
            return False
        create = create_message(settings, self._job_table.settings, self._layout)
        return job.worker.settings == settings and job.worker.create == create

    def _remove(self, name: str) -> None:
        job = self._jobs.pop(name)
        run, seconds = job.worker.run, time.monotonic() - job.worker.began
        if run is not None:
            log.warning("job %s is stopped during a run", printable(name))
        job.worker.close()
        if run is not None and run.cause == "event":
            self._keep_event(name, run, seconds)
        self._job_table.metrics.running.set(0, name)
        for pending in job.requests:
            pending.answer(Answer(ok=False, text=f"{printable(name)} was stopped before its run ended"))

    def _keep_event(self, name: str, run: JobRun, seconds: float) -> None:
        """Its run was stopped with the scheduler, or for a new configuration: that says nothing about the job."""
        try:
            with self._store.transaction():
                if not self._recover_marked(name) and seconds >= OWN_STOP:
                    self._runs.put_back(run)
        except StateError as error:  # its attempt counts, as after a kill
            log.warning("job %s: %s", printable(name), error)

    def _due_at(self, name: str, job: PooledJob) -> float:
        if not job.worker.is_idle:
            return NEVER
        if job.ticked or job.requests:
            return 0.0
        return job.not_before if self._has_event(name, job) else NEVER

    def _has_event(self, name: str, job: PooledJob) -> bool:
        settings = job.worker.settings
        return bool(settings.on) and not self._job_table.job_states.is_paused(name) and self._runs.is_pending(name)

    def _begin(self, name: str, job: PooledJob, now: float) -> None:
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

    def _is_held(self, now: float) -> bool:
        """Whether no run begins: the journals and limits of jobs are on a disk that is not mounted."""
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            problem = service_state_problem(self._layout)
            if bool(problem) is not bool(self._held):
                log.warning("%s", f"no job is run: {problem}" if problem else "jobs are run again")
            self._held = problem
        return bool(self._held)

    def _next_event(self, name: str) -> JobRun | None:
        self._records.drop_exhausted(name)
        return self._runs.take(name)

    def _trim_events(self) -> None:
        """Bound the queue of each job, also of one that is paused or runs for hours."""
        for name in self._jobs:
            if dropped := self._runs.trim(name):
                text = f"dropped the oldest {dropped} events: the queue of events is full"
                log.error("job %s: %s", printable(name), text)
                owner_event("job failed", f"failed: job {name}: {text}")
