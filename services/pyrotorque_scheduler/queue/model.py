"""The terms of the queue: time, the grant of a schedule, limits, candidates, state, decisions with their reasons."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from pyrotorque.linux.processes import kernel_uptime

# A schedule that fires only once has no gap: its grant is valid for a day.
_LARGEST_GAP: Final = 86_400.0 * 366
_GAP_OF_ONE_FIRE: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time on two clocks, so that setting the wall clock neither blocks the queue nor speeds it up.

    `wall` is Unix seconds; `ticks` is CLOCK_BOOTTIME seconds, comparable only within the same `boot`. `slept` of these
    the machine was suspended.
    """

    wall: float
    ticks: float
    boot: str
    slept: float = 0.0

    @property
    def awake(self) -> float:
        """Seconds of a clock that stands still while the machine is suspended, and with it rTorrent and its peers."""
        return self.ticks - self.slept

    def earlier(self, seconds: float) -> "Instant":
        """The instant that many seconds before this one."""
        return Instant(self.wall - seconds, self.ticks - seconds, self.boot, self.slept)


def elapsed(since: Instant, now: Instant) -> float:
    """Seconds from `since` to `now`, never negative; across a reboot only the wall clock is available."""
    if since.boot == now.boot:
        return max(0.0, now.ticks - since.ticks)
    return max(0.0, now.wall - since.wall)


def rebased(since: Instant, now: Instant) -> Instant:
    """`since` on the clocks of `now`: a time stored before a reboot no longer depends on the wall clock."""
    return now.earlier(elapsed(since, now))


def current_instant(boot: str) -> Instant:
    """Now; `boot` is the kernel's id of this boot."""
    ticks = kernel_uptime()
    return Instant(time.time(), ticks, boot, ticks - time.monotonic())


class PaceSchedule(Protocol):
    """The part of a schedule that a grant needs; times are Unix seconds, `next_fire` is strictly later than `after`."""

    def next_fire(self, after: float) -> float | None: ...

    def smallest_gap(self) -> float: ...


@dataclass(frozen=True, slots=True)
class GrantUse:
    """How many starts of the grant of one fire time are used."""

    fire: float = 0.0
    starts: int = 0

    def and_one_more(self, fire: float) -> "GrantUse":
        return GrantUse(fire, self.starts + 1 if fire == self.fire else 1)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the schedule allows now: `left` starts of `fire`; `fire` is None outside the schedule's window.

    `gap` is the least time between two batches; `next_fire` is when the schedule grants starts again.
    """

    fire: float | None
    left: int
    gap: float
    next_fire: float | None


def grant(schedule: PaceSchedule, start_at_once: int, used: GrantUse, now: float) -> Grant:
    """The grant that is valid at `now`: each fire time grants `start_at_once` starts for the schedule's smallest gap.

    At most one fire time lies within the smallest gap before `now`, so grants cannot add up. It is computed from the
    schedule itself: a tick that is late, repeated or lost changes nothing.
    """
    smallest = schedule.smallest_gap()
    gap = smallest if smallest < _LARGEST_GAP else _GAP_OF_ONE_FIRE
    upcoming = schedule.next_fire(now)
    fire = schedule.next_fire(now - gap)
    if fire is None or fire > now:
        return Grant(None, 0, gap, upcoming)
    starts = used.starts if used.fire == fire else 0
    return Grant(fire, max(0, start_at_once - starts), gap, upcoming)


@dataclass(frozen=True, slots=True)
class Limits:
    """The numeric settings of one queue job; see docs/queue.md."""

    downloading_max: int = 9
    downloading_min: int = 1
    start_at_once: int = 1
    intermission: float = 0.0
    max_down_rate: int = 0
    min_free: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A startable item; `need` is what it still has to download, `free` the free space of its `disk` if known.

    `rank` is its place by priority: items of a lower rank precede all others, whatever their group. `marked`: it has
    the watcher's mark (`pyrotorque.open_loads`).
    """

    info_hash: str
    name: str
    loaded: float = 0.0
    need: int = 0
    free: int | None = None
    disk: int = 0
    group: str = ""
    rank: int = 0
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that did not start is not tried again before `until`, so that it cannot use up every check."""

    until: float
    error: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class QueueState:
    """The state of a queue between checks; all of it survives a restart except `failures`."""

    last_batch: Instant | None = None
    used: GrantUse = field(default_factory=GrantUse)
    paused: bool = False
    failures: Mapping[str, Failure] = field(default_factory=dict[str, Failure])


Reason: TypeAlias = Literal[
    "paused",
    "hours",
    "intermission",
    "pace",
    "no_slot",
    "traffic",
    "group_full",
    "nothing_startable",
    "disk",
    "failed_before",
    "parked",
    "loading",
    "batch_full",
]
# Which case of a reason: `pace` holds outside the window of the schedule, within its gap, or with all starts used, ...
Case: TypeAlias = Literal["", "window", "gap", "grant_used", "no_other", "all_failed", "failures"]


@dataclass(frozen=True, slots=True)
class QueueStart:
    """This item is to be started."""

    info_hash: str
    name: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is started (no `info_hash`), or not this item; `until` is when the next check is useful, if known.

    Data only: `explain_text.hold_text` makes the sentence. `error` is rTorrent's message about the item, which may
    contain an announce URL; `group` is the group of `group_full`.
    """

    reason: Reason
    case: Case = ""
    until: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    error: str = ""
    info_hash: str = ""
    name: str = ""
    group: str = ""


Decision: TypeAlias = QueueStart | Hold
