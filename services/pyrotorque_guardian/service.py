"""The guardian's loop: publishes state changes, restarts FATAL services, kills hung ones, checks the guard file."""

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pyrotorque import logs
from pyrotorque.bus import Wakeup
from pyrotorque.errors import StateError
from pyrotorque.events import Heartbeat, ServiceStateChanged
from pyrotorque.group_lock import read_identity, write_identity
from pyrotorque.guard_file import GuardState
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import ProcessIdentity, running_process
from pyrotorque.options import read_options
from pyrotorque.requests import Answer, DescribeService
from pyrotorque.service.runtime import Runtime, open_runtime_without_state
from pyrotorque.service.totals_report import TotalsReport
from pyrotorque.supervisord import ALREADY_STARTED, Supervisord, SupervisordError, SupervisordFault
from pyrotorque.supervisord.config import programs_file, table_services
from pyrotorque.supervisord.validation import require_conf
from pyrotorque.totals import Totals
from pyrotorque_guardian.decisions import (
    HangDetector,
    HungService,
    ProcessCounters,
    RestartBackoff,
    SupervisordWatch,
)
from pyrotorque_guardian.log_rotation import rotate
from pyrotorque_guardian.process_exits import ProcessExits
from pyrotorque_guardian.run_files import Restorer, RunFiles, start_again
from pyrotorque_guardian.supervisord_events import HANDLED, READY, EventParser, ProcessStateChange

log = logging.getLogger(__name__)

_TURN = 2.0
_POLL_EVERY = 30.0
_TURN_WITHIN = 30.0  # all calls of one turn, each at its deadline
_STDIN, _STDOUT = 0, 1
_UNPUBLISHED_MAX = 1000
_SUPERVISORD_WITHIN = 3.0
_SUPERVISORD_CHECK_EVERY = 10.0


class _UnpublishedChange(NamedTuple):
    """A state change whose event is not committed yet; `killed` if the guardian killed the process."""

    event: ServiceStateChanged
    change: ProcessStateChange
    killed: bool


