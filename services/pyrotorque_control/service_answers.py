"""Waits until the services of a started group answer; names the cause for each service that does not."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from pyrotorque.errors import ServiceUnreachable
from pyrotorque.events import Heartbeat
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import ProcessIdentity
from pyrotorque.requests import DescribeService
from pyrotorque.supervisord import Process, Supervisord, SupervisordError
from pyrotorque.supervisord.folders import full_disk
from pyrotorque_control.exit_codes import EX_TEMPFAIL
from pyrotorque_control.group import CommandError

_ANSWER_TIMEOUT: Final = 30.0  # seconds
_HEARTBEAT_TIMEOUT: Final = 2.5  # seconds; a heartbeat is published each second
_STEADY_AFTER: Final = 5.0  # seconds that a service must have run to count as busy
_POLL_INTERVAL: Final = 0.1  # seconds
_GIVEN_UP: Final = "FATAL"
_LOG_TAIL: Final = 65536  # bytes


def require_memory() -> None:
    """Raise MemoryError where there is not enough to ask services: before a start, which would be left behind."""
    from pyrotorque.bus.client import require_sockets

    require_sockets()


class ServiceAnswers:
    """The answers of a group that is about to start; created before the start, so that only new lines of logs count."""

    def __init__(self, layout: Layout, services: Iterable[str]) -> None:
        self._layout = layout
        self._logs = {name: _size(_log(layout, name)) for name in services}

    def wait(self, supervisord: ProcessIdentity, before: Mapping[str, int] | None = None) -> list[str]:
        """Wait until each service answers, as another process than `before`; a line for each that works but is busy.

        Raises CommandError with the cause for each service that does not start.
        """
        deadline = time.monotonic() + _ANSWER_TIMEOUT
        missing: list[str] = list(self._logs)
        found: dict[str, Process] = {}
        while missing and time.monotonic() < deadline and supervisord.is_running():
            found = processes(self._layout) or {}
            if any(found[name].state == _GIVEN_UP for name in missing if name in found):
                break
            for name in [name for name in missing if _is_new(found.get(name), before)]:
                with suppress(ServiceUnreachable):
                    _ask(self._layout, name)
                    missing.remove(name)
            if missing:
                time.sleep(_POLL_INTERVAL)
        busy = _busy(self._layout, [found[name] for name in missing if name in found])
        if failed := [name for name in missing if name not in busy]:
            causes: dict[str, list[str]] = {}
            for name in failed:
                causes.setdefault(self._cause(name, found.get(name), supervisord), []).append(name)
            text = "; ".join(f"{', '.join(names)} did not start: {cause}" for cause, names in causes.items())
            raise CommandError(text, EX_TEMPFAIL)
        return [f"{name} does not answer yet, it is busy: {step}" for name, step in busy.items()]

    def _cause(self, name: str, process: Process | None, supervisord: ProcessIdentity) -> str:
        line = last_line(_log(self._layout, name), self._logs[name])
        if known := line or full_disk(self._layout) or (process.reason if process else ""):
            return known
        if not supervisord.is_running():
            return f"supervisord exited, see {self._layout.log_dir / 'supervisord.stderr.log'}"
        return f"see {_log(self._layout, name)}"


def processes(layout: Layout) -> dict[str, Process] | None:
    """supervisord's view of each program; None if it cannot be reached."""
    try:
        return {process.name: process for process in Supervisord(layout.supervisor_socket).processes()}
    except SupervisordError:
        return None


def last_line(path: Path, since: int) -> str:
    """The newest error in a log after the byte `since`, else its newest line; without time and level."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            # A log that was rotated is shorter.
            file.seek(max(size - _LOG_TAIL, since if since <= size else 0))
            lines = file.read().decode("utf-8", "backslashreplace").splitlines()
    except OSError:
        return ""
    written = [line for line in lines if line.strip()]
    errors = [line for line in written if " ERROR " in line] or written
    if not errors:
        return ""
    _, level, text = errors[-1].partition(" ERROR ")
    return text.partition(": ")[2] if level else errors[-1]


def _is_new(process: Process | None, before: Mapping[str, int] | None) -> bool:
    return process is not None and process.pid not in (0, (before or {}).get(process.name))


def _ask(layout: Layout, name: str) -> None:
    from pyrotorque.bus.client import ask

    ask(layout, name, DescribeService(), timeout=_POLL_INTERVAL * 20)


def _busy(layout: Layout, missing: Sequence[Process]) -> dict[str, str]:
    """What services are doing that have opened their state, for example while rTorrent does not respond."""
    now = time.time()
    steady = [each for each in missing if each.pid and now - each.started > _STEADY_AFTER]
    return {each.service: each.step for each in _heartbeats(layout, steady) if each.epoch}


def _heartbeats(layout: Layout, expected: Iterable[Process]) -> list[Heartbeat]:
    from pyrotorque.bus.heartbeats import HeartbeatSubscriber

    found: list[Heartbeat] = []
    for process in expected:
        with closing(HeartbeatSubscriber(layout, process.name)) as subscriber:
            deadline = time.monotonic() + _HEARTBEAT_TIMEOUT
            received: list[Heartbeat] = []
            while not received and time.monotonic() < deadline:
                time.sleep(_POLL_INTERVAL)
                received = [each for each in subscriber.receive() if each.pid == process.pid]
            found += received[-1:]
    return found


def _log(layout: Layout, name: str) -> Path:
    return layout.log_dir / f"{name}.log"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
