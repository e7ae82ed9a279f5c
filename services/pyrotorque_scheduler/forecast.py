"""Who starts next and when, if nothing else happens: the rule itself, asked again for each moment it waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.hours import Hours
from pyrotorque_scheduler.decisions import Candidate, Decision, Hold, Limits, Start, State
from pyrotorque_scheduler.grant import Fires, grant
from pyrotorque_scheduler.moments import Moment
from pyrotorque_scheduler.policy import decide

# The night, the fire time in it, the intermission after that: more than these do not follow each other.
_MOMENTS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What rTorrent said, so that the rule can be asked without asking it again."""

    candidates: Sequence[Candidate]
    downloading: int
    down_rate: int = 0
    promised: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a check decides `now`, and what the next that starts something will; `at` is None if none is in sight."""

    now: Sequence[Decision]
    at: float | None
    then: Sequence[Start]

    @property
    def hold(self) -> Hold | None:
        """Why no more is started now."""
        return next((decision for decision in self.now if isinstance(decision, Hold)), None)


def forecast(facts: Facts, limits: Limits, state: State, schedule: Fires, hours: Hours, now: Moment) -> Forecast:
    """Ask the rule now and at each moment that its holds name, until something starts."""
    first = decisions = _decided(facts, limits, state, schedule, hours, now)
    moment = now
    for _ in range(_MOMENTS_MAX):
        starts = [decision for decision in decisions if isinstance(decision, Start)]
        if starts:
            return Forecast(first, moment.wall, starts)
        untils = [hold.until for hold in decisions if isinstance(hold, Hold) and hold.until is not None]
        if not untils or min(untils) <= moment.wall:
            break
        moment = moment.earlier(moment.wall - min(untils))
        decisions = _decided(facts, limits, state, schedule, hours, moment)
    return Forecast(first, None, ())


def _decided(
    facts: Facts, limits: Limits, state: State, schedule: Fires, hours: Hours, moment: Moment
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
