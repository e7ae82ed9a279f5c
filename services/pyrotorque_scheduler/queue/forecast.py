"""Who starts next and when, if nothing else happens: the rule itself, asked again for each moment it waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.hours import Hours
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
from pyrotorque_scheduler.queue.policy import decide

# The night, the fire time in it, the intermission after that: more than these do not follow each other.
_MOMENTS_MAX: Final = 8
# Sums of times are not exact: a moment later they are past what they waited for.
_MOMENT: Final = 0.001


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """What rTorrent said, so that the rule can be asked without asking it again."""

    candidates: Sequence[Candidate]
    downloading: int
    down_rate: int = 0
    promised: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a check decides `now`, and `then` the next that starts something: at `at`, or when nobody can say (None).

    Without an `at`, `then` is what the clock alone brings: its first hold is what has to go.
    """

    now: Sequence[Decision]
    at: float | None
    then: Sequence[Decision]
    then_at: float

    @property
    def hold(self) -> Hold | None:
        """Why no more is started now."""
        return _first_hold(self.now)

    @property
    def last_hold(self) -> Hold | None:
        """What holds the queue when all that waits for the clock is over."""
        return _first_hold(self.then)

    @property
    def starts(self) -> list[QueueStart]:
        """What starts at `at`."""
        return [decision for decision in self.then if isinstance(decision, QueueStart)]


def forecast(
    facts: QueueFacts, limits: Limits, state: QueueState, schedule: PaceSchedule, hours: Hours, now: Instant
) -> Forecast:
    """Ask the rule now and at each moment that its holds name, until something starts."""
    first = decisions = _decided(facts, limits, state, schedule, hours, now)
    moment = now
    for _ in range(_MOMENTS_MAX):
        if any(isinstance(decision, QueueStart) for decision in decisions):
            return Forecast(first, moment.wall, decisions, moment.wall)
        untils = [hold.until for hold in decisions if isinstance(hold, Hold) and hold.until is not None]
        if not untils:
            break
        later = max(min(untils), moment.wall) + _MOMENT
        moment = moment.earlier(moment.wall - later)
        decisions = _decided(facts, limits, state, schedule, hours, moment)
    return Forecast(first, None, decisions, moment.wall)


def _first_hold(decisions: Sequence[Decision]) -> Hold | None:
    return next((decision for decision in decisions if isinstance(decision, Hold)), None)


def _decided(
    facts: QueueFacts, limits: Limits, state: QueueState, schedule: PaceSchedule, hours: Hours, moment: Instant
) -> list[Decision]:
    granted = grant(schedule, limits.start_at_once, state.spent, moment.wall)
    return decide(
        facts.candidates,
        facts.downloading,
        limits,
        state,
        granted,
        moment,
        opens=hours.opens(moment.wall),
        down_rate=facts.down_rate,
        promised=facts.promised,
    )
