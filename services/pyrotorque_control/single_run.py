"""`--run-once JOB`: the running scheduler is asked to; without one, a scheduler with that job only lives here."""

import signal
import threading
import time
from types import FrameType
from typing import Final

import click
import msgspec

from pyrotorque import logs
from pyrotorque.configuration import Configuration
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, RunJob
from pyrotorque.service.lifecycle import ServiceStart
from pyrotorque.settings.problems import suggestion
from pyrotorque.settings.schema import CustomSettings, QueueSettings, StatsSettings
from pyrotorque_control.client import asked
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.group import Group, Refused
from pyrotorque_control.preparing import prepare

_RUNNABLE: Final = (QueueSettings, StatsSettings)
# The job is run because it is asked to be, and not a second time because its moment comes.
_NEVER: Final = "year=2000"
_UP_WITHIN: Final = 10.0  # seconds
_NUDGE_EVERY: Final = 0.1  # seconds
_DONE_WITHIN: Final = 600.0  # seconds


def once(group: Group, name: str) -> int:
    """Run the job and tell what came of it."""
    if group.running():
        click.echo(asked(group, "scheduler", RunJob(job=name), _DONE_WITHIN).text)
        return EX_OK
    configuration = prepare(group)
    job = next((job for job in configuration.settings.jobs if job.name == name), None)
    if isinstance(job, CustomSettings):
        answer = _run_custom(configuration, job)
    else:
        answer = _run_here(group, _alone(configuration, name), name)
    click.echo(answer.text, err=not answer.ok)
    return EX_OK if answer.ok else EX_TEMPFAIL


def _run_custom(configuration: Configuration, job: CustomSettings) -> Answer:
    """A job of the user has a process of its own anyway: it needs no scheduler."""
    from pyrotorque.workers.trial import run_alone

    logs.configure(configuration.settings.log_level, "scheduler", configuration.layout)
    failure = run_alone(job, configuration.settings, configuration.layout)
    text = f"{job.name} failed: {failure}" if failure else f"{job.name} was run"
    return Answer(ok=not failure, text=text)


def _alone(configuration: Configuration, name: str) -> Configuration:
    """The same configuration with this job only."""
    jobs = {job.name: job for job in configuration.settings.jobs}
    job = jobs.get(name)
    if job is None:
        raise Refused(f"there is no job {name!r}{suggestion(name, jobs)}", EX_USAGE)
    if not isinstance(job, _RUNNABLE):
        raise Refused(f"job {name} answers to what happens, there is nothing to run once", EX_USAGE)
    only = msgspec.structs.replace(job, active=True, schedule=_NEVER)
    # The others are not run, but what happens meanwhile is kept for those that are on it.
    others = [job for job in jobs.values() if isinstance(job, CustomSettings) and job.active and job.on]
    kept = [msgspec.structs.replace(job, schedule="") for job in others]
    settings = msgspec.structs.replace(configuration.settings, jobs=(only, *kept), only=name)
    return Configuration(settings, configuration.layout, configuration.options)


def _run_here(group: Group, configuration: Configuration, name: str) -> Answer:
    from pyrotorque_scheduler.service import run

    logs.configure(configuration.settings.log_level, "scheduler", configuration.layout)
    answers: list[Answer] = []
    ended = threading.Event()
    asker = threading.Thread(target=_ask_and_end, args=(configuration.layout, name, answers, ended), daemon=True)
    # What it sends us after the scheduler has put its own handlers away must not end us.
    signal.signal(signal.SIGTERM, _nothing)
    asker.start()
    run(ServiceStart("scheduler", group.config_dir, configuration))
    ended.set()
    asker.join()
    return answers[0]


def _ask_and_end(layout: Layout, name: str, answers: list[Answer], ended: threading.Event) -> None:
    """From beside the scheduler, whose loop owns the main thread and ends by TERM."""
    from pyrotorque.bus.client import ask

    deadline = time.monotonic() + _UP_WITHIN
    while not answers:
        try:
            answers.append(ask(layout, "scheduler", RunJob(job=name), _DONE_WITHIN))
        except ServiceUnreachable as error:
            if time.monotonic() > deadline:
                answers.append(Answer(ok=False, text=str(error)))
    # A signal that comes just before the loop begins to wait does not end the wait; the next one does.
    while not ended.is_set():
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        ended.wait(_NUDGE_EVERY)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass
