"""Hours of the day in which something may happen, in local time: `22-6`, `9:30-12, 13-17:45`."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pyrotorque.errors import UserError

_DAY: Final = 24 * 60
_SPAN: Final = re.compile(r"(\d{1,2})(?::(\d\d))?\s*-\s*(\d{1,2})(?::(\d\d))?")


@dataclass(frozen=True, slots=True)
class Hours:
    """Spans in minutes of the local day, each from (included) to (excluded); no span at all means always."""

    spans: tuple[tuple[int, int], ...] = ()

    def contain(self, now: float) -> bool:
        """Whether the local wall clock shows a time within a span; what a person reads knows no trouble with DST."""
        local = datetime.fromtimestamp(now)
        minute = local.hour * 60 + local.minute
        return not self.spans or any(_within(minute, first, last) for first, last in self.spans)

    def opens(self, now: float) -> float:
        """`now` within the hours, else the first full minute of them (at most two days are searched)."""
        if self.contain(now):
            return now
        # Whole minutes since the epoch are whole minutes of every zone in use; walking them crosses DST rightly.
        minute = int(now // 60) + 1
        return next(float(m * 60) for m in range(minute, minute + 2 * _DAY) if self.contain(m * 60.0))


def parse_hours(text: str) -> Hours:
    """Raises UserError where `text` is not a list of spans like `22-6` or `9:30-12`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return Hours(tuple(_span(part) for part in parts))


def _span(part: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(part)
    if found is None:
        raise UserError(f"hours {part!r} are not a span like 22-6 or 9:30-12")
    first, last = _minute(found[1], found[2], part), _minute(found[3], found[4], part)
    if first == last or (first, last) == (_DAY, 0):
        raise UserError(f"hours {part!r} begin and end at the same time: for the whole day leave hours out")
    return first, last


def _minute(hour: str, minute: str | None, part: str) -> int:
    total = int(hour) * 60 + int(minute or 0)
    if total > _DAY or int(minute or 0) > 59:
        raise UserError(f"hours {part!r} hold a time that no clock shows")
    return total


def _within(minute: int, first: int, last: int) -> bool:
    return first <= minute < last if first < last else minute >= first or minute < last
