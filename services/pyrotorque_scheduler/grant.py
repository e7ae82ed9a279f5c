"""The pace of a schedule: each fire time grants some starts, which expire after the schedule's smallest gap."""

from dataclasses import dataclass
from typing import Final, Protocol

# What fires only once has no gap: its grant lives for a day.
_LONGEST: Final = 86_400.0 * 366
_ONCE: Final = 86_400.0


class Fires(Protocol):
    """What the pace needs of a schedule; all times in Unix seconds, `next_fire` looks strictly after a moment."""

    def next_fire(self, after: float) -> float | None: ...

    def smallest_gap(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Spent:
    """How many starts of the grant of one fire time are used up."""

    fire: float = 0.0
    starts: int = 0

    def and_one_more(self, fire: float) -> "Spent":
        return Spent(fire, self.starts + 1 if fire == self.fire else 1)


@dataclass(frozen=True, slots=True)
class Grant:
    """What may be started now: `left` starts of `fire`; `fire` is None outside the schedule's window.

    `gap` is the least time between two batches; `next_fire` is when the schedule grants anew.
    """

    fire: float | None
    left: int
    gap: float
    next_fire: float | None


def grant(schedule: Fires, start_at_once: int, spent: Spent, now: float) -> Grant:
    """The grant that is alive at `now`.

    At most one fire time lies within the smallest gap before `now`, so grants cannot add up, and it is found from the
    schedule itself: a tick that came late, twice or not at all changes nothing.
    """
    smallest = schedule.smallest_gap()
    gap = smallest if smallest < _LONGEST else _ONCE
    upcoming = schedule.next_fire(now)
    fire = schedule.next_fire(now - gap)
    if fire is None or fire > now:
        return Grant(None, 0, gap, upcoming)
    used = spent.starts if spent.fire == fire else 0
    return Grant(fire, max(0, start_at_once - used), gap, upcoming)
