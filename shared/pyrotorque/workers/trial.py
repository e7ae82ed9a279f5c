"""Runs a job without its scheduler: only its constructor, to see what is wrong with its settings, or one whole run."""

import logging
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pyrotorque.layout import Layout
from pyrotorque.logs import job_logger
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.workers.messages import Finished, FromWorker, Ready, Refused, Run, Said
from pyrotorque.workers.preparation import prepared
from pyrotorque.workers.process import JobProcess

MADE_WITHIN: Final = 10.0
_SLICE: Final = 0.5


@dataclass(frozen=True)
class Complaint:
    """Why a job cannot be made; `configured_wrong` where it said so itself, by raising UserError."""

    text: str
    configured_wrong: bool


def complaints(
    jobs: Iterable[CustomSettings], settings: Settings, layout: Layout, within: float = MADE_WITHIN
) -> dict[str, Complaint]:
    """What is wrong with these jobs, by name: all are made at once, each in a process of its own."""
    processes = {job.name: JobProcess(prepared(job, settings, layout)) for job in jobs}
    found: dict[str, Complaint] = {}
    end = time.monotonic() + within
    try:
        for name, process in processes.items():
            answer = _first(process, (Ready, Refused), end)
            if isinstance(answer, Refused):
                found[name] = Complaint(answer.reason, answer.configured_wrong)
            elif answer is None:
                status = process.status()
                what = f"within {within:g} s" if status is None else f": its process ended with status {status}"
                found[name] = Complaint(f"the job could not be made {what}".replace(" :", ":"), False)
    finally:
        for process in processes.values():
            process.end()
    return found


def run_alone(job: CustomSettings, settings: Settings, layout: Layout) -> str:
    """Make the job and run it once, its lines in our log; why that failed, or nothing."""
    log = job_logger(job.name)
    process = JobProcess(prepared(job, settings, layout))

    def show(level: int, text: str) -> None:
        log.log(level, "%s", text)

    try:
        answer = _first(process, (Ready, Refused), time.monotonic() + max(MADE_WITHIN, job.timeout), show)
        if isinstance(answer, Refused):
            return answer.reason
        if answer is None:
            return f"the job could not be made (exit status {process.status()})"
        process.send(Run(number=1))
        end = time.monotonic() + (job.timeout or float("inf"))
        answer = _first(process, (Finished,), end, show)
        if isinstance(answer, Finished):
            return answer.error
        status = process.status()
        return f"the run did not end within {job.timeout:g} s" if status is None else f"its process ended with {status}"
    finally:
        process.end()


def _unheard(_level: int, _text: str) -> None:
    pass


def _first(
    process: JobProcess,
    wanted: tuple[type[FromWorker], ...],
    end: float,
    show: Callable[[int, str], None] = _unheard,
) -> FromWorker | None:
    """The first message of a wanted kind; None when the process ends or the time is up before."""
    while True:
        over = process.status() is not None or time.monotonic() >= end
        heard = process.hear()
        for line in heard.output:
            show(logging.INFO, line)
        for message in heard.messages:
            if isinstance(message, Said):
                show(message.level, message.text)
            if isinstance(message, wanted):
                return message
        if over and not heard.messages and not heard.output:
            return None
        if not over:
            select.select(process.fds, (), (), max(0.0, min(_SLICE, end - time.monotonic())))
