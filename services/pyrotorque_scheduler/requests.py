"""Answers what others ask of the scheduler: pause, resume, run, start, explain, describe."""

import time
from collections.abc import Callable
from typing import Final

from pyrotorque.errors import RTorrentError, RTorrentFault, UserError
from pyrotorque.requests import (
    Answer,
    DescribeService,
    ExplainQueue,
    PauseJob,
    Request,
    ResumeJob,
    RunJob,
    StartTorrent,
)
from pyrotorque.rtorrent.availability import Availability
from pyrotorque.text import counted, printable
from pyrotorque_scheduler.due_jobs import Cause
from pyrotorque_scheduler.fire_times import FireTimes
from pyrotorque_scheduler.job_table import JobTable
from pyrotorque_scheduler.queue.check import CheckResult
from pyrotorque_scheduler.queue.explain import explain_history, explain_item, explain_queue
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.queue.starter import StartIntent

# What the owner starts by hand is no job's doing.
BY_HAND: Final = "start"


class RequestHandler:
    """One answer for each request; whatever is wrong with it is said in the answer, never raised."""

    def __init__(self, job_table: JobTable, clock: FireTimes, availability: Availability) -> None:
        self._job_table = job_table
        self._clock = clock
        self._availability = availability

    def to(self, request: Request, now: Instant, run: Callable[[str, Cause], CheckResult | None]) -> Answer:
        try:
            return self._answer(request, now, run)
        except (RTorrentError, UserError) as error:
            return Answer(ok=False, text=str(error))

    def _answer(self, request: Request, now: Instant, run: Callable[[str, Cause], CheckResult | None]) -> Answer:
        match request:
            case PauseJob(job=job):
                return self._pause(job, True, now)
            case ResumeJob(job=job):
                return self._pause(job, False, now)
            case RunJob(job=job):
                return self._run(job, run)
            case StartTorrent(info_hash=info_hash):
                return self._start(info_hash.upper(), now)
            case ExplainQueue():
                return self._explain(request, now)
            case DescribeService():
                return self._describe(now)
            case _:
                return Answer(ok=False, text=f"the scheduler does not know {type(request).__name__}")

    def _pause(self, job: str, paused: bool, now: Instant) -> Answer:
        job_table = self._job_table
        if job not in job_table.names:
            return self._no_such_job(job)
        if paused:
            job_table.job_states.pause(job, now.wall)
        else:
            job_table.job_states.resume(job)
        if job in job_table.queues:
            job_table.queues[job].recall(now)
        job_table.metrics.enabled.set(float(not paused), job)
        return Answer(ok=True, text=f"{job} is paused until it is resumed" if paused else f"{job} runs again")

    def _run(self, job: str, run: Callable[[str, Cause], CheckResult | None]) -> Answer:
        if job not in self._job_table.names:
            return self._no_such_job(job)
        outcome = run(job, "request")
        if outcome is not None:
            return Answer(ok=True, text=f"{job}: started {outcome.started}; then: {outcome.hold.text}")
        if self._availability.problem:
            return Answer(ok=False, text=f"{job}: {self._availability.problem}")
        return Answer(ok=True, text=f"{job} was run")

    def _start(self, info_hash: str, now: Instant) -> Answer:
        starter = self._job_table.starter
        if starter is None:
            return Answer(ok=False, text="no address of rTorrent is known: set scgi_url in [TORQUE]")
        try:
            name, loaded, runs = starter.about(info_hash)
        except RTorrentFault:
            return Answer(ok=False, text=f"rTorrent has no item {printable(info_hash)}")
        if runs:
            return Answer(ok=True, text=f"{printable(name)} runs already ({info_hash})")
        found = starter.start(StartIntent(info_hash, BY_HAND, name, loaded, now.wall), lambda _: None, time.monotonic())
        if found.trouble is not None:
            return Answer(ok=False, text=f"{printable(name)} did not start: {printable(found.reason)}")
        return Answer(ok=True, text=f"started {printable(name)} ({info_hash})")

    def _explain(self, request: ExplainQueue, now: Instant) -> Answer:
        queues = self._job_table.queues
        if request.job is not None and request.job not in queues:
            return Answer(ok=False, text=f"there is no queue job {printable(request.job)}: {_listed(queues)}")
        chosen = [queue for name, queue in queues.items() if request.job in (None, name)]
        if request.history:
            return explain_history(self._job_table.history, request.job, request.item)
        if not chosen:
            return Answer(ok=False, text="no queue job is active: set job.queue.active = True in torque.ini")
        if request.item is None:
            answers = [explain_queue(queue, now) for queue in chosen]
        else:
            answers = [explain_item(queue, request.item, now) for queue in chosen]
        # Where one queue sees the item, those that look into other views need not say that they do not.
        told = [answer for answer in answers if answer.ok] or answers
        return Answer(
            ok=told[0].ok,
            text="\n\n".join(dict.fromkeys(answer.text for answer in told)),
            data=[answer.data for answer in told],
        )

    def _describe(self, now: Instant) -> Answer:
        job_table = self._job_table
        fires = self._clock.next_fires()
        jobs = [
            {
                "job": name,
                "kind": "queue" if name in job_table.queues else "stats" if name in job_table.stats else "custom",
                "paused": job_table.job_states.is_paused(name),
                "next_fire": fires.get(name),
                "last": _last(job_table, name),
            }
            for name in job_table.names
        ]
        text = f"{counted(len(jobs), 'job')}: {', '.join(job_table.names)}" if jobs else "no active job"
        if self._availability.problem:
            text += f"; rTorrent is unavailable: {self._availability.problem}"
        return Answer(
            ok=True, text=text, data={"jobs": jobs, "rtorrent_away": self._availability.problem or None, "at": now.wall}
        )

    def _no_such_job(self, job: str) -> Answer:
        return Answer(ok=False, text=f"the scheduler has no job {printable(job)}: {_listed(self._job_table.names)}")


def _last(job_table: JobTable, name: str) -> str | None:
    queue = job_table.queues.get(name)
    if queue is None or queue.last is None:
        return None
    text = queue.last.hold.text
    return f"started {queue.last.started}; then: {text}" if queue.last.started else f"waits: {text}"


def _listed(names: object) -> str:
    known = ", ".join(sorted(map(str, names))) if isinstance(names, list | dict) else ""
    return f"it has {known}" if known else "it has none"
