"""Who guards the guardian: every service hears its heartbeats too, and kills it when it holds its role in silence."""

import fcntl
import logging
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from pyrotorque.bus.heartbeats import HeartbeatSubscriber
from pyrotorque.events import Heartbeat
from pyrotorque.layout import Layout

log = logging.getLogger(__name__)

GUARDIAN = "guardian"
SILENT_AFTER = 15.0
DEADLINE_SLACK = 1.0
_OWN_GAP = 5.0
_KNOCK_FOR = 5.0


def is_alive(beat: Heartbeat, now: float) -> bool:
    """A loop that is past the deadline it announced is stuck, though its heartbeats go on."""
    return not 0 < beat.deadline < now - DEADLINE_SLACK


@dataclass
class SilenceDetector:
    """Decides by who holds the role, whose heartbeats came, and the time given; kills nobody."""

    _holder: int = 0
    _heard: float = 0.0
    _looked: float = 0.0

    def look(self, holder: int, beating: Iterable[int], now: float) -> bool:
        """Whether `holder` (0: nobody) has been silent too long; asked again it says so again only after as long."""
        slept = now - self._looked > _OWN_GAP
        self._looked = now
        if holder != self._holder or slept or holder in beating:
            self._holder, self._heard = holder, now
            return False
        if holder == 0 or now - self._heard <= SILENT_AFTER:
            return False
        self._heard = now
        return True


class GuardianWatch:
    """Belongs to the heartbeat thread. Only where supervisord runs us is there somebody to start the guardian again."""

    def __init__(self, layout: Layout, service: str) -> None:
        self._lock_file = layout.lock_file(GUARDIAN)
        self._supervisor_socket = layout.supervisor_socket
        self._held = -_KNOCK_FOR
        self._silence = SilenceDetector()
        wanted = service != GUARDIAN and "SUPERVISOR_ENABLED" in os.environ
        self._ear = HeartbeatSubscriber(layout, GUARDIAN) if wanted else None

    def look(self, now: float) -> None:
        if self._ear is None:
            return
        holder = self._holder()
        if holder:
            self._held = now
        elif now - self._held < _KNOCK_FOR:
            self._knock()
        alive = {beat.pid for beat in self._ear.receive() if is_alive(beat, now)}
        if self._silence.look(holder, alive, now):
            log.error("the guardian (pid %d) gave no sign of life for %g s: killing it", holder, SILENT_AFTER)
            with suppress(OSError):
                os.kill(holder, signal.SIGKILL)

    def _knock(self) -> None:
        """The guardian has died: when others die it wakes supervisord, which else looks once a second, and twice."""
        from pyrotorque.supervisord import Supervisord

        Supervisord(self._supervisor_socket).listens()

    def close(self) -> None:
        if self._ear is not None:
            self._ear.close()

    def _holder(self) -> int:
        """The pid that holds the role now; 0 when nobody does."""
        try:
            fd = os.open(self._lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.pread(fd, 20, 0).strip() or b"0")
        finally:
            os.close(fd)
        return 0
