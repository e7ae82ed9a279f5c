"""What the guardian decides from states, heartbeats and times: which services hang, when to restart, what to count."""

from dataclasses import dataclass, field

from pyrotorque.events import Heartbeat
from pyrotorque.totals import Totals
from pyrotorque_guardian.supervisord_events import StateChange

SILENT_AFTER = 15.0
FIRST_BEAT_WITHIN = 25.0
"""A service that starts checks its configuration before it first beats."""
DEADLINE_SLACK = 1.0
KILL_AGAIN_AFTER = 10.0
_OWN_GAP = 5.0
DELAY_FIRST = 1.0
DELAY_MAX = 45.0
"""Below the promised 60 s, for a start takes time too."""
SOUND_AFTER = 60.0
"""Who ran that long begins anew with the first delay."""
# A process that ends in STARTING goes to BACKOFF and was never RUNNING; all others end in EXITED.
_ENDED = ("EXITED", "BACKOFF")
_AGAIN = ("EXITED", "BACKOFF", "FATAL")


@dataclass(frozen=True, slots=True)
class Hung:
    """A service to be killed, and why."""

    service: str
    reason: str


@dataclass
class _Watched:
    """One process that supervisord says is RUNNING."""

    pid: int
    heard: float
    beat: Heartbeat | None = None
    killed: float | None = None


@dataclass
class Watch:
    """Decides by heartbeats and the time given (CLOCK_MONOTONIC); kills nothing."""

    _watched: dict[str, _Watched] = field(default_factory=dict[str, _Watched])
    _early: dict[str, Heartbeat] = field(default_factory=dict[str, Heartbeat])
    _last_look: float | None = None

    def runs(self, service: str, pid: int, now: float) -> None:
        """supervisord says that `service` runs as `pid`."""
        if service not in self._watched or self._watched[service].pid != pid:
            early = self._early.pop(service, None)
            self._watched[service] = _Watched(pid, now, early if early is not None and early.pid == pid else None)

    def rests(self, service: str) -> None:
        """supervisord says that `service` does not run."""
        self._watched.pop(service, None)

    def hears(self, beat: Heartbeat, now: float) -> None:
        """A heartbeat came, maybe before supervisord calls its process RUNNING; a stranger's is nobody's."""
        watched = self._watched.get(beat.service)
        if watched is None:
            self._early[beat.service] = beat
        elif watched.pid == beat.pid:
            watched.heard, watched.beat = now, beat

    def look(self, now: float) -> list[Hung]:
        """Who hangs now."""
        if self._last_look is not None and now - self._last_look > _OWN_GAP:
            # It was us who slept: what the others sent meanwhile is still to be heard.
            for watched in self._watched.values():
                watched.heard = max(watched.heard, now)
        self._last_look = now
        return [
            self._kills(service, reason, now)
            for service in sorted(self._watched)
            if (reason := self._why(service, now))
        ]

    def _kills(self, service: str, reason: str, now: float) -> Hung:
        self._watched[service].killed = now
        return Hung(service, reason)

    def _why(self, service: str, now: float) -> str:
        watched = self._watched[service]
        if watched.killed is not None and now - watched.killed < KILL_AGAIN_AFTER:
            return ""
        silent = now - watched.heard
        if watched.beat is None:
            return f"no heartbeat within {silent:.0f} s after its start" if silent > FIRST_BEAT_WITHIN else ""
        if silent > SILENT_AFTER:
            return f"no heartbeat for {silent:.0f} s"
        beat = watched.beat
        if 0 < beat.deadline < now - DEADLINE_SLACK:
            return f"it is at {beat.step!r} since {now - beat.step_since:.0f} s, {now - beat.deadline:.0f} s too long"
        return ""


@dataclass
class Revival:
    """Decides by what is told and the time given; starts nothing."""

    _due: dict[str, float] = field(default_factory=dict[str, float])
    _delay: dict[str, float] = field(default_factory=dict[str, float])
    _running_since: dict[str, float] = field(default_factory=dict[str, float])

    def sees(self, name: str, state: str, now: float) -> None:
        """A program is in `state` now."""
        if state == "RUNNING":
            self._running_since.setdefault(name, now)
        elif (since := self._running_since.pop(name, None)) is not None and now - since >= SOUND_AFTER:
            self._delay.pop(name, None)
        if state == "FATAL":
            self._due.setdefault(name, now + self._delay.get(name, DELAY_FIRST))
        else:
            self._due.pop(name, None)

    def due(self, now: float) -> list[str]:
        """Who is to be started now; each is due again later should it stay FATAL."""
        names = sorted(name for name, at in self._due.items() if at <= now)
        for name in names:
            self._delay[name] = min(2 * self._delay.get(name, DELAY_FIRST), DELAY_MAX)
            self._due[name] = now + self._delay[name]
        return names


class Counts:
    """What the exporter shows of programs over all lives of the guardian."""

    def __init__(self, totals: Totals) -> None:
        self._restarts = totals.counter(
            "pyrotorque_process_restarts_total", "Starts of a program after it had ended by itself.", ("process",)
        )
        self._exits = totals.counter(
            "pyrotorque_process_exits_total",
            "Ends of a program's process by itself: ok, error, or killed by the guardian (watchdog).",
            ("process", "reason"),
        )

    def sees(self, change: StateChange, killed: bool) -> None:
        """Count what `change` means; `killed` when it was the guardian's doing."""
        if change.state == "STARTING" and change.before in _AGAIN:
            self._restarts.inc(change.process)
        if change.state in _ENDED:
            expected = change.state == "EXITED" and change.expected
            self._exits.inc(change.process, "watchdog" if killed else "ok" if expected else "error")
