"""supervisord, the guardian's parent: signals to it, its entry in the group's lock, and what to do when it hangs."""

import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pyrotorque import logs
from pyrotorque.group_lock import read_identity, write_identity
from pyrotorque.group_state import state_problem
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import running_process
from pyrotorque.supervisord import Supervisord, SupervisordError, SupervisordFault
from pyrotorque.supervisord.config import programs_file
from pyrotorque_guardian.decisions import SupervisordWatch

log = logging.getLogger(__name__)

_CHECK_EVERY: Final = 10.0  # seconds

SendSignal = Callable[[signal.Signals], None]


def parent_signal(parent: int) -> SendSignal:
    """Sends signals to supervisord, our parent, and to no process that may take its place."""

    def send(number: signal.Signals) -> None:
        if os.getppid() == parent:
            os.kill(parent, number)

    return send


def record_supervisord(layout: Layout, parent: int) -> None:
    """A supervisord that version 1.0.0 has started holds no lock, and is in no lock file."""
    known = read_identity(layout.group_lock)
    if known is not None and known.process == running_process(parent):
        return
    if not programs_file(layout).exists():
        return  # the configuration directory was removed
    if state_problem(layout, parent):
        return  # the entry would make another disk that of the group
    with suppress(OSError):
        layout.prepare()
        write_identity(layout.group_lock, parent, (str(layout.config_dir), str(layout.supervisor_socket)))


def log_repair(text: str) -> None:
    """Log a repair of the group, in both logs."""
    log.warning("%s", text)
    logs.owner_event("group repaired", text)


class SupervisordCheck:
    """Continues a supervisord that was stopped, and replaces one that hangs: it restarts no services then."""

    def __init__(self, supervisord: Supervisord, send: SendSignal, replace: Callable[[], None]) -> None:
        self._supervisord, self._send, self._replace = supervisord, send, replace
        self._watch = SupervisordWatch()
        self._due_at = 0.0

    def run(self, now: float) -> None:
        """Act if it is due at `now` (monotonic)."""
        if now < self._due_at:
            return
        self._due_at = now + _CHECK_EVERY
        match self._watch.due(self._answers(), now):
            case "continue":
                log_repair("supervisord does not answer: sending SIGCONT in case it was stopped")
                self._send(signal.SIGCONT)
            case "replace":
                log_repair("supervisord still does not answer: ending it, and starting the group again")
                self._replace()
            case _:
                pass

    def _answers(self) -> bool:
        try:
            self._supervisord.pid()
        except SupervisordFault:
            return True
        except SupervisordError:
            return False
        return True
