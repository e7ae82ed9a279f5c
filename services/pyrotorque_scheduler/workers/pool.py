"""All jobs of users: run at their times, for their events and on request, each in its process; the loop never waits."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.bus import Bus, Gap, PendingRequest
from pyrotorque.events import Delivery, Fact, JobFailed, JobFinished, Live
from pyrotorque.layout import Layout
from pyrotorque.logs import owner_log
from pyrotorque.outbox import CursorTable
from pyrotorque.requests import Answer, Request, RunJob
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque.workers.preparation import Stamp, prepared, stamp_of
from pyrotorque_scheduler.due_jobs import NEVER
from pyrotorque_scheduler.event_routing import EventRouter
from pyrotorque_scheduler.job_table import JobTable
from pyrotorque_scheduler.workers.event_runs import EventRuns
from pyrotorque_scheduler.workers.following import followed
from pyrotorque_scheduler.workers.job_worker import Ended, JobWorker, Task

log = logging.getLogger("pyrotorque_scheduler.jobs")

_LEAVE_WITHIN: Final = 0.4
_PATIENCE: Final = (1.0, 5.0, 30.0, 120.0, 300.0)
"""Seconds until a job that could not be made is tried again for an event that waits."""


@dataclass
class _Desk:
    """One job here: its worker, who waits for its next run, and how it has fared."""

    worker: JobWorker
    stamp: Stamp
    ticked: bool = False
    asked: list[PendingRequest] = field(default_factory=list[PendingRequest])
    failures: int = 0
    not_before: float = 0.0
    reason: str = ""
    """Why the last run failed; empty when it did not."""


class Workers:
    """Lives as long as the scheduler; `adopt` gives it a configuration, and keeps processes of what is unchanged."""

    def __init__(self, store: Store, layout: Layout, umask: int) -> None:
        self._store = store
        self._layout = layout
        self._umask = umask
        self._runs = EventRuns(store, layout.state_dir / "marks")
        self._cursors = CursorTable(store)
        self._desks: dict[str, _Desk] = {}
        self._recovered = False

    def adopt(self, job_table: JobTable, router: EventRouter, tell: Callable[[Live], None]) -> None:
        """Work for these jobs from now on; `tell` publishes what is live."""
        self._job_table, self._router, self._tell = job_table, router, tell
        settings = job_table.settings
        self._runs.want(router.routes, time.time(), forget=not settings.only)
        wanted = {} if settings.only and settings.only not in job_table.customs else dict(job_table.customs)
        if settings.only:
            wanted = {name: job for name, job in wanted.items() if name == settings.only}
        for name in [name for name, desk in self._desks.items() if not self._is_same(desk, wanted.get(name))]:
            self._dismiss(name)
        stamp = stamp_of(self._layout.config_dir / "jobs")
        for name, job in wanted.items():
            if name not in self._desks:
                self._desks[name] = _Desk(self._worker(job, settings), stamp)
        if not self._recovered:
            for name in self._desks:
                self._runs.settle_marks(name)
            self._recovered = True

    def warm_up(self) -> None:
        """Make all jobs, so that what is wrong with them is said at the start."""
        for desk in self._desks.values():
            desk.worker.warm_up(time.monotonic())

    def subscriptions(
        self, hints: dict[str, tuple[type[Fact], ...]]
    ) -> tuple[dict[str, tuple[type[Fact], ...]], CursorTable | None]:
        """What to subscribe to, with `hints` in any case; with cursors where a job must not miss an event."""
        return followed(self._router.routes, hints), self._cursors if self._router.routes else None

    def fds(self) -> list[int]:
        return [fd for desk in self._desks.values() for fd in desk.worker.fds]

    def wait(self, now: float) -> float:
        """Seconds until there is something to do without anybody calling."""
        times = [min(desk.worker.wakes, self._due_at(name, desk)) for name, desk in self._desks.items()]
        return max(0.0, min(times, default=NEVER) - now)

    def hear(self, bus: Bus, deliveries: list[Delivery], gaps: list[Gap]) -> None:
        """Keep the events of other services for the jobs that are on them: the cursor moves in the same transaction."""
        if not self._router.routes:
            return
        for delivery in deliveries:
            if delivery.envelope.seq:
                with bus.applying(delivery):
                    self._runs.keep(delivery.event, self._router.routes.get(type(delivery.event).__name__, ()))
        for gap in gaps:
            log.error("jobs miss events of the %s that can not be had any more: %s", gap.source, gap.reason)
            owner_log(f"failed: jobs miss events of the {gap.source}: {gap.reason}")

    def takes(self, asked: PendingRequest) -> bool:
        """Whether the request is to run one of these jobs; it is answered when the run has ended."""
        request: Request = asked.request
        if not isinstance(request, RunJob) or request.job not in self._desks:
            return False
        self._desks[request.job].asked.append(asked)
        return True

    def tick(self, name: str) -> None:
        """The schedule says: now. While the run before goes on, this one is left out; during an event's it waits."""
        desk = self._desks.get(name)
        if desk is None or self._job_table.job_states.is_paused(name):
            return
        task = desk.worker.task
        if desk.ticked or (task is not None and task.cause != "event"):
            self._job_table.metrics.skipped.inc(name)
        else:
            desk.ticked = True

    def serve(self) -> None:
        """One round: hear all workers, note what ended, begin what is due. Takes milliseconds."""
        for name, desk in self._desks.items():
            for ended in desk.worker.look(time.monotonic()):
                self._note(name, desk, ended)
            self._begin(name, desk, time.monotonic())

    def close(self) -> None:
        """End all processes; idle jobs may close themselves before."""
        for desk in self._desks.values():
            desk.worker.leave()
        end = time.monotonic() + _LEAVE_WITHIN
        idle = [desk.worker for desk in self._desks.values() if desk.worker.is_idle]
        while time.monotonic() < end and not all(worker.has_left for worker in idle):
            time.sleep(0.005)
        for name in list(self._desks):
            self._dismiss(name)

    def pids(self) -> dict[str, int]:
        """The processes that there are, by job."""
        return {name: pid for name, desk in self._desks.items() if (pid := desk.worker.pid) is not None}

    def _worker(self, job: CustomSettings, settings: Settings) -> JobWorker:
        return JobWorker(job, prepared(job, settings, self._layout), self._umask, self._runs.marks_of(job.name))

    def _is_same(self, desk: _Desk, job: CustomSettings | None) -> bool:
        if job is None or desk.stamp != stamp_of(self._layout.config_dir / "jobs"):
            return False
        worker = desk.worker
        return worker.settings == job and worker.prepare == prepared(job, self._job_table.settings, self._layout)

    def _dismiss(self, name: str) -> None:
        desk = self._desks.pop(name)
        if desk.worker.task is not None:
            log.warning("job %s is stopped in the middle of a run", printable(name))
        desk.worker.close()
        self._job_table.metrics.running.set(0, name)
        for asked in desk.asked:
            asked.answer(Answer(ok=False, text=f"{printable(name)} was stopped before the run had ended"))

    def _due_at(self, name: str, desk: _Desk) -> float:
        if not desk.worker.is_idle:
            return NEVER
        if desk.ticked or desk.asked:
            return 0.0
        return desk.not_before if self._waits_for_event(name, desk) else NEVER

    def _waits_for_event(self, name: str, desk: _Desk) -> bool:
        settings = desk.worker.settings
        return bool(settings.on) and not self._job_table.job_states.is_paused(name) and self._runs.is_waiting(name)

    def _begin(self, name: str, desk: _Desk, now: float) -> None:
        if not desk.worker.is_idle:
            return
        task: Task | None = None
        if desk.asked:
            task = Task("request")
        elif desk.ticked:
            desk.ticked, task = False, Task("tick")
        elif now >= desk.not_before and self._waits_for_event(name, desk):
            task = self._next_event(name)
        if task is not None:
            self._job_table.metrics.running.set(1, name)
            desk.worker.begin(task, now)

    def _next_event(self, name: str) -> Task | None:
        if dropped := self._runs.trim(name):
            said = f"{dropped} events were dropped: more wait than can be run"
            log.error("job %s: %s", printable(name), said)
            owner_log(f"failed: job {name}: {said}")
        self._give_up(name)
        return self._runs.take(name)

    def _give_up(self, name: str) -> None:
        """What was interrupted too often is not tried again, and that is said."""
        if (number := self._runs.exhausted(name)) is not None:
            with self._store.transaction():
                self._runs.done(number)
                self._tell_failure(name, "was interrupted three times while it was run for one event", 0.0)

    def _note(self, name: str, desk: _Desk, ended: Ended) -> None:
        task = ended.task
        is_event = task is not None and task.cause == "event"
        again = task is not None and is_event and (ended.interrupted or not ended.begun)
        if task is not None and is_event and not ended.begun:
            self._runs.put_back(task)
        with self._store.transaction():
            if task is not None and is_event and not again:
                self._runs.done(task.number)
            for report in ended.reports:
                self._router.add(report)
            if ended.error:
                # What fails because something failed is told to people, and not to jobs again.
                self._tell_failure(name, ended.error, ended.seconds, for_jobs=not task or task.kind != "JobFailed")
        if task is not None:
            self._job_table.metrics.finished(name, time.time(), ended.seconds, bool(ended.error))
        if again:
            self._give_up(name)
        self._learn(name, desk, ended, again)
        self._answer(name, desk, ended)

    def _tell_failure(self, name: str, reason: str, seconds: float, *, for_jobs: bool = True) -> None:
        event = JobFailed(at=time.time(), job=name, reason=printable(reason), seconds=seconds)
        self._router.add(event, for_jobs=for_jobs)

    def _learn(self, name: str, desk: _Desk, ended: Ended, again: bool) -> None:
        if not ended.error:
            desk.failures, desk.reason, desk.not_before = 0, "", 0.0
            self._tell(JobFinished(at=time.time(), job=name, seconds=ended.seconds))
            return
        log.error("job %s failed after %.1f s: %s", printable(name), ended.seconds, ended.error)
        if ended.error != desk.reason:
            owner_log(f"failed: job {name}: {ended.error}")
        desk.reason = ended.error
        if again:
            desk.not_before = time.monotonic() + _PATIENCE[min(desk.failures, len(_PATIENCE) - 1)]
        desk.failures += 1

    def _answer(self, name: str, desk: _Desk, ended: Ended) -> None:
        if ended.task is None or ended.task.cause != "request":
            return
        shown = printable(name)
        text = f"{shown} failed: {ended.error}" if ended.error else f"{shown} was run, {ended.seconds:.1f} s"
        waiting, desk.asked = desk.asked, []
        for asked in waiting:
            asked.answer(Answer(ok=not ended.error, text=text))
