"""Sends requests of the command line to the running services."""

import time
from contextlib import suppress

import click

from pyrotorque.configuration import last_good
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, DescribeService, ExplainQueue, PauseJob, Request, ResumeJob, RunJob
from pyrotorque.suggestions import suggestion
from pyrotorque.supervisord import Supervisord, SupervisordError
from pyrotorque_control.exit_codes import EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.group import CommandError, Group

_FIRST_TIMEOUT = 4.0  # seconds
_STARTING_TIMEOUT = 20.0  # seconds
_POLL_TIMEOUT = 1.0  # seconds


def send_request(group: Group, service: str, request: Request, timeout: float = 15.0) -> Answer:
    """The service's answer to `request`.

    Raises CommandError when the group is not running, when `--dry-run` was given but the group runs without it, or when
    the service refuses; ServiceUnreachable when there is no answer.
    """
    group.must_run()
    _require_known_job(group, request)
    _require_dry_run(group, request)
    answer = _send_with_retry(group, service, request, timeout)
    if not answer.ok:
        raise CommandError(answer.text or f"{service} refused the request", EX_TEMPFAIL)
    return answer


def print_answer(group: Group, service: str, request: Request) -> None:
    """Send `request` and print the text of the answer."""
    answer = send_request(group, service, request)
    if answer.text:
        click.echo(answer.text)


def _require_known_job(group: Group, request: Request) -> None:
    settings = last_good(group.layout)
    if isinstance(request, RunJob | PauseJob | ResumeJob | ExplainQueue) and settings is not None:
        names = [job.name for job in settings.jobs]
        if request.job is not None and request.job not in names:
            raise CommandError(f"there is no job {request.job!r}{suggestion(request.job, names)}", EX_USAGE)


def _require_dry_run(group: Group, request: Request) -> None:
    """A service carries out a request for real unless it was started with `--dry-run`."""
    if not group.options.dry_run or isinstance(request, ExplainQueue):
        return
    settings = last_good(group.layout)
    if not (isinstance(request, RunJob) and settings is not None and settings.dry_run):
        raise CommandError(
            "the group runs without --dry-run and would do that for real: "
            "leave out --dry-run, or start the group with it",
            EX_USAGE,
        )


def _send_with_retry(group: Group, service: str, request: Request, timeout: float) -> Answer:
    """A service that reloads its configuration binds its socket again and loses requests sent at that moment."""
    from pyrotorque.bus.client import ask

    wait_for_service(group.layout, service, _STARTING_TIMEOUT)
    if not isinstance(request, RunJob):  # all other requests are idempotent
        with suppress(ServiceUnreachable):
            return ask(group.layout, service, request, _FIRST_TIMEOUT)
    return ask(group.layout, service, request, timeout)


def wait_for_service(layout: Layout, service: str, timeout: float) -> None:
    """Return when the service answers, or when supervisord is not starting it, or after `timeout` seconds."""
    from pyrotorque.bus.client import ask

    supervisord, deadline = Supervisord(layout.supervisor_socket), time.monotonic() + timeout
    while time.monotonic() < deadline:
        with suppress(ServiceUnreachable):
            ask(layout, service, DescribeService(), timeout=_POLL_TIMEOUT)
            return
        with suppress(SupervisordError):
            states = {process.name: process.state for process in supervisord.processes()}
            if states.get(service) not in ("STARTING", "BACKOFF", "RUNNING"):
                return
