"""The heartbeat thread of a service: also detects that supervisord exited, and ends a loop that does not stop."""

import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pyrotorque.events import Heartbeat
from pyrotorque.layout import Layout
from pyrotorque.linux.memory import release_free_memory
from pyrotorque.outbox import Outbox
from pyrotorque.service.time_zone import TimeZoneWatch

log = logging.getLogger(__name__)

INTERVAL = 1.0
_STARTED_AFTER = 15.0  # seconds until a service has read its configuration and all items for the first time
_CHECK_FILES_EVERY = 2.0  # seconds: our sockets, the file of the time zone
STOP_TIMEOUT = 0.8  # seconds from SIGTERM to the end of the process


@dataclass(frozen=True, slots=True)
class Step:
    """What the loop does, since when, and its deadline (CLOCK_MONOTONIC; 0 means none)."""

    name: str
    since: float
    deadline: float = 0.0


class HeartbeatThread:
    """Publishes heartbeats from its own thread; it reads `step` and `outbox.head`, and uses no resource of the loop."""

    def __init__(self, layout: Layout, service: str, config_digest: Callable[[], str], outbox: Outbox | None) -> None:
        self._layout = layout
        self._service = service
        self._config_digest = config_digest
        self.outbox = outbox
        self._parent = os.getppid()
        self._started = time.time()
        self._signals, self.signal_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._done = threading.Event()
        self._stop_at = 0.0
        self.wake: Callable[[], None] | None = None
        self.step = Step("waiting", time.monotonic())
        endpoints = (layout.heartbeat_endpoint, layout.events_endpoint, layout.requests_endpoint)
        self._sockets = [Path(endpoint(service).removeprefix("ipc://")) for endpoint in endpoints]
        self._seen: set[Path] = set()
        self._time_zone: TimeZoneWatch | None = TimeZoneWatch()

    @contextmanager
    def running(self) -> Generator[None]:
        """Send heartbeats until the block ends."""
        thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            os.write(self.signal_fd, b"\0")
            thread.join(STOP_TIMEOUT)
            os.close(self.signal_fd)
            os.close(self._signals)

    def heartbeat(self) -> Heartbeat:
        """The heartbeat of now."""
        step, outbox = self.step, self.outbox
        return Heartbeat(
            at=time.time(),
            service=self._service,
            pid=os.getpid(),
            started=self._started,
            step=step.name,
            step_since=step.since,
            deadline=step.deadline,
            epoch=outbox.epoch if outbox else "",
            head=outbox.head if outbox else 0,
            config=self._config_digest(),
        )

    def _run(self) -> None:
        from pyrotorque.bus.heartbeats import HeartbeatPublisher
        from pyrotorque.service.guardian_watch import GuardianWatch

        publisher = HeartbeatPublisher(self._layout, self._service)
        guardian_watch = GuardianWatch(self._layout, self._service, publisher.context)
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        next_heartbeat = time.monotonic()
        release_at = next_heartbeat + _STARTED_AFTER
        check_files_at = next_heartbeat
        try:
            while not self._done.is_set():
                now = time.monotonic()
                if now >= next_heartbeat:
                    publisher.publish(self.heartbeat())
                    next_heartbeat = now + INTERVAL
                    self._check_parent()
                    guardian_watch.check(now)
                    if now >= check_files_at:
                        check_files_at = now + _CHECK_FILES_EVERY
                        self._check_sockets()
                        self._check_time_zone(now)
                    if now >= release_at:
                        release_at = float("inf")
                        release_free_memory()
                if self._stop_at and now >= self._stop_at:
                    self._end_at_once()
                until = min(next_heartbeat, self._stop_at or next_heartbeat)
                poller.poll(max(0.0, until - now) * 1000 + 1)
                self._read_signals(now)
        finally:
            guardian_watch.close()
            publisher.close()

    def _read_signals(self, now: float) -> None:
        try:
            arrived = os.read(self._signals, 64)
        except BlockingIOError:
            return
        # A signal right before the loop began to wait has set its flag at most; the wait must end nevertheless.
        if self.wake is not None:
            with suppress(OSError):  # the bus is closing
                self.wake()
        if not self._stop_at and {signal.SIGTERM, signal.SIGINT} & set(arrived):
            self._stop_at = time.monotonic() + STOP_TIMEOUT

    def _check_parent(self) -> None:
        if os.getppid() != self._parent or _log_reader_exited():
            log.warning("supervisord exited; shutting down")
            self._stop()

    def _check_sockets(self) -> None:
        """Nothing can connect to a socket whose file was removed: a restart binds it again."""
        there = {path for path in self._sockets if path.exists()}
        if self._seen - there and "SUPERVISOR_ENABLED" in os.environ:
            log.warning("socket files in %s were removed; restarting to create them again", self._layout.run_dir)
            self._stop()
        self._seen |= there

    def _check_time_zone(self, now: float) -> None:
        """Schedules, hours and times in logs use the zone that the process started with."""
        if self._time_zone is None or not self._time_zone.has_changed(now):
            return
        shown = self._time_zone.file
        self._time_zone = None
        if "SUPERVISOR_ENABLED" in os.environ:
            log.warning("the time zone changed (%s); restarting to use the new one", shown)
            self._stop()
        else:
            log.warning("the time zone changed (%s); restart this process to use the new one", shown)

    def _stop(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        self._stop_at = self._stop_at or time.monotonic() + STOP_TIMEOUT

    def _end_at_once(self) -> None:
        """State survives a kill at any moment, so it survives this exit."""
        log.warning(
            "shutdown took longer than %g s; exiting during step %r, which the next start continues",
            STOP_TIMEOUT,
            self.step.name,
        )
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)


def _log_reader_exited() -> bool:
    """Whether supervisord has closed its end of our stderr: it may have exited before the first check of our parent."""
    if "SUPERVISOR_ENABLED" not in os.environ:
        return False
    poller = select.poll()
    poller.register(2, 0)
    return any(event & select.POLLERR for _, event in poller.poll(0))
