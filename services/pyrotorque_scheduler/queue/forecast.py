"""What starts next and when, if nothing else happens: the policy, evaluated at each time that its holds end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.hours import Hours
from pyrotorque_scheduler.queue.groups import GroupRoom
from pyrotorque_scheduler.queue.model import (
    Candidate,
    Decision,
    Hold,
    Instant,
    Limits,
    PaceSchedule,
    QueueStart,
    QueueState,
    grant,
)
from pyrotorque_scheduler.queue.policy import NO_GROUPS, decide

# Holds that end one after the other: hours, the fire time within them, the intermission after it, and so on.
_EVALUATIONS_MAX: Final = 8
# Floating point sums of times are inexact: evaluate slightly after the end of a hold.
_MARGIN: Final = 0.001


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """The facts that were read from rTorrent, for repeated evaluation."""

    candidates: Sequence[Candidate]
    downloading: int
    down_rate: int = 0
    reserved: Mapping[int, int] = field(default_factory=dict[int, int])
    room: GroupRoom = NO_GROUPS


@dataclass(frozen=True, slots=True)
class Forecast:
    """The decisions of a check `now`, and of the `next` check that starts something, at `at`.

    If the passing of time alone starts nothing, `at` is None, and `next` are the decisions after all timed holds ended
    (at `next_at`): its first hold is what has to change.
    """

    now: Sequence[Decision]
    at: float | None
    next: Sequence[Decision]
    next_at: float

    @property
    def hold(self) -> Hold | None:
        """Why no more is started now."""
        return _first_hold(self.now)

    @property
    def last_hold(self) -> Hold | None:
        """What holds the queue after all timed holds ended."""
        return _first_hold(self.next)

    @property
    def starts(self) -> list[QueueStart]:
        """What starts at `at`."""
        return [decision for decision in self.next if isinstance(decision, QueueStart)]


def forecast(
    facts: QueueFacts, limits: Limits, state: QueueState, schedule: PaceSchedule, hours: Hours, now: Instant
) -> Forecast:
    """Evaluate the policy now and at each time that its holds end, until something starts."""
    first = decisions = _decided(facts, limits, state, schedule, hours, now)
    at = now
    for _ in range(_EVALUATIONS_MAX):
        if any(isinstance(decision, QueueStart) for decision in decisions):
            return Forecast(first, at.wall, decisions, at.wall)
        untils = [hold.until for hold in decisions if isinstance(hold, Hold) and hold.until is not None]
        if not untils:
            break
        later = max(min(untils), at.wall) + _MARGIN
        at = at.earlier(at.wall - later)
        decisions = _decided(facts, limits, state, schedule, hours, at)
    return Forecast(first, None, decisions, at.wall)


def _first_hold(decisions: Sequence[Decision]) -> Hold | None:
    return next((decision for decision in decisions if isinstance(decision, Hold)), None)


def _decided(
    facts: QueueFacts, limits: Limits, state: QueueState, schedule: PaceSchedule, hours: Hours, at: Instant
) -> list[Decision]:
    granted = grant(schedule, limits.start_at_once, state.used, at.wall)
    return decide(
        facts.candidates,
        facts.downloading,
        limits,
        state,
        granted,
        at,
        opens=hours.opens(at.wall),
        down_rate=facts.down_rate,
        reserved=facts.reserved,
        room=facts.room,
    )
