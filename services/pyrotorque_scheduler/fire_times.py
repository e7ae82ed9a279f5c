"""Computes which jobs are due: the next fire time of each schedule, late and missed ones, steps of the system clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyrotorque.schedule import Schedule

# How late a job still runs, in seconds; after that the fire time counts as missed.
_MISFIRE_GRACE: Final = 60.0


@dataclass(frozen=True, slots=True)
class FiredJobs:
    """The jobs to run now, each once whatever the number of its fire times, and those that could not fire in time."""

    due: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    missed_at: tuple[float, ...] = ()
    """The first fire time of each job that was missed."""


class FireTimes:
    """The next fire time of each job; `now` is Unix seconds, `monotonic` seconds of the monotonic clock.

    With `since`, the end of an earlier service in Unix seconds, the first step also reports what passed after it.
    """

    def __init__(
        self, schedules: Mapping[str, Schedule], now: float, monotonic: float, since: float | None = None
    ) -> None:
        self._schedules = schedules
        self._stepped_at = monotonic
        self._next: dict[str, float] = {}
        for name in schedules:
            self._advance(name, now if since is None or since > now else since)

    def step(self, now: float, monotonic: float) -> FiredJobs:
        """The jobs whose fire time passed since the last call."""
        # Time that the loop was busy does not make a job late; the monotonic clock stands still while the machine
        # sleeps, and ignores a system clock that is set.
        allowed = _MISFIRE_GRACE + monotonic - self._stepped_at
        self._stepped_at = monotonic
        passed = {name: fire for name, fire in self._next.items() if fire <= now}
        due = tuple(name for name, fire in passed.items() if self._fired_since(now - allowed, name, fire, now))
        for name in passed:
            self._advance(name, now)
        missed = tuple(name for name in passed if name not in due)
        return FiredJobs(due, missed, tuple(passed[name] for name in missed))

    def wait(self, now: float) -> float:
        """Seconds until the next fire time; infinite if there is none."""
        return max(0.0, min(self._next.values(), default=float("inf")) - now)

    def recompute(self, now: float) -> None:
        """Compute future fire times again after the system clock was set: they may be far away.

        The next step still reports those that passed.
        """
        for name in self._schedules:
            if self._next.get(name, float("inf")) > now:
                self._advance(name, now)

    def next_fires(self) -> dict[str, float]:
        """When each job fires next, in Unix seconds; without those that never fire again."""
        return dict(self._next)

    def _fired_since(self, begin: float, name: str, fire: float, now: float) -> bool:
        """Whether the last fire time that passed is not older than `begin`; `fire` is the first."""
        latest = fire if fire >= begin else self._schedules[name].next_fire(begin)
        return latest is not None and latest <= now

    def _advance(self, name: str, now: float) -> None:
        fire = self._schedules[name].next_run(now)
        if fire is None:
            self._next.pop(name, None)
        else:
            self._next[name] = fire
