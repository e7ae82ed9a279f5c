"""Answers the requests to the scheduler: pause, resume, run, start, explain, describe."""

import time
from collections.abc import Callable
from typing import Any, Final

from pyrotorque.errors import RTorrentError, RTorrentFault, UserError
from pyrotorque.humanize import duration
from pyrotorque.requests import (
    AcceptRTorrent,
    Answer,
    DescribeService,
    ExplainQueue,
    ParkTorrent,
    PauseJob,
    RecordAction,
    Request,
    ResumeJob,
    RunJob,
    StartTorrent,
    StopTorrent,
    wrong,
)
from pyrotorque.rtorrent.availability import Availability
from pyrotorque.rtorrent.recognition import shared_text
from pyrotorque.text import counted, printable
from pyrotorque_scheduler.due_jobs import Cause
from pyrotorque_scheduler.fire_times import FireTimes
from pyrotorque_scheduler.job_table import JobTable
from pyrotorque_scheduler.queue.check import Queue
from pyrotorque_scheduler.queue.check_result import CheckResult
from pyrotorque_scheduler.queue.explain import explain_history, explain_item, explain_queue
from pyrotorque_scheduler.queue.explain_text import hold_data, hold_text
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.queue.stall import NEVER
from pyrotorque_scheduler.queue.start_result import StartIntent
from pyrotorque_scheduler.queue.starter import BY_HAND
from pyrotorque_scheduler.state import EndedRun

_PARKED_MAX: Final = 366 * 86_400.0


