"""Schedules such as `second=*/15` or `hour=12 "day=3rd sun"`: their fire times and the gaps between them."""

import random
import shlex
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from inspect import iscoroutinefunction
from itertools import pairwise
from math import inf
from typing import Any, Final

from pyrotorque.errors import UserError
from pyrotorque.light_imports import placeholders
from pyrotorque.local_time import local_datetime

# APScheduler reads its own version, and below Python 3.14 it takes one function from asyncio: 4 MiB for a trigger.
with placeholders(asyncio={"iscoroutinefunction": iscoroutinefunction}, importlib_metadata={"version": str}):
    from apscheduler.triggers.cron import CronTrigger

FIELDS: Final = ("year", "month", "week", "day", "day_of_week", "hour", "minute", "second")
# Number of fire times in which the smallest gap is searched.
_LOOKED_AT: Final = 400
# Each hour of a week, each day of a year and more: the times from which the largest gap is searched.
_PROBES: Final = tuple(sorted({*range(0, 8 * 86_400, 3_600), *range(0, 400 * 86_400, 86_400)}))
_CLOSE: Final = 0.1
_JITTER: Final = "jitter"
_JITTER_DIGITS: Final = 9
_INTERVALS: Final = 2  # without a fire time in them, that are kept
# The smallest difference between two Unix times of today.
_INSTANT: Final = 1e-6


class Schedule:
    """When a job runs; schedules with equal fields are equal, times are Unix seconds, fields are local time."""

    def __init__(self, text: str, fields: Mapping[str, str]) -> None:
        """Raises ValueError for an invalid value of a field."""
        times = {name: value for name, value in fields.items() if name != _JITTER}
        self.text, self.fields = text, fields
        # The pace and its grants need fire times that do not change between calls: only runs have jitter.
        self._trigger: Any = CronTrigger(timezone=UTC, **times)
        self._jitter = _seconds(fields.get(_JITTER, "0"))
        self._intervals: deque[tuple[float, float]] = deque(maxlen=_INTERVALS)
        self._never_after = inf

    def __repr__(self) -> str:
        return f"Schedule({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and other.fields == self.fields

    def __hash__(self) -> int:
        return hash(frozenset(self.fields.items()))

    def next_fire(self, after: datetime | float) -> float | None:
        """The first fire time after that moment; None if there is none."""
        moment = after.timestamp() if isinstance(after, datetime) else after
        # The trigger searches to the year 9999 before it finds none, which takes a second.
        if moment >= self._never_after:
            return None
        # A queue needs the same two fire times in each of its checks.
        for begin, end in self._intervals:
            if begin <= moment < end:
                return end
        fire = self._first(moment)
        if fire is None:
            self._never_after = moment
            return None
        self._intervals.append((moment, fire))
        return fire

    def _first(self, moment: float) -> float | None:
        # Added to the Unix time: a local time would be ambiguous in autumn, when an hour occurs twice.
        begin = moment + _INSTANT
        wall, shown = self._wall_time(begin), local_datetime(begin)
        fire = inf if wall is None else _moment(wall, begin)
        if wall is not None and local_datetime(fire) != wall:
            # Skipped in spring: it fires as much later as the clocks go forward.
            fire = min(fire, self._after_change(wall.replace(fold=1).timestamp(), fire))
        elif (again := shown.replace(fold=1).timestamp()) - begin > 1:
            # It will be this time a second time: in the local time that is repeated, a fire time may come before.
            fire = min(fire, self._after_change(begin, again))
        return fire if fire < inf else None

    def _wall_time(self, begin: float) -> datetime | None:
        """The first matching local time from that moment on, as a calendar without changes of the clock has it.

        In a zone with changes, the trigger adds differences of local times to a moment: on its way over a change in
        spring it passed midnight, and the next match was a day, a week or a month later.
        """
        found: datetime | None = self._trigger.get_next_fire_time(None, local_datetime(begin).replace(tzinfo=UTC))
        return None if found is None else found.replace(tzinfo=None)

    def _after_change(self, begin: float, end: float) -> float:
        """The first fire time from the change of the clocks on that is between these moments; infinite without one."""
        offset, early, late = _offset(begin), int(begin), int(end)
        while late - early > 1:
            middle = (early + late) // 2
            early, late = (middle, late) if _offset(middle) == offset else (early, middle)
        wall = self._wall_time(late)
        return inf if wall is None else _moment(wall, late)

    def next_run(self, after: float) -> float | None:
        """The first fire time after that moment, plus a random part of the jitter: a job begins then."""
        fire = self.next_fire(after)
        return fire + random.uniform(0, self._jitter) if fire is not None and self._jitter else fire

    def fires(self, after: datetime | float, count: int) -> list[float]:
        """The next fire times after that moment, at most `count`."""
        found: list[float] = []
        fire = self.next_fire(after)
        while fire is not None and len(found) < count:
            found.append(fire)
            fire = self.next_fire(fire)
        return found

    @cached_property
    def _smallest(self) -> float:
        return min((later - earlier for earlier, later in pairwise(self.fires(0.0, _LOOKED_AT))), default=inf)

    @cached_property
    def _largest(self) -> float:
        """Searched from times of a week and of a year: consecutive fire times alone would miss the nights."""
        waits = [(fire - probe, fire) for probe in _PROBES if (fire := self.next_fire(probe)) is not None]
        if not waits:
            return inf
        _, fire = max(waits)
        return max(fire - self._before(fire), self._smallest)

    def _before(self, fire: float) -> float:
        """The fire time before that one, by bisection: a trigger only searches forward."""
        early, late = 0.0, fire
        while late - early > _CLOSE:
            middle = (early + late) / 2
            early, late = (middle, late) if (self.next_fire(middle) or inf) < fire else (early, middle)
        return round(late)

    def smallest_gap(self) -> float:
        """The smallest number of seconds between two fire times; infinite if it fires once."""
        return self._smallest

    def largest_gap(self) -> float:
        """The largest number of seconds between two fire times; infinite if it fires once."""
        return self._largest


