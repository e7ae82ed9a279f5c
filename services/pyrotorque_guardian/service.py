"""The guardian's loop: publishes state changes, restarts FATAL services, kills hung ones, checks the guard file."""

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pyrotorque import logs
from pyrotorque.bus import Wakeup
from pyrotorque.errors import StateError
from pyrotorque.events import Heartbeat, ServiceStateChanged
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, DescribeService
from pyrotorque.service.runtime import Runtime, open_runtime_without_state
from pyrotorque.service.totals_report import TotalsReport
from pyrotorque.supervisord import ALREADY_STARTED, Supervisord, SupervisordError, SupervisordFault
from pyrotorque.totals import Totals
from pyrotorque_guardian.decisions import HangDetector, HungService, ProcessCounters, RestartBackoff
from pyrotorque_guardian.log_rotation import rotate
from pyrotorque_guardian.process_exits import ProcessExits
from pyrotorque_guardian.supervisord_events import HANDLED, READY, EventParser, ProcessStateChange

log = logging.getLogger(__name__)

GUARDED = ("scheduler", "watcher", "exporter")

_TURN = 1.0
_POLL_EVERY = 30.0
_TURN_WITHIN = 30.0  # all calls of one turn, each at its deadline
_STDIN, _STDOUT = 0, 1
_UNPUBLISHED_MAX = 1000
_SUPERVISORD_WITHIN = 3.0


@dataclass
class Guardian:
    """The state of the service; `turn` is one turn of its loop."""

    runtime: Runtime
    supervisord: Supervisord
    guard_file: Path | None
    shared_logs: tuple[Path, ...]
    signal_supervisord: Callable[[signal.Signals], None]
    totals: Totals
    _states: dict[str, str] = field(default_factory=dict[str, str])
    _ending: bool = False
    _unpublished: deque[ServiceStateChanged] = field(
        default_factory=lambda: deque[ServiceStateChanged](maxlen=_UNPUBLISHED_MAX)
    )
    _killed: dict[str, str] = field(default_factory=dict[str, str])
    _poll_at: float = 0.0

    def __post_init__(self) -> None:
        self._parser = EventParser()
        self._backoff = RestartBackoff()
        self._hangs = HangDetector()
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
            wakeup = self.runtime.bus.wait(_TURN, _STDIN, *self._exits.fds)
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
        for hung in self._hangs.hung_services(now):
            self._kill(hung)
        for name in self._backoff.due(now):
            self._restart(name)
        self._check_guard_file()
        self._publish(now)

    def state_changed(self, change: ProcessStateChange, now: float) -> None:
        """Handle a state change that supervisord reported."""
        killed = self._killed.pop(change.process, "") if change.state in ("EXITED", "BACKOFF") else ""
        self._counters.count(change, bool(killed))
        self._update_state(change.process, change.state, change.pid, now)
        reason = killed or ("ended unexpectedly" if change.state == "EXITED" and not change.expected else "")
        self._unpublished.append(
            ServiceStateChanged(
                at=time.time(), service=change.process, state=change.state, before=change.before, reason=reason
            )
        )
        level = logging.WARNING if change.state in ("BACKOFF", "FATAL") or reason else logging.INFO
        log.log(level, "%s: %s → %s%s", change.process, change.before, change.state, f" ({reason})" if reason else "")

    def _update_state(self, name: str, state: str, pid: int, now: float) -> None:
        self._states[name] = state
        if name not in GUARDED:
            return
        self._backoff.state_changed(name, state, now)
        if state == "RUNNING":
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
            if process.name in GUARDED and process.state == "UNKNOWN":
                log.error("%s is UNKNOWN to supervisord; if it stays so: pyrotorque --restart", process.name)
            self._update_state(process.name, process.state, process.pid, now)

    def _rotate_logs(self) -> None:
        if rotate(self.shared_logs):
            # It reopens its files then (supervisord's documentation, Signals).
            self.signal_supervisord(signal.SIGUSR2)

    def _kill(self, hung: HungService) -> None:
        text = f"{hung.service} hangs: {hung.reason}; killing it"
        log.error("%s", text)
        logs.owner_log(text)
        self._killed[hung.service] = f"killed by the guardian: {hung.reason}"
        try:
            self.supervisord.signal(hung.service, "KILL")
        except SupervisordError as error:
            log.warning("%s", error)

    def _restart(self, name: str) -> None:
        log.warning("%s is FATAL: starting it again", name)
        logs.owner_log(f"{name} is FATAL: starting it again")
        try:
            self.supervisord.start(name)
        except SupervisordFault as fault:
            if fault.code != ALREADY_STARTED:
                log.warning("%s", fault)
        except SupervisordError as error:
            log.warning("%s", error)

    def _check_guard_file(self) -> None:
        if self.guard_file is None or self.guard_file.exists():
            return
        if not self._ending:
            self._ending = True
            text = f"the guard file {self.guard_file} is gone: stopping the group"
            log.warning("%s", text)
            logs.owner_log(text)
        try:
            self.supervisord.shutdown()
        except SupervisordFault as fault:
            log.debug("supervisord is already shutting down: %s", fault)
        except SupervisordError as error:
            # Its socket may have been removed together with the guard file.
            log.warning("%s; sending SIGTERM to supervisord", error)
            self.signal_supervisord(signal.SIGTERM)

    def _publish(self, now: float) -> None:
        """Commit the state changes, then publish them; while the disk is full they stay queued."""
        changed = bool(self._unpublished)
        try:
            if changed:
                with self.runtime.store.transaction():
                    for event in self._unpublished:
                        self.runtime.outbox.add(event)
                    self.totals.save(self.runtime.store)
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
    with open_runtime_without_state("guardian", layout) as runtime:
        runtime.bus.subscribe({name: [Heartbeat] for name in GUARDED}, None)
        supervisord = Supervisord(layout.supervisor_socket, timeout=_SUPERVISORD_WITHIN)
        shared_logs = (layout.log_dir / logs.OWNERS_LOG, log_file)
        Guardian(runtime, supervisord, guard_file, shared_logs, _parent_signal(), Totals()).run()


def _parent_signal() -> Callable[[signal.Signals], None]:
    """Sends signals to supervisord, our parent, and to no process that may take its place."""
    parent = os.getppid()

    def send(number: signal.Signals) -> None:
        if os.getppid() == parent:
            os.kill(parent, number)

    return send
