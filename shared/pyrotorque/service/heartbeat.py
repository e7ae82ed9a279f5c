"""The thread that beats for a service: says it lives, sees its parent die, and ends it when its loop does not stop."""

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
from pyrotorque.outbox import Outbox

log = logging.getLogger(__name__)

INTERVAL = 1.0
STOP_WITHIN = 0.8


@dataclass(frozen=True, slots=True)
class Step:
    """What the loop does, since when, and until when (CLOCK_MONOTONIC; 0 means no deadline)."""

    name: str
    since: float
    deadline: float = 0.0


class HeartbeatThread:
    """One service's heartbeat thread. It reads what the loop left for it and touches nothing of the loop's."""

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

    @contextmanager
    def running(self) -> Generator[None]:
        """Beat until the block ends."""
        thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            os.write(self.signal_fd, b"\0")
            thread.join(STOP_WITHIN)
            os.close(self.signal_fd)
            os.close(self._signals)

    def heartbeat(self) -> Heartbeat:
        """What there is to say now."""
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

        beats, backwatch = HeartbeatPublisher(self._layout, self._service), GuardianWatch(self._layout, self._service)
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        next_beat = time.monotonic()
        try:
            while not self._done.is_set():
                now = time.monotonic()
                if now >= next_beat:
                    beats.publish(self.heartbeat())
                    next_beat = now + INTERVAL
                    self._look_at_parent()
                    self._look_at_sockets()
                    backwatch.look(now)
                if self._stop_at and now >= self._stop_at:
                    self._end_at_once()
                until = min(next_beat, self._stop_at or next_beat)
                poller.poll(max(0.0, until - now) * 1000 + 1)
                self._read_signals(now)
        finally:
            beats.close()
            backwatch.close()

    def _read_signals(self, now: float) -> None:
        try:
            arrived = os.read(self._signals, 64)
        except BlockingIOError:
            return
        # One that came right before the loop began to wait has set its flag only, or not even that.
        if self.wake is not None:
            with suppress(OSError):  # it is closing just now
                self.wake()
        if not self._stop_at and {signal.SIGTERM, signal.SIGINT} & set(arrived):
            self._stop_at = time.monotonic() + STOP_WITHIN

    def _look_at_parent(self) -> None:
        if os.getppid() != self._parent or _reader_is_gone():
            log.warning("our supervisord is gone: leaving")
            self._stop()

    def _look_at_sockets(self) -> None:
        """A socket that was removed is deaf for all who come later: a new start binds it again."""
        there = {path for path in self._sockets if path.exists()}
        if self._seen - there and "SUPERVISOR_ENABLED" in os.environ:
            log.warning("our sockets in %s were removed: starting anew", self._layout.run_dir)
            self._stop()
        self._seen |= there

    def _stop(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        self._stop_at = self._stop_at or time.monotonic() + STOP_WITHIN

    def _end_at_once(self) -> None:
        """Everything we do survives a kill at any moment; so it survives this."""
        log.warning("stopped in the middle of: %s; the next start takes it up again", self.step.name)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0)


def _reader_is_gone() -> bool:
    """Whether supervisord, which reads what we print, has closed its end: it may have died before we first looked."""
    if "SUPERVISOR_ENABLED" not in os.environ:
        return False
    poller = select.poll()
    poller.register(2, 0)
    return any(event & select.POLLERR for _, event in poller.poll(0))