@dataclass
class Guardian:
    """The state of the service; `turn` is one turn of its loop."""

    runtime: Runtime
    guarded: Collection[str]
    supervisord: Supervisord
    restorer: Restorer
    shared_logs: tuple[Path, ...]
    signal_supervisord: Callable[[signal.Signals], None]
    replace_supervisord: Callable[[], None]
    totals: Totals
    _states: dict[str, str] = field(default_factory=dict[str, str])
    _ending: bool = False
    _unpublished: deque[_UnpublishedChange] = field(
        default_factory=lambda: deque[_UnpublishedChange](maxlen=_UNPUBLISHED_MAX)
    )
    _killed: dict[str, str] = field(default_factory=dict[str, str])
    _poll_at: float = 0.0
    _supervisord_check_at: float = 0.0
    _processes: dict[str, ProcessIdentity] = field(default_factory=dict[str, ProcessIdentity])

    def __post_init__(self) -> None:
        self._parser = EventParser()
        self._backoff = RestartBackoff()
        self._hangs = HangDetector()
        self._supervisord_watch = SupervisordWatch()
        self._counters = ProcessCounters(self.totals)
        self._exits = ProcessExits()
        self._report = TotalsReport("guardian", self.totals, self.runtime.bus)
        self.runtime.bus.stats.count_into(self.totals)
        with suppress(StateError):
            self.totals.load(self.runtime.store)

    def run(self) -> None:
        """Run until SIGTERM, or until supervisord exits."""
        life = self.runtime.life
        os.set_blocking(_STDIN, False)
        os.write(_STDOUT, READY)
        while not life.stopping:
            wakeup = self.runtime.bus.wait(self._backoff.wait(time.monotonic(), _TURN), _STDIN, *self._exits.fds)
            with life.step("guarding", time.monotonic() + _TURN_WITHIN):
                if _STDIN in wakeup.fds and not self._read_supervisord():
                    log.info("supervisord exited; shutting down")
                    return
                self.turn(wakeup, time.monotonic())

    def turn(self, wakeup: Wakeup, now: float) -> None:
        """Do everything that is due at `now` (monotonic)."""
        if self._exits.remove_exited(wakeup.fds):
            self._wake_supervisord()
        for delivery in wakeup.deliveries:
            if isinstance(delivery.event, Heartbeat):
                self._hangs.receive(delivery.event, now)
        for pending in wakeup.requests:
            pending.answer(self._describe() if isinstance(pending.request, DescribeService) else _UNSUPPORTED)
        if now >= self._poll_at:
            self._poll_at = now + _POLL_EVERY
            self._poll_supervisord(now)
            self._rotate_logs()
        if now >= self._supervisord_check_at:
            self._supervisord_check_at = now + _SUPERVISORD_CHECK_EVERY
            self._check_supervisord(now)
        for hung in self._hangs.hung_services(now):
            self._kill(hung)
        for name in self._backoff.due(now):
            self._restart(name)
        self._check_log_folder()
        self._check_run_files(now)
        self._publish(now)

    def state_changed(self, change: ProcessStateChange, now: float) -> None:
        """Handle a state change that supervisord reported."""
        killed = self._killed.pop(change.process, "") if change.state in ("EXITED", "BACKOFF") else ""
        self._update_state(change.process, change.state, change.pid, now)
        reason = killed or ("ended unexpectedly" if change.state == "EXITED" and not change.expected else "")
        event = ServiceStateChanged(
            at=time.time(), service=change.process, state=change.state, before=change.before, reason=reason
        )
        self._unpublished.append(_UnpublishedChange(event, change, bool(killed)))
        level = logging.WARNING if change.state in ("BACKOFF", "FATAL") or reason else logging.INFO
        log.log(level, "%s: %s → %s%s", change.process, change.before, change.state, f" ({reason})" if reason else "")
        if change.state == "EXITED" and reason and not killed:
            logs.owner_event("service ended", f"{change.process} {reason}; it is started again")

    def _update_state(self, name: str, state: str, pid: int, now: float) -> None:
        self._states[name] = state
        if name not in self.guarded:
            return
        self._backoff.state_changed(name, state, now)
        if state == "RUNNING":
            if (found := running_process(pid)) is not None:
                self._processes[name] = found
            self._hangs.running(name, pid, now)
            self._exits.watch(pid)
        else:
            self._hangs.stopped(name)

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

    def _wake_supervisord(self) -> None:
        # Any call starts a turn of its loop, which restarts the process that has ended.
        with suppress(SupervisordError):
            self.supervisord.pid()

    def _poll_supervisord(self, now: float) -> None:
        """Read all states: events were lost while the guardian did not run."""
        try:
            processes = self.supervisord.processes()
        except SupervisordError as error:
            log.warning("%s", error)
            return
        for process in processes:
            if process.name in self.guarded and process.state == "UNKNOWN":
                log.error("%s is UNKNOWN to supervisord; if it stays so: pyrotorque --restart", process.name)
            self._update_state(process.name, process.state, process.pid, now)

    def _rotate_logs(self) -> None:
        if rotate(self.shared_logs):
            # It reopens its files then (supervisord's documentation, Signals).
            self.signal_supervisord(signal.SIGUSR2)

    def _kill(self, hung: HungService) -> None:
        text = f"{hung.service} hangs: {hung.reason}; killing it"
        log.error("%s", text)
        logs.owner_event("service hung", text, subject=hung.service)
        self._killed[hung.service] = f"killed by the guardian: {hung.reason}"
        try:
            self.supervisord.signal(hung.service, "KILL")
        except SupervisordError as error:
            log.warning("%s; killing pid %d directly", error, hung.pid)
            known = self._processes.get(hung.service)
            # The pid may belong to another process by now, which has another start time.
            if known is not None and known.pid == hung.pid and known.is_running():
                with suppress(OSError):
                    os.kill(known.pid, signal.SIGKILL)

    def _restart(self, name: str) -> None:
        text = f"{name} has failed repeatedly and is stopped (FATAL): starting it again; see log/{name}.log"
        log.warning("%s", text)
        logs.owner_event("service gave up", text)
        try:
            self.supervisord.start(name)
        except SupervisordFault as fault:
            if fault.code != ALREADY_STARTED:
                log.warning("%s", fault)
        except SupervisordError as error:
            log.warning("%s", error)

    def _check_supervisord(self, now: float) -> None:
        """Continue a supervisord that was stopped, and replace one that hangs: it restarts no services then."""
        files = self.restorer.files
        if self._ending or files.socket_missing():
            return
        try:
            self.supervisord.pid()
            answers = True
        except SupervisordFault:
            answers = True
        except SupervisordError:
            answers = False
        match self._supervisord_watch.due(answers, now):
            case "continue":
                self._log_problem("supervisord does not answer: sending SIGCONT in case it was stopped")
                self.signal_supervisord(signal.SIGCONT)
            case "replace":
                self._log_problem("supervisord still does not answer: ending it, and starting the group again")
                self.replace_supervisord()
            case _:
                pass

    def _check_log_folder(self) -> None:
        """Create a removed log folder again: supervisord cannot start a program without its log."""
        folder = self.shared_logs[0].parent
        if folder.is_dir() or not folder.parent.is_dir():
            return
        with suppress(OSError):
            folder.mkdir(mode=0o700)
            self._log_problem(f"the log folder {folder} was removed; it was created again")
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
            self._log_problem(f"the guard file {name} is gone: stopping the group")
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

    def _log_problem(self, text: str) -> None:
        log.warning("%s", text)
        logs.owner_event("group repaired", text)

    def _publish(self, now: float) -> None:
        """Commit the state changes, then publish them; while the disk is full they stay queued."""
        changed = bool(self._unpublished)
        try:
            if changed:
                with self.runtime.store.transaction():
                    for event, change, killed in self._unpublished:
                        self.runtime.outbox.add(event)
                        self._counters.count(change, killed)
                self._unpublished.clear()
                self.runtime.bus.publish()
        except StateError as error:
            if self._report.is_overdue(now):
                log.error("%s; %d state changes not yet published", error, len(self._unpublished))
        if changed or self._report.is_overdue(now):
            self._report.publish(now)

    def _describe(self) -> Answer:
        return Answer(ok=True, text="guarding", data={"states": self._states, "unpublished": len(self._unpublished)})


