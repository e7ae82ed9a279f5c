"""The terms of the queue: time, the grant of a schedule, limits, candidates, state, decisions with reasons."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

Boot: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Instant:
    """`wall` is Unix seconds, `ticks` are CLOCK_BOOTTIME seconds, which only mean something within one `boot`."""

    wall: float
    ticks: float
    boot: Boot

    def earlier(self, seconds: float) -> "Instant":
        """The moment that many seconds before this one."""
        return Instant(self.wall - seconds, self.ticks - seconds, self.boot)


def elapsed(since: Instant, now: Instant) -> float:
    """Seconds from `since` to `now`, never negative; over a reboot only the wall clock can tell."""
    if since.boot == now.boot:
        return max(0.0, now.ticks - since.ticks)
    return max(0.0, now.wall - since.wall)


def rebased(since: Instant, now: Instant) -> Instant:
    """`since` told on the clocks of `now`: what was stored before a reboot counts on without the wall clock."""
    return now.earlier(elapsed(since, now))


def current_instant(boot: Boot) -> Instant:
    """Now; `boot` is the kernel's name for this boot."""
    return Instant(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot)


# What fires only once has no gap: its grant lives for a day.
_LONGEST: Final = 86_400.0 * 366
_ONCE: Final = 86_400.0


class PaceSchedule(Protocol):
    """What the pace needs of a schedule; all times in Unix seconds, `next_fire` looks strictly after a moment."""

    def next_fire(self, after: float) -> float | None: ...

    def smallest_gap(self) -> float: ...


@dataclass(frozen=True, slots=True)
class GrantUse:
    """How many starts of the grant of one fire time are used up."""

    fire: float = 0.0
    starts: int = 0

    def and_one_more(self, fire: float) -> "GrantUse":
        return GrantUse(fire, self.starts + 1 if fire == self.fire else 1)


@dataclass(frozen=True, slots=True)
class Grant:
    """What may be started now: `left` starts of `fire`; `fire` is None outside the schedule's window.

    `gap` is the least time between two batches; `next_fire` is when the schedule grants anew.
    """

    fire: float | None
    left: int
    gap: float
    next_fire: float | None


def grant(schedule: PaceSchedule, start_at_once: int, spent: GrantUse, now: float) -> Grant:
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


Reason: TypeAlias = Literal[
    "paused",
    "hours",
    "intermission",
    "pace",
    "no_slot",
    "traffic",
    "nothing_startable",
    "disk",
    "failed_before",
    "batch_full",
    "rpc",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of one queue job, as the manual explains them."""

    downloading_max: int = 9
    downloading_min: int = 1
    start_at_once: int = 1
    intermission: float = 0.0
    max_down_rate: int = 0
    min_free: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A startable item in its turn; `need` is what it still has to download, `free` what its disk holds, if asked."""

    info_hash: str
    name: str
    loaded: float = 0.0
    need: int = 0
    free: int | None = None
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that did not start is left alone until `until`, so that it cannot use up every check."""

    until: float
    text: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the queue remembers between checks; all of it survives a restart except `failures`."""

    last_batch: Instant | None = None
    spent: GrantUse = field(default_factory=GrantUse)
    paused: bool = False
    failures: Mapping[str, Failure] = field(default_factory=dict[str, Failure])


@dataclass(frozen=True, slots=True)
class QueueStart:
    """This item is to be started."""

    info_hash: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is started, or not this item; `until` is when it is worth looking again without being told."""

    reason: Reason
    text: str
    until: float | None = None
    info_hash: str = ""
    name: str = ""


Decision: TypeAlias = QueueStart | Hold