def _moment(wall: datetime, begin: float) -> float:
    """When it is this local time, from `begin` on: of two moments in autumn, the first that is not before."""
    first = wall.timestamp()
    return first if first >= begin else wall.replace(fold=1).timestamp()


def _offset(moment: float) -> float:
    """Seconds by which local time is ahead of UTC."""
    second = int(moment)
    return local_datetime(second).replace(tzinfo=UTC).timestamp() - second


def parse_schedule(text: str) -> Schedule:
    """The schedule in `text`; raises UserError that names the invalid part."""
    fields = _fields(text)
    try:
        return Schedule(text, fields)
    except (ValueError, TypeError) as error:
        raise UserError(f"{text!r} is not a schedule: {error}") from error


def _seconds(jitter: str) -> int:
    if not (jitter.isascii() and jitter.isdecimal() and len(jitter) <= _JITTER_DIGITS):
        raise ValueError(f"jitter is {jitter!r}, but must be a number of seconds of at most {_JITTER_DIGITS} digits")
    return int(jitter)


def _fields(text: str) -> dict[str, str]:
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise UserError(f"{text!r} is not a schedule: {str(error).lower()}") from error
    if not parts:
        raise UserError("the schedule is empty: write for example second=*/15")
    fields: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            reason = f'{part!r} has no `=`; put quotes around a field with a space: "day=3rd sun"'
            raise UserError(f"{text!r} is not a schedule: {reason}")
        if name not in (*FIELDS, _JITTER):
            raise UserError(f"{text!r} is not a schedule: {name!r} is none of {', '.join(FIELDS)}")
        if name in fields:
            raise UserError(f"{text!r} is not a schedule: {name} is given twice")
        fields[name] = value
    return fields
