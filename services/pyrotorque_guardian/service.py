"""The guardian's loop: hears supervisord and heartbeats; tells changes, revives, kills, minds guard file and logs."""

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
from pyrotorque.bus import Bus, Wakeup
from pyrotorque.errors import StateError
from pyrotorque.events import Heartbeat, ServiceStateChanged, TotalsReported
from pyrotorque.outbox import Outbox
from pyrotorque.requests import Answer, DescribeService
from pyrotorque.service.lifecycle import Lifecycle
from pyrotorque.store import Store
from pyrotorque.supervisord import ALREADY_STARTED, Supervisord, SupervisordError, SupervisordFault
from pyrotorque.totals import Totals
from pyrotorque_guardian.deaths import Deaths
from pyrotorque_guardian.decisions import Counts, Hung, Revival, Watch
from pyrotorque_guardian.log_rotation import rotate
from pyrotorque_guardian.supervisord_events import HANDLED, READY, Feed, StateChange

log = logging.getLogger(__name__)

GUARDED = ("scheduler", "watcher", "exporter")

_TURN = 1.0
_COMPARE_EVERY = 30.0
_REPORT_EVERY = 30.0
_TURN_WITHIN = 30.0  # all the calls of one turn, at their deadlines
_STDIN, _STDOUT = 0, 1
_UNTOLD_MAX = 1000


@dataclass
class Guardian:
    """One life of the guardian; everything outside is given."""

    bus: Bus
    store: Store
    outbox: Outbox
    supervisord: Supervisord
    guard_file: Path | None
    shared_logs: tuple[Path, ...]
    signal_supervisord: Callable[[signal.Signals], None]
    totals: Totals
    _states: dict[str, str] = field(default_factory=dict[str, str])
    _ending: bool = False
    _untold: deque[ServiceStateChanged] = field(default_factory=lambda: deque[ServiceStateChanged](maxlen=_UNTOLD_MAX))
    _killed: dict[str, str] = field(default_factory=dict[str, str])
    _compare_at: float = 0.0
    _report_at: float = 0.0

    def __post_init__(self) -> None:
        self._feed = Feed()
        self._revival = Revival()
        self._watch = Watch()
        self._counts = Counts(self.totals)
        self._deaths = Deaths()
        self.bus.stats.count_into(self.totals)
        with suppress(StateError):
            self.totals.load(self.store)

    def run(self, life: Lifecycle) -> None:
        """Turn until TERM, or until supervisord is gone."""
        os.set_blocking(_STDIN, False)
        os.write(_STDOUT, READY)
        while not life.stopping:
            woken = self.bus.wait(_TURN, _STDIN, *self._deaths.fds)
            with life.step("guarding", time.monotonic() + _TURN_WITHIN):
                if _STDIN in woken.fds and not self._hear_supervisord():
                    log.info("supervisord is gone: leaving")
                    return
                self.turn(woken, time.monotonic())

    def turn(self, woken: Wakeup, now: float) -> None:
        """Everything that is due now."""
        if self._deaths.take(woken.fds):
            self._nudge()
        for delivery in woken.deliveries:
            if isinstance(delivery.event, Heartbeat):
                self._watch.hears(delivery.event, now)
        for asked in woken.requests:
            asked.answer(self._describe() if isinstance(asked.request, DescribeService) else _NOT_MINE)
        if now >= self._compare_at:
            self._compare_at = now + _COMPARE_EVERY
            self._compare(now)
            self._rotate_logs()
        for hung in self._watch.look(now):
            self._kill(hung)
        for name in self._revival.due(now):
            self._revive(name)
        self._mind_guard_file()
        self._tell(now)

    def sees(self, change: StateChange, now: float) -> None:
        """supervisord told of a change."""
        killed = self._killed.pop(change.process, "") if change.state in ("EXITED", "BACKOFF") else ""
        self._counts.sees(change, bool(killed))
        self._takes(change.process, change.state, change.pid, now)
        reason = killed or ("ended unexpectedly" if change.state == "EXITED" and not change.expected else "")
        self._untold.append(
            ServiceStateChanged(
                at=time.time(), service=change.process, state=change.state, before=change.before, reason=reason
            )
        )
        level = logging.WARNING if change.state in ("BACKOFF", "FATAL") or reason else logging.INFO
        log.log(level, "%s: %s → %s%s", change.process, change.before, change.state, f" ({reason})" if reason else "")

    def _takes(self, name: str, state: str, pid: int, now: float) -> None:
        self._states[name] = state
        if name not in GUARDED:
            return
        self._revival.sees(name, state, now)
        if state == "RUNNING":
            self._watch.runs(name, pid, now)
            self._deaths.watch(pid)
        else:
            self._watch.rests(name)

    def _hear_supervisord(self) -> bool:
        try:
            piece = os.read(_STDIN, 65536)
        except BlockingIOError:
            return True
        for change in self._feed.take(piece):
            if change is not None:
                self.sees(change, time.monotonic())
            os.write(_STDOUT, HANDLED + READY)
        return bool(piece)

    def _nudge(self) -> None:
        with suppress(SupervisordError):
            self.supervisord.pid()

    def _compare(self, now: float) -> None:
        """What supervisord says now: events may have been lost while we were away."""
        try:
            processes = self.supervisord.processes()
        except SupervisordError as error:
            log.warning("%s", error)
            return
        for process in processes:
            if process.name in GUARDED and process.state == "UNKNOWN":
                log.error("supervisord has lost sight of %s", process.name)
            self._takes(process.name, process.state, process.pid, now)

    def _rotate_logs(self) -> None:
        if rotate(self.shared_logs):
            # It opens its files again (supervisord's documentation, Signals).
            self.signal_supervisord(signal.SIGUSR2)

    def _kill(self, hung: Hung) -> None:
        text = f"{hung.service} hangs: {hung.reason}; killing it"
        log.error("%s", text)
        logs.owner_log(text)
        self._killed[hung.service] = f"killed by the guardian: {hung.reason}"
        try:
            self.supervisord.signal(hung.service, "KILL")
        except SupervisordError as error:
            log.warning("%s", error)

    def _revive(self, name: str) -> None:
        log.warning("%s is FATAL: starting it again", name)
        logs.owner_log(f"{name} is FATAL: starting it again")
        try:
            self.supervisord.start(name)
        except SupervisordFault as fault:
            if fault.code != ALREADY_STARTED:
                log.warning("%s", fault)
        except SupervisordError as error:
            log.warning("%s", error)

    def _mind_guard_file(self) -> None:
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
            log.debug("it is ending already: %s", fault)
        except SupervisordError as error:
            # Somebody may have removed its socket together with the guard file.
            log.warning("%s; sending it TERM", error)
            self.signal_supervisord(signal.SIGTERM)

    def _tell(self, now: float) -> None:
        """Make what happened durable, then ring; while the disk is full it waits here."""
        changed = bool(self._untold)
        try:
            if changed:
                with self.store.transaction():
                    for event in self._untold:
                        self.outbox.add(event)
                    self.totals.save(self.store)
                self._untold.clear()
                self.bus.publish()
        except StateError as error:
            if now >= self._report_at:
                log.error("%s; %d changes wait to be told", error, len(self._untold))
        if changed or now >= self._report_at:
            self._report_at = now + _REPORT_EVERY
            self.bus.publish_live(TotalsReported(at=time.time(), service="guardian", families=self.totals.families()))

    def _describe(self) -> Answer:
        return Answer(ok=True, text="guarding", data={"states": self._states, "untold": len(self._untold)})


_NOT_MINE = Answer(ok=False, text="the guardian does not do that; ask the service that owns the job")
