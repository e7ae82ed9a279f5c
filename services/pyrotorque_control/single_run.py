"""`--run-once JOB`: runs one job now, in the running scheduler, or in this process when the group does not run."""

import os
import signal
import threading
import time
from types import FrameType
from typing import Final

import click
import msgspec

from pyrotorque import logs
from pyrotorque.actions import run_job
from pyrotorque.configuration import Configuration
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, RunJob
from pyrotorque.service.lifecycle import ServiceStart
from pyrotorque.settings.handlers import INJECTED
from pyrotorque.settings.schema import CustomSettings, QueueSettings, StatsSettings
from pyrotorque.suggestions import suggestion
from pyrotorque.supervisord.launch import hold
from pyrotorque_control.client import actor_of
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.lifecycle import prepare, store

_RUNNABLE: Final = (QueueSettings, StatsSettings)
# The job runs on request only, never by its schedule.
_NEVER: Final = "year=2000"
_START_TIMEOUT: Final = 10.0  # seconds
_SIGNAL_INTERVAL: Final = 0.1  # seconds
_RUN_TIMEOUT: Final = 600.0  # seconds


def run_once(group: Group, name: str) -> int:
    """Run the job and print its result."""
    if group.running():
        click.echo(run_job(actor_of(group, job_may_run=True), name, _RUN_TIMEOUT).text)
        return EX_OK
    configuration = prepare(group)
    # Another group may run in another container, or be started meanwhile: what its services read is not replaced.
    lock = hold(configuration.layout)
    try:
        store(configuration)
    finally:
        os.close(lock)
    job = next((job for job in configuration.settings.jobs if job.name == name), None)
    if isinstance(job, CustomSettings):
        answer = _run_custom(configuration, job)
    else:
        answer = _run_here(group, _restricted(configuration, name), name)
    click.echo(answer.text, err=not answer.ok)
    return EX_OK if answer.ok else EX_TEMPFAIL


def _run_custom(configuration: Configuration, job: CustomSettings) -> Answer:
    """A custom job runs in its own process and needs no scheduler."""
    from pyrotorque.workers.trial import run_job_once

    logs.configure(configuration.settings.log_level, "scheduler", configuration.layout)
    failure = run_job_once(job, configuration.settings, configuration.layout)
    text = f"{job.name} failed: {failure}" if failure else f"{job.name} was run"
    return Answer(ok=not failure, text=text)


def _restricted(configuration: Configuration, name: str) -> Configuration:
    """The configuration with this job only."""
    jobs = {job.name: job for job in configuration.settings.jobs}
    job = jobs.get(name)
    if job is None:
        raise CommandError(f"there is no job {name!r}{suggestion(name, jobs)}", EX_USAGE)
    if not isinstance(job, _RUNNABLE):
        raise CommandError(f"job {name} reacts to events and cannot be run once", EX_USAGE)
    only = msgspec.structs.replace(job, active=True, schedule=_NEVER)
    # Other jobs do not run, but events for those with `on` are stored meanwhile, and queues leave the items of others.
    customs = [job for job in jobs.values() if isinstance(job, CustomSettings) and job.active]
    others = [job for job in customs if job.on or job.handler == INJECTED]
    stored = [msgspec.structs.replace(job, schedule="") for job in others]
    settings = msgspec.structs.replace(configuration.settings, jobs=(only, *stored), only=name)
    return Configuration(settings, configuration.layout, configuration.options)


def _run_here(group: Group, configuration: Configuration, name: str) -> Answer:
    from pyrotorque_scheduler.service import run

    logs.configure(configuration.settings.log_level, "scheduler", configuration.layout)
    answers: list[Answer] = []
    ended = threading.Event()
    requester = threading.Thread(
        target=_request_and_stop, args=(configuration.layout, name, answers, ended), daemon=True
    )
    # A signal that arrives after the scheduler has removed its handlers must not end this process.
    signal.signal(signal.SIGTERM, _ignore)
    requester.start()
    run(ServiceStart("scheduler", group.config_dir, configuration))
    ended.set()
    requester.join()
    return answers[0]


def _request_and_stop(layout: Layout, name: str, answers: list[Answer], ended: threading.Event) -> None:
    """Send the request from a thread, then end the scheduler's loop, which runs in the main thread, with TERM."""
    from pyrotorque.bus.client import ask

    deadline = time.monotonic() + _START_TIMEOUT
    while not answers:
        try:
            answers.append(ask(layout, "scheduler", RunJob(job=name), _RUN_TIMEOUT))
        except ServiceUnreachable as error:
            if ended.is_set() or time.monotonic() > deadline:
                answers.append(Answer(ok=False, text=str(error)))
    # A signal that arrives just before the loop waits does not end that wait, so it is repeated.
    while not ended.is_set():
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        ended.wait(_SIGNAL_INTERVAL)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    pass
