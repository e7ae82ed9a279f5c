"""State of the whole group at one moment, collected from supervisord and from the services."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import msgspec

from pyrotorque import humanize
from pyrotorque.errors import PyrotorqueError
from pyrotorque.layout import ALL_SERVICES, Layout
from pyrotorque.requests import DescribeService
from pyrotorque.supervisord import Process, Supervisord
from pyrotorque_control.group import Group

# A service that hangs must not delay the overview.
_DESCRIBE_TIMEOUT = 1.0  # seconds
_HEARTBEAT_TIMEOUT = 1.3  # seconds; one is published each second
_HEARTBEAT_POLL = 0.05
_STARTING_FOR = 20.0  # seconds
_STARTING_TIMEOUT = 8.0  # seconds


class ServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """One program as supervisord and the service itself describe it; `since` and `pid` are 0 when it is not running."""

    name: str
    state: str
    pid: int
    since: float
    says: str = ""  # a key of `status --json`
    data: Any = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """State of the group; `problem` is why its services could not be listed."""

    config_dir: str
    running: bool
    pid: int = 0
    since: float = 0.0
    problem: str = ""
    services: tuple[ServiceView, ...] = ()
    stored_jobs: list[dict[str, Any]] = []
    """The jobs as they are stored, if the scheduler does not describe them."""


def overview(group: Group) -> Overview:
    """Query supervisord, then all running services in parallel."""
    config_dir = str(group.config_dir)
    found = group.running()
    if found is None:
        return Overview(config_dir=config_dir, running=False)
    try:
        processes = Supervisord(group.layout.supervisor_socket).processes()
    except PyrotorqueError as error:
        return Overview(config_dir=config_dir, running=True, pid=found.pid, since=found.started, problem=str(error))
    running = {process.name: process for process in processes if process.pid and process.name in ALL_SERVICES}
    with ThreadPoolExecutor(max_workers=max(1, len(running))) as pool:
        answers = dict(zip(running, pool.map(partial(_describe, group.layout), running.values()), strict=True))
    views = tuple(_view(process, found.started, *answers.get(process.name, ("", None))) for process in processes)
    scheduler = next((view for view in views if view.name == "scheduler"), None)
    return Overview(
        config_dir=config_dir,
        running=True,
        pid=found.pid,
        since=found.started,
        services=views,
        stored_jobs=_stored_jobs(group.layout) if scheduler is not None and scheduler.data is None else [],
    )


def _stored_jobs(layout: Layout) -> list[dict[str, Any]]:
    from pyrotorque_control.stored_jobs import stored_jobs

    return stored_jobs(layout)


def _view(process: Process, group_since: float, says: str, data: Any) -> ServiceView:
    """supervisord reports whole seconds: no service may appear older than its group."""
    return ServiceView(
        name=process.name if process.name == process.group else process.full_name,
        state=process.state,
        pid=process.pid,
        since=max(process.started, group_since) if process.pid else 0.0,
        says=says or process.reason,
        data=data,
    )


def _step(layout: Layout, process: Process) -> str:
    """What a service is doing that does not answer, such as waiting for rTorrent; empty without a heartbeat."""
    from pyrotorque.bus.heartbeats import HeartbeatSubscriber

    end = time.monotonic() + _HEARTBEAT_TIMEOUT
    with closing(HeartbeatSubscriber(layout, process.name)) as subscriber:
        while time.monotonic() < end:
            for beat in subscriber.receive():
                now = time.monotonic()
                if beat.pid == process.pid and beat.step_since <= now:
                    hangs = " and hangs" if now > beat.deadline else ""
                    return f"is busy{hangs}: {beat.step}, for {humanize.duration(now - beat.step_since)}"
            time.sleep(_HEARTBEAT_POLL)
    return ""


def _describe(layout: Layout, process: Process) -> tuple[str, Any]:
    from pyrotorque.bus.client import ask

    # It does not answer before it has read its configuration and its state.
    starting = time.time() - process.started < _STARTING_FOR
    deadline = time.monotonic() + (_STARTING_TIMEOUT if starting else 0.0)
    while True:
        try:
            answer = ask(layout, process.name, DescribeService(), timeout=_DESCRIBE_TIMEOUT)
        except PyrotorqueError as error:
            if time.monotonic() < deadline:
                continue
            return _step(layout, process) or error.without_hint, None
        return answer.text, answer.data