class RequestHandler:
    """One answer for each request; errors are returned in the answer, never raised."""

    def __init__(self, job_table: JobTable, fire_times: FireTimes, availability: Availability) -> None:
        self._job_table = job_table
        self._fire_times = fire_times
        self._availability = availability

    def answer(self, request: Request, now: Instant, run: Callable[[str, Cause], CheckResult | None]) -> Answer:
        try:
            return self._answer(request, now, run)
        except RTorrentError as error:
            return Answer(ok=False, text=str(error))
        except UserError as error:
            return wrong(str(error))

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
            case StopTorrent(info_hash=info_hash, job=job):
                return self._close(info_hash.upper(), job, None, now)
            case ParkTorrent(info_hash=info_hash, job=job, seconds=seconds):
                return self._close(info_hash.upper(), job, seconds, now)
            case RecordAction(ok=ok, text=text):
                return Answer(ok=ok, text=text)  # the bus stores the event with the answer
            case AcceptRTorrent():
                return self._accept()
            case ExplainQueue():
                return self._explain(request, now)
            case DescribeService():
                return self._describe(now)
            case _:
                return Answer(ok=False, text=f"the scheduler has no request {type(request).__name__}")

    def _pause(self, job: str, paused: bool, now: Instant) -> Answer:
        job_table = self._job_table
        if job not in job_table.names:
            return self._no_such_job(job)
        if paused:
            job_table.job_states.pause(job, now.wall)
        else:
            job_table.job_states.resume(job)
        if job in job_table.queues:
            job_table.queues[job].load_state(now)
        job_table.metrics.enabled.set(float(not paused), job)
        return Answer(ok=True, text=f"{job} is paused until it is resumed" if paused else f"{job} runs again")

    def _run(self, job: str, run: Callable[[str, Cause], CheckResult | None]) -> Answer:
        if job not in self._job_table.names:
            return self._no_such_job(job)
        result = run(job, "request")
        if result is not None:
            return Answer(ok=True, text=f"{job}: started {result.started}; then: {hold_text(result.hold, result.at)}")
        if self._availability.problem:
            return Answer(ok=False, text=f"{job}: {self._availability.problem}")
        return Answer(ok=True, text=f"{job} was run")

    def _start(self, info_hash: str, now: Instant) -> Answer:
        starter = self._job_table.starter
        if starter is None:
            return Answer(ok=False, text="the address of rTorrent is unknown: set scgi_url in [TORQUE]")
        try:
            name, loaded, active = starter.item(info_hash)
        except RTorrentFault:
            return wrong(f"rTorrent has no item {printable(info_hash)}")
        if active:
            starter.keep_running(info_hash, now.wall)
            return Answer(ok=True, text=f"{printable(name)} runs already ({info_hash})")
        intent = StartIntent(info_hash, BY_HAND, name, loaded, now.wall)
        result = starter.start(intent, lambda _: None, time.monotonic())
        if result.failure is not None:
            return Answer(ok=False, text=f"{printable(name)} did not start: {printable(result.reason)}")
        return Answer(ok=True, text=f"started {printable(name)} ({info_hash})")

    def _close(self, info_hash: str, job: str | None, seconds: float | None, now: Instant) -> Answer:
        """Close an item, so that its queue does not start it for `seconds`, or before its owner does."""
        parking, starter = self._job_table.parking, self._job_table.starter
        if parking is None or starter is None:
            return Answer(ok=False, text="the address of rTorrent is unknown: set scgi_url in [TORQUE]")
        if job is not None and job not in self._job_table.queues:
            return wrong(f"there is no queue job {printable(job)}: {_listed(self._job_table.queues)}")
        if seconds is not None and not self._job_table.queues:
            return Answer(ok=False, text="no queue job is active, so nothing would start the item again: stop it")
        if seconds is not None and not 0 < seconds <= _PARKED_MAX:
            return wrong("an item is parked for more than 0 s and at most 366 days")
        try:
            name, _, _ = starter.item(info_hash)
        except RTorrentFault:
            return wrong(f"rTorrent has no item {printable(info_hash)}")
        queue = self._queue_of(info_hash, job)
        if seconds is not None and queue is not None and queue.items.is_reserved(info_hash, now.wall):
            text = (
                f"no queue starts {printable(name)} again, as a job starts injected items: stop it, and start it later"
            )
            return Answer(ok=False, text=text)
        retry_at = NEVER if seconds is None else now.wall + seconds
        closed = parking.close_for_owner(info_hash, name, queue.name if queue else "", retry_at, now.wall)
        if not closed:
            return Answer(ok=False, text=f"{printable(name)} still runs: another rTorrent answers, or it refused")
        if queue is not None:
            queue.rotation.reread()
        until = "until it is started" if seconds is None else f"for {duration(seconds)}"
        return Answer(ok=True, text=f"stopped {printable(name)} ({info_hash}) {until}")

    def _queue_of(self, info_hash: str, job: str | None) -> Queue | None:
        """The queue that would start the item again."""
        queues, starter = self._job_table.queues, self._job_table.starter
        if job is None and starter is not None:
            job = next((name for name in queues if info_hash in starter.started_items.of(name)), None)
        return queues[job] if job is not None else next(iter(queues.values()), None)

    def _accept(self) -> Answer:
        if self._job_table.completion is None:
            return Answer(ok=False, text="the address of rTorrent is unknown: set scgi_url in [TORQUE]")
        return Answer(ok=True, text=self._job_table.completion.accept(time.time()))

    def _explain(self, request: ExplainQueue, now: Instant) -> Answer:
        queues = self._job_table.queues
        if request.job is not None and request.job not in queues:
            return wrong(f"there is no queue job {printable(request.job)}: {_listed(queues)}")
        chosen = [queue for name, queue in queues.items() if request.job in (None, name)]
        if request.history:
            return explain_history(self._job_table.history, request.job, request.item)
        if not chosen:
            return Answer(ok=False, text="no queue job is active: set job.queue.active = True in torque.ini")
        if request.item is None:
            answers = [explain_queue(queue, now) for queue in chosen]
        else:
            answers = [explain_item(queue, request.item, now) for queue in chosen]
        # If one queue has the item in its view, answers of queues with other views are left out.
        shown = [answer for answer in answers if answer.ok] or answers
        return Answer(
            ok=shown[0].ok,
            text="\n\n".join(dict.fromkeys(answer.text for answer in shown)),
            data=[answer.data for answer in shown],
            wrong=shown[0].wrong,
        )

    def _describe(self, now: Instant) -> Answer:
        job_table = self._job_table
        fires = self._fire_times.next_fires()
        jobs = [
            {
                "job": name,
                "kind": "queue" if name in job_table.queues else "stats" if name in job_table.stats else "custom",
                "paused": job_table.job_states.is_paused(name),
                "next_fire": fires.get(name),
                "last_run": _plain(job_table.last_runs.get(name)),
                **_last_check(job_table.queues.get(name), now),
                **self._event_state(name),
            }
            for name in job_table.names
        ]
        text = f"{counted(len(jobs), 'job')}: {', '.join(job_table.names)}" if jobs else "no active job"
        if self._availability.problem:
            text += f"; rTorrent is unavailable: {self._availability.problem}"
        elif job_table.judge is not None and job_table.judge.held is not None:
            text += f"; {job_table.judge.held.reason}"
        if others := job_table.judge.shared_with if job_table.judge is not None else ():
            text += f"; {shared_text(others)}"
        return Answer(
            ok=True,
            text=text,
            data={
                "jobs": jobs,
                "rtorrent_away": self._availability.problem or None,
                "rtorrent_shared_with": others,
                "at": now.wall,
            },
        )

    def _event_state(self, job: str) -> dict[str, Any]:
        """Which events a job runs on, after which jobs, and how many events are queued for it."""
        custom = self._job_table.customs.get(job)
        if custom is None or not custom.on:
            return {}
        return {"on": custom.on, "after": custom.after, "events": self._job_table.job_states.queued_events(job)}

    def _no_such_job(self, job: str) -> Answer:
        return wrong(f"the scheduler has no job {printable(job)}: {_listed(self._job_table.names)}")


def _last_check(queue: Queue | None, now: Instant) -> dict[str, Any]:
    """The last check of a queue as text, and its data: how many items it started, and why no more."""
    if queue is None or queue.last is None:
        return {"last": None}
    check = queue.last
    text = hold_text(check.hold, check.at)
    last = f"started {check.started}; then: {text}" if check.started else f"waits: {text}"
    stall = queue.rotation.sentence(now)
    return {
        "last": f"{last}; {stall}" if stall else last,
        "stalled": stall or None,
        "started": check.started,
        "hold": hold_data(check.hold, check.at),
    }


def _plain(run: EndedRun | None) -> dict[str, Any] | None:
    return None if run is None else {"at": run.at, "seconds": run.seconds, "ok": run.ok, "reason": run.reason}


def _listed(names: object) -> str:
    known = ", ".join(sorted(map(str, names))) if isinstance(names, list | dict) else ""
    return f"it has {known}" if known else "it has none"
