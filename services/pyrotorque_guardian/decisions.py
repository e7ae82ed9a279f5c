"""The guardian's decisions, without effects: which services hang, when a FATAL one is restarted, what is counted."""

from dataclasses import dataclass, field

from pyrotorque.events import Heartbeat
from pyrotorque.process_metrics import EXITS, RESTARTS
from pyrotorque.totals import Totals
from pyrotorque_guardian.supervisord_events import ProcessStateChange

SILENT_AFTER = 15.0
FIRST_BEAT_WITHIN = 25.0
"""A service checks its configuration before it sends its first heartbeat."""
DEADLINE_SLACK = 1.0
KILL_AGAIN_AFTER = 10.0
_OWN_GAP = 5.0

SUPERVISORD_SILENT = 10.0
SUPERVISORD_REPLACED = 40.0
"""It answers each call at once, unless it is stopped, or blocked by a filesystem; then services are not restarted."""
_SUPERVISORD_GAP = 20.0

DELAY_FIRST = 1.0
DELAY_MAX = 45.0
"""Below the promised 60 s, because a start takes time too."""
SOUND_AFTER = 60.0
"""After running this long, the next restart uses the first delay again."""

# A process that ends in STARTING goes to BACKOFF and was never RUNNING; all others end in EXITED.
_ENDED = ("EXITED", "BACKOFF")
_RESTARTED_FROM = ("EXITED", "BACKOFF", "FATAL")


@dataclass(frozen=True, slots=True)
class HungService:
    """A service to kill, and the reason."""

    service: str
    reason: str
    pid: int = 0


@dataclass
class _RunningService:
    """One process that supervisord reports as RUNNING; `received` is when its last heartbeat arrived."""

    pid: int
    received: float
    heartbeat: Heartbeat | None = None
    killed: float | None = None


@dataclass
class HangDetector:
    """Finds running services that send no heartbeats, or whose loop exceeds the deadline in its heartbeat.

    Times are CLOCK_MONOTONIC.
    """

    _running: dict[str, _RunningService] = field(default_factory=dict[str, _RunningService])
    _early: dict[str, Heartbeat] = field(default_factory=dict[str, Heartbeat])
    _last_check: float | None = None

    def running(self, service: str, pid: int, now: float) -> None:
        """supervisord reports `service` as running with `pid`."""
        if service not in self._running or self._running[service].pid != pid:
            early = self._early.pop(service, None)
            self._running[service] = _RunningService(
                pid, now, early if early is not None and early.pid == pid else None
            )

    def stopped(self, service: str) -> None:
        """supervisord reports that `service` does not run."""
        self._running.pop(service, None)

    def receive(self, heartbeat: Heartbeat, now: float) -> None:
        """Record a heartbeat; it may arrive before supervisord reports RUNNING. One of another pid is ignored."""
        running = self._running.get(heartbeat.service)
        if running is None:
            self._early[heartbeat.service] = heartbeat
        elif running.pid == heartbeat.pid:
            running.received, running.heartbeat = now, heartbeat

    def hung_services(self, now: float) -> list[HungService]:
        """The services to kill now."""
        if self._last_check is not None and now - self._last_check > _OWN_GAP:
            # The guardian itself did not run: heartbeats sent in the meantime are still unread.
            for running in self._running.values():
                running.received = max(running.received, now)
        self._last_check = now
        hung = [
            HungService(service, reason, self._running[service].pid)
            for service in sorted(self._running)
            if (reason := self._hang_reason(self._running[service], now))
        ]
        for one in hung:
            self._running[one.service].killed = now
        return hung

    def _hang_reason(self, running: _RunningService, now: float) -> str:
        if running.killed is not None and now - running.killed < KILL_AGAIN_AFTER:
            return ""
        silent = now - running.received
        heartbeat = running.heartbeat
        if heartbeat is None:
            return f"no heartbeat within {silent:.0f} s after its start" if silent > FIRST_BEAT_WITHIN else ""
        if silent > SILENT_AFTER:
            return f"no heartbeat for {silent:.0f} s"
        if 0 < heartbeat.deadline < now - DEADLINE_SLACK:
            in_step, overdue = now - heartbeat.step_since, now - heartbeat.deadline
            return f"in step {heartbeat.step!r} for {in_step:.0f} s, {overdue:.0f} s past its deadline"
        return ""


@dataclass
class SupervisordWatch:
    """Decides what to do about a supervisord that does not answer. Times are CLOCK_MONOTONIC."""

    _silent_since: float | None = None
    _last_check: float | None = None
    _acted: float = float("-inf")

    def due(self, answers: bool, now: float) -> str:
        """`continue` when it must be sent SIGCONT, `replace` when it must be ended; else empty."""
        if self._last_check is not None and now - self._last_check > _SUPERVISORD_GAP:
            self._silent_since = None  # the guardian itself did not run
        self._last_check = now
        if answers:
            self._silent_since = None
            return ""
        if self._silent_since is None:
            self._silent_since = now
        silent = now - self._silent_since
        if silent < SUPERVISORD_SILENT or now - self._acted < SUPERVISORD_SILENT:
            return ""
        self._acted = now
        if silent < SUPERVISORD_REPLACED:
            return "continue"
        self._silent_since = now  # the replacement takes time
        return "replace"


@dataclass
class RestartBackoff:
    """Decides when a FATAL program is started again: after 1, 2, 4, … 45 seconds."""

    _due: dict[str, float] = field(default_factory=dict[str, float])
    _delay: dict[str, float] = field(default_factory=dict[str, float])
    _running_since: dict[str, float] = field(default_factory=dict[str, float])

    def state_changed(self, name: str, state: str, now: float) -> None:
        """Program `name` is in `state` now."""
        if state == "RUNNING":
            self._running_since.setdefault(name, now)
        elif (since := self._running_since.pop(name, None)) is not None and now - since >= SOUND_AFTER:
            self._delay.pop(name, None)
        if state == "FATAL":
            self._due.setdefault(name, now + self._delay.get(name, DELAY_FIRST))
        else:
            self._due.pop(name, None)

    def wait(self, now: float, at_most: float) -> float:
        """Seconds until a program is due, between 0 and `at_most`."""
        return max(0.0, min([at_most, *(at - now for at in self._due.values())]))

    def due(self, now: float) -> list[str]:
        """The programs to start now; one that stays FATAL becomes due again after the next delay."""
        names = sorted(name for name, at in self._due.items() if at <= now)
        for name in names:
            self._delay[name] = min(2 * self._delay.get(name, DELAY_FIRST), DELAY_MAX)
            self._due[name] = now + self._delay[name]
        return names


class ProcessCounters:
    """Counts restarts and exits of each program; the totals survive restarts of the guardian."""

    def __init__(self, totals: Totals) -> None:
        self._restarts = totals.counter(RESTARTS.name, RESTARTS.help, RESTARTS.labels)
        self._exits = totals.counter(EXITS.name, EXITS.help, EXITS.labels)

    def count(self, change: ProcessStateChange, killed: bool) -> None:
        """Count `change`; `killed` if the guardian killed the process."""
        if change.state == "STARTING" and change.before in _RESTARTED_FROM:
            self._restarts.inc(change.process)
        if change.state in _ENDED:
            expected = change.state == "EXITED" and change.expected
            self._exits.inc(change.process, "watchdog" if killed else "ok" if expected else "error")
