"""Hours of the day in local time: `22-6`, `9:30-12, 13-17:45`."""

import re
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import UserError
from pyrotorque.local_time import local_datetime

_DAY: Final = 24 * 60
_SPAN: Final = re.compile(r"(\d{1,2})(?::(\d\d))?\s*-\s*(\d{1,2})(?::(\d\d))?")


@dataclass(frozen=True, slots=True)
class Hours:
    """Spans in minutes of the local day, start included, end excluded; no spans mean always."""

    spans: tuple[tuple[int, int], ...] = ()

    def contain(self, now: float) -> bool:
        """Whether the local time of day is within a span, also on days when the clocks change."""
        local = local_datetime(now)
        minute = local.hour * 60 + local.minute
        return not self.spans or any(_within(minute, first, last) for first, last in self.spans)

    def opens(self, now: float) -> float:
        """`now` if it is within the hours, else their first full minute (within two days)."""
        if self.contain(now):
            return now
        # Whole minutes since the epoch are whole minutes in all time zones in use, also when the clocks change.
        minute = int(now // 60) + 1
        return next(float(m * 60) for m in range(minute, minute + 2 * _DAY) if self.contain(m * 60.0))


def parse_hours(text: str) -> Hours:
    """Raises UserError if `text` is not a list of spans like `22-6` or `9:30-12`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return Hours(tuple(_span(part) for part in parts))


def _span(part: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(part)
    if found is None:
        raise UserError(f"hours {part!r} are not a span like 22-6 or 9:30-12")
    first, last = _minute(found[1], found[2], part), _minute(found[3], found[4], part)
    if first == last or (first, last) == (_DAY, 0):
        raise UserError(f"hours {part!r} start and end at the same time; leave hours out for the whole day")
    return first, last


def _minute(hour: str, minute: str | None, part: str) -> int:
    total = int(hour) * 60 + int(minute or 0)
    if total > _DAY or int(minute or 0) > 59:
        raise UserError(f"hours {part!r} contain an invalid time of day; use 0:00 to 24:00")
    return total


def _within(minute: int, first: int, last: int) -> bool:
    return first <= minute < last if first < last else minute >= first or minute < last
