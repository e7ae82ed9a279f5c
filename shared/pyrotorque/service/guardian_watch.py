"""Monitors the guardian: each service receives its heartbeats, and kills it when it holds its role without any."""

import fcntl
import logging
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from pyrotorque.bus.heartbeats import HeartbeatSubscriber
from pyrotorque.bus.wire import Context
from pyrotorque.events import Heartbeat
from pyrotorque.layout import Layout

log = logging.getLogger(__name__)

GUARDIAN = "guardian"
SILENT_AFTER = 15.0
DEADLINE_SLACK = 1.0
_OWN_GAP = 5.0
_WAKE_FOR = 5.0


def is_alive(heartbeat: Heartbeat, now: float) -> bool:
    """Whether the loop makes progress: one past its announced deadline hangs, though its thread sends heartbeats."""
    return not 0 < heartbeat.deadline < now - DEADLINE_SLACK


@dataclass
class SilenceDetector:
    """Decides whether the holder of the role is silent; has no effects."""

    _holder: int = 0
    _last_heartbeat: float = 0.0
    _last_check: float = 0.0

    def is_silent(self, holder: int, alive: Iterable[int], now: float) -> bool:
        """Whether process `holder` (0 for none) has sent no heartbeat for too long; then not again for as long."""
        suspended = now - self._last_check > _OWN_GAP
        self._last_check = now
        if holder != self._holder or suspended or holder in alive:
            self._holder, self._last_heartbeat = holder, now
            return False
        if holder == 0 or now - self._last_heartbeat <= SILENT_AFTER:
            return False
        self._last_heartbeat = now
        return True


class GuardianWatch:
    """Belongs to the heartbeat thread; active only under supervisord, which starts the guardian again."""

    def __init__(self, layout: Layout, service: str, context: "Context | None" = None) -> None:
        self._lock_file = layout.lock_file(GUARDIAN)
        self._supervisor_socket = layout.supervisor_socket
        self._held_at = -_WAKE_FOR
        self._silence = SilenceDetector()
        active = service != GUARDIAN and "SUPERVISOR_ENABLED" in os.environ
        self._heartbeats = HeartbeatSubscriber(layout, GUARDIAN, context) if active else None

    def check(self, now: float) -> None:
        if self._heartbeats is None:
            return
        holder = self._holder()
        if holder:
            self._held_at = now
        elif now - self._held_at < _WAKE_FOR:
            self._wake_supervisord()
        alive = {heartbeat.pid for heartbeat in self._heartbeats.receive() if is_alive(heartbeat, now)}
        if self._silence.is_silent(holder, alive, now):
            log.error("the guardian (pid %d) sent no heartbeat for %g s; killing it", holder, SILENT_AFTER)
            with suppress(OSError):
                os.kill(holder, signal.SIGKILL)

    def _wake_supervisord(self) -> None:
        """The guardian wakes supervisord when another service exits; now its own exit would take up to two seconds."""
        from pyrotorque.supervisord import Supervisord

        Supervisord(self._supervisor_socket).listens()

    def close(self) -> None:
        if self._heartbeats is not None:
            self._heartbeats.close()

    def _holder(self) -> int:
        """The pid that holds the role; 0 for none."""
        try:
            fd = os.open(self._lock_file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.pread(fd, 20, 0).strip() or b"0")
        finally:
            os.close(fd)
        return 0
