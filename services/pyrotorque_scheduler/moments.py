"""A moment on two clocks, so that a stepped wall clock can neither stop the queue nor hurry it."""

import time
from dataclasses import dataclass
from typing import TypeAlias

Boot: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Moment:
    """`wall` is Unix seconds, `ticks` are CLOCK_BOOTTIME seconds, which only mean something within one `boot`."""

    wall: float
    ticks: float
    boot: Boot

    def earlier(self, seconds: float) -> "Moment":
        """The moment that many seconds before this one."""
        return Moment(self.wall - seconds, self.ticks - seconds, self.boot)


def elapsed(since: Moment, now: Moment) -> float:
    """Seconds from `since` to `now`, never negative; over a reboot only the wall clock can tell."""
    if since.boot == now.boot:
        return max(0.0, now.ticks - since.ticks)
    return max(0.0, now.wall - since.wall)


def rebased(since: Moment, now: Moment) -> Moment:
    """`since` told on the clocks of `now`: what was stored before a reboot counts on without the wall clock."""
    return now.earlier(elapsed(since, now))


def current_moment(boot: Boot) -> Moment:
    """Now; `boot` is the kernel's name for this boot."""
    return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot)
