"""The guardian's loop: publishes state changes, restarts FATAL services, kills hung ones, checks the guard file."""

import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from pyrotorque import logs
from pyrotorque.bus import Wakeup
from pyrotorque.errors import LayoutError
from pyrotorque.events import Heartbeat
from pyrotorque.guard_file import GuardState
from pyrotorque.layout import Layout
from pyrotorque.port_reservation import PortReservation
from pyrotorque.requests import Answer, DescribeService
from pyrotorque.service.own_name import require_own_name
from pyrotorque.service.runtime import Runtime, open_runtime_without_state
from pyrotorque.supervisord import Supervisord, SupervisordError, SupervisordFault
from pyrotorque.supervisord.config import table_services
from pyrotorque.supervisord.validation import require_conf
from pyrotorque.totals import Totals
from pyrotorque_guardian.guarded_services import GuardedServices
from pyrotorque_guardian.log_rotation import rotate
from pyrotorque_guardian.parent import SendSignal, SupervisordCheck, log_repair, parent_signal, record_supervisord
from pyrotorque_guardian.run_files import Restorer, RunFiles, start_again
from pyrotorque_guardian.state_changes import StateChanges
from pyrotorque_guardian.supervisord_events import HANDLED, READY, EventParser, ProcessStateChange

log = logging.getLogger(__name__)

_TURN: Final = 2.0
_POLL_EVERY: Final = 30.0
_TURN_WITHIN: Final = 30.0  # all calls of one turn, each at its deadline
_STDIN, _STDOUT = 0, 1
_SUPERVISORD_WITHIN: Final = 3.0


@dataclass
class Guardian:
    """The state of the service; `turn` is one turn of its loop."""

    runtime: Runtime
    guarded: Collection[str]
    supervisord: Supervisord
    restorer: Restorer
    shared_logs: tuple[Path, ...]
    signal_supervisord: SendSignal
    replace_supervisord: Callable[[], None]
    totals: Totals
    _ending: bool = False
    _poll_at: float = 0.0

    def __post_init__(self) -> None:
        self._parser = EventParser()
        self._services = GuardedServices(self.guarded, self.supervisord)
        self._changes = StateChanges(self.runtime, self.totals)
        self._check = SupervisordCheck(self.supervisord, self.signal_supervisord, self.replace_supervisord)
        self._panel_port = PortReservation(self.restorer.files.layout.panel_port)

    def run(self) -> None:
        """Run until SIGTERM, or until supervisord exits."""
        life = self.runtime.life
        os.set_blocking(_STDIN, False)
        os.write(_STDOUT, READY)
        while not life.stopping:
            wakeup = self.runtime.bus.wait(self._services.wait(time.monotonic(), _TURN), _STDIN, *self._services.fds)
            with life.step("guarding", time.monotonic() + _TURN_WITHIN):
                if _STDIN in wakeup.fds and not self._read_supervisord():
                    log.info("supervisord exited; shutting down")
                    return
                self.turn(wakeup, time.monotonic())

    def turn(self, wakeup: Wakeup, now: float) -> None:
        """Do everything that is due at `now` (monotonic)."""
        self._services.receive(wakeup, now)
        for pending in wakeup.requests:
            pending.answer(self._describe() if isinstance(pending.request, DescribeService) else _UNSUPPORTED)
        if now >= self._poll_at:
            self._poll_at = now + _POLL_EVERY
            self._services.poll(now)
            self._rotate_logs()
        if not self._ending and not self.restorer.files.socket_missing():
            self._check.run(now)
        self._services.act(now)
        if "panel" in self.guarded:
            self._panel_port.update()
        self._check_log_folder()
        self._check_run_files(now)
        self._changes.publish(now)

    def state_changed(self, change: ProcessStateChange, now: float) -> None:
        """Handle a state change that supervisord reported."""
        killed = self._services.kill_reason(change.process) if change.state in ("EXITED", "BACKOFF") else ""
        self._services.changed(change.process, change.group, change.state, change.pid, now)
        self._changes.add(change, killed)

    def _read_supervisord(self) -> bool:
        try:
            piece = os.read(_STDIN, 65536)
        except BlockingIOError:
            return True
        for change in self._parser.feed(piece):
            if change is not None:
                self.state_changed(change, time.monotonic())
            os.write(_STDOUT, HANDLED + READY)
        return bool(piece)

    def _rotate_logs(self) -> None:
        if rotate(self.shared_logs):
            # It reopens its files then (supervisord's documentation, Signals).
            self.signal_supervisord(signal.SIGUSR2)

    def _check_log_folder(self) -> None:
        """Create a removed log folder again: supervisord cannot start a program without its log."""
        layout = self.restorer.files.layout
        if not layout.config_dir.is_dir():
            return
        with suppress(LayoutError):
            if layout.create_log_dir():
                log_repair(f"the log folder {layout.log_dir} was removed; it was created again")
                self.signal_supervisord(signal.SIGUSR2)

    def _check_run_files(self, now: float) -> None:
        match self.restorer.files.state(now):
            case GuardState.KEPT:
                pass
            case GuardState.SWEPT:
                if not self._ending:
                    self.restorer.restore()
            case GuardState.REMOVED:
                self._stop_group()

    def _stop_group(self) -> None:
        guard = self.restorer.files.guard
        if not self._ending:
            self._ending = True
            name = guard.files[0] if guard is not None else self.restorer.files.layout.config_dir
            log_repair(f"the guard file {name} is gone: stopping the group")
            if guard is not None:
                guard.remove()
        try:
            self.supervisord.shutdown()
        except SupervisordFault as fault:
            log.debug("supervisord is already shutting down: %s", fault)
        except SupervisordError as error:
            # Its socket may have been removed together with the guard file.
            log.warning("%s; sending SIGTERM to supervisord", error)
            self.signal_supervisord(signal.SIGTERM)

    def _describe(self) -> Answer:
        data = {"states": self._services.states, "unpublished": len(self._changes)}
        return Answer(ok=True, text="guarding", data=data)


_UNSUPPORTED: Final = Answer(
    ok=False, text="the guardian does not support this request; send it to the service that runs the job"
)


def guard(layout: Layout, guard_files: tuple[Path, ...], log_file: Path) -> None:
    """Run the guardian until SIGTERM, or until supervisord exits."""
    parent = os.getppid()
    require_own_name("guardian", layout)
    if "SUPERVISOR_ENABLED" in os.environ:
        record_supervisord(layout, parent)
    send = parent_signal(parent)
    files = RunFiles.of(layout, guard_files, parent)
    try:
        with open_runtime_without_state("guardian", layout) as runtime:
            guarded = [name for name in table_services(layout.config_dir) if name != "guardian"]
            runtime.bus.subscribe({name: [Heartbeat] for name in guarded}, None)
            supervisord = Supervisord(layout.supervisor_socket, timeout=_SUPERVISORD_WITHIN)
            restorer = Restorer(
                files,
                check=lambda: require_conf(layout, supervisord=parent),
                restart=lambda: send(signal.SIGHUP),
            )
            shared_logs = (layout.log_dir / logs.OWNERS_LOG, log_file)
            replace = partial(start_again, layout, runtime.life.users_umask)
            Guardian(runtime, guarded, supervisord, restorer, shared_logs, send, replace, Totals()).run()
    finally:
        if files.directory_removed():
            # Without its log folder this guardian is not started again.
            send(signal.SIGTERM)
