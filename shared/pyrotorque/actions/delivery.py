"""Sends the requests of people to the services of a group, and waits for a service that is starting."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from pyrotorque.bus.client import ServiceEnded, ask
from pyrotorque.errors import ActionRefused, RequestWrong, ServiceUnreachable
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, DescribeService, RecordAction, Request, RunJob
from pyrotorque.supervisord import Supervisord, SupervisordError

_FIRST_TIMEOUT: Final = 4.0  # seconds
_POLL_TIMEOUT: Final = 1.0  # seconds
_RECORD_WITHIN: Final = 10.0  # seconds
_TEXT_MAX: Final = 2000  # characters; the event has no more


ACTOR: Final = "PYROTORQUE_ACTOR"
"""Environment variable that names who acts, for a command that the panel runs."""


@dataclass(frozen=True)
class Actor:
    """Who acts on which group; `starting` is how many seconds to wait for a service that supervisord is starting."""

    layout: Layout
    by: str
    starting: float = 20.0
    record: Callable[[str, str, bool, str], None] | None = None
    """Stores (action, target, ok, text) of an action that no service carries out; by default the scheduler does."""


def ask_service(actor: Actor, service: str, request: Request, timeout: float = 15.0) -> Answer:
    """The service's answer. Raises ServiceUnreachable without one.

    Raises ActionRefused if it refuses, RequestWrong if it would do so at any time.
    """
    answer = _send(actor, service, request, timeout)
    if not answer.ok:
        raise (RequestWrong if answer.wrong else ActionRefused)(answer.text or f"{service} refused the request")
    return answer


def record_action(actor: Actor, action: str, target: str, ok: bool, text: str) -> None:
    """Have the event of an action stored that was carried out by this process."""
    if actor.record is not None:
        actor.record(action, target, ok, text)
        return
    request = RecordAction(by=actor.by, done=action, about=target[:_TEXT_MAX], ok=ok, text=text[:_TEXT_MAX])
    with suppress(ServiceUnreachable):
        # The scheduler itself may be restarting, by this very action.
        _send(replace(actor, starting=max(actor.starting, _RECORD_WITHIN)), "scheduler", request, _RECORD_WITHIN)


def _send(actor: Actor, service: str, request: Request, timeout: float) -> Answer:
    """A service that reloads its configuration binds its socket again and loses requests sent at that moment."""
    if actor.starting > 0:
        _wait_for_service(actor.layout, service, actor.starting)
    if not isinstance(request, RunJob):  # all other requests are idempotent
        try:
            return ask(actor.layout, service, request, min(timeout, _FIRST_TIMEOUT))
        except ServiceEnded:
            if actor.starting > 0:
                _wait_for_service(actor.layout, service, actor.starting)
        except ServiceUnreachable:
            pass
    return ask(actor.layout, service, request, timeout)


def _wait_for_service(layout: Layout, service: str, timeout: float) -> None:
    """Return when the service answers, or when supervisord is not starting it, or after `timeout` seconds."""
    supervisord, deadline = Supervisord(layout.supervisor_socket), time.monotonic() + timeout
    while time.monotonic() < deadline:
        with suppress(ServiceUnreachable):
            ask(layout, service, DescribeService(), timeout=_POLL_TIMEOUT)
            return
        with suppress(SupervisordError):
            states = {process.name: process.state for process in supervisord.processes()}
            if states.get(service) not in ("STARTING", "BACKOFF", "RUNNING"):
                return