_UNSUPPORTED = Answer(
    ok=False, text="the guardian does not support this request; send it to the service that runs the job"
)


def guard(layout: Layout, guard_file: Path | None, log_file: Path) -> None:
    """Run the guardian until SIGTERM, or until supervisord exits."""
    parent = os.getppid()
    if "SUPERVISOR_ENABLED" in os.environ:
        _record_supervisord(layout, parent)
    send = _parent_signal(parent)
    files = RunFiles.of(layout, guard_file, parent)
    try:
        with open_runtime_without_state("guardian", layout) as runtime:
            guarded = [name for name in table_services(layout.config_dir) if name != "guardian"]
            runtime.bus.subscribe({name: [Heartbeat] for name in guarded}, None)
            supervisord = Supervisord(layout.supervisor_socket, timeout=_SUPERVISORD_WITHIN)
            restorer = Restorer(
                files,
                check=lambda: require_conf(layout, read_options(layout), supervisord=parent),
                restart=lambda: send(signal.SIGHUP),
            )
            shared_logs = (layout.log_dir / logs.OWNERS_LOG, log_file)
            replace = partial(start_again, layout)
            Guardian(runtime, guarded, supervisord, restorer, shared_logs, send, replace, Totals()).run()
    finally:
        if files.directory_removed():
            # Without its log folder this guardian is not started again.
            send(signal.SIGTERM)


def _record_supervisord(layout: Layout, parent: int) -> None:
    """A supervisord that version 1.0.0 has started holds no lock, and is in no lock file."""
    known = read_identity(layout.group_lock)
    if known is not None and known.process == running_process(parent):
        return
    if not programs_file(layout).exists():
        return  # the configuration directory was removed
    with suppress(OSError):
        layout.prepare()
        write_identity(layout.group_lock, parent, (str(layout.config_dir), str(layout.supervisor_socket)))


def _parent_signal(parent: int) -> Callable[[signal.Signals], None]:
    """Sends signals to supervisord, our parent, and to no process that may take its place."""

    def send(number: signal.Signals) -> None:
        if os.getppid() == parent:
            os.kill(parent, number)

    return send
