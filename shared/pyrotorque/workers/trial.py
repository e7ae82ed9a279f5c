"""Runs a job without a scheduler: only its constructor, to validate its settings, or one complete run."""

import logging
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pyrotorque.layout import Layout
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.workers.messages import CreationFailed, FromWorker, JobCreated, LogLine, RunFinished, StartRun
from pyrotorque.workers.preparation import create_message
from pyrotorque.workers.process import JobProcess

CREATION_DEADLINE: Final = 10.0
_POLL_INTERVAL: Final = 0.5


@dataclass(frozen=True)
class CreationProblem:
    """Why a job cannot be created, or a setting (`key`) that cannot mean what was typed (`misread`).

    `config_error` if its constructor raised UserError; `is_late` if nothing is known but that it took too long: a busy
    machine, a disk or a host that does not answer.
    """

    text: str
    config_error: bool
    key: str = "handler"
    misread: bool = False
    is_late: bool = False

    @property
    def consequence(self) -> str:
        """What it means for the runs of the job, as the end of a sentence; empty if a setting is wrong."""
        if self.config_error:
            return ""
        return "; each run tries again" if self.is_late else "; the job fails until this is fixed"


def creation_problems(
    jobs: Iterable[CustomSettings], settings: Settings, layout: Layout, within: float = CREATION_DEADLINE
) -> dict[str, CreationProblem]:
    """The jobs with a problem, by name: all are constructed in parallel, each in its own process."""
    processes = {job.name: JobProcess(create_message(job, settings, layout, is_trial=True)) for job in jobs}
    found: dict[str, CreationProblem] = {}
    end = time.monotonic() + within
    try:
        for name, process in processes.items():
            answer = _first(process, (JobCreated, CreationFailed), end)
            if isinstance(answer, CreationFailed):
                found[name] = CreationProblem(answer.reason, answer.config_error)
            elif isinstance(answer, JobCreated) and answer.misread:
                key, text = answer.misread[0]
                found[name] = CreationProblem(text, True, key or "handler", misread=True)
            elif answer is None:
                status = process.status()
                why = f" within {within:g} s" if status is None else f": its process ended with status {status}"
                found[name] = CreationProblem(f"the job could not be created{why}", False, is_late=status is None)
    finally:
        for process in processes.values():
            process.terminate()
    return found


def run_job_once(job: CustomSettings, settings: Settings, layout: Layout) -> str:
    """Create the job and run it once, logging its output; returns the error, empty if the run succeeded."""
    log = logging.getLogger(f"pyrotorque_scheduler.{job.name}")
    process = JobProcess(create_message(job, settings, layout, is_trial=True))

    def show(level: int, text: str) -> None:
        log.log(level, "%s", text)

    try:
        end = time.monotonic() + max(CREATION_DEADLINE, job.timeout)
        answer = _first(process, (JobCreated, CreationFailed), end, show)
        if isinstance(answer, CreationFailed):
            return answer.reason
        if answer is None:
            return f"the job could not be created (exit status {process.status()})"
        process.send(StartRun(number=1))
        end = time.monotonic() + (job.timeout or float("inf"))
        answer = _first(process, (RunFinished,), end, show)
        if isinstance(answer, RunFinished):
            return answer.error
        status = process.status()
        return f"the run did not end within {job.timeout:g} s" if status is None else f"its process ended with {status}"
    finally:
        process.terminate()


def _discard(_level: int, _text: str) -> None:
    pass


def _first(
    process: JobProcess,
    wanted: tuple[type[FromWorker], ...],
    end: float,
    show: Callable[[int, str], None] = _discard,
) -> FromWorker | None:
    """The first message of a wanted type; None if the process ends or the time `end` passes before."""
    while True:
        over = process.status() is not None or time.monotonic() >= end
        output = process.receive()
        for line in output.printed:
            show(logging.INFO, line)
        for message in output.messages:
            if isinstance(message, LogLine):
                show(message.level, message.text)
            if isinstance(message, wanted):
                return message
        if over and not output.messages and not output.printed:
            return None
        if not over:
            select.select(process.fds, (), (), max(0.0, min(_POLL_INTERVAL, end - time.monotonic())))
