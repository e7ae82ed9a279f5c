"""Times in conditions: `2w3d` before now by the calendar, or a local date with an optional time of day."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pyrotorque.local_time import local_datetime

_UNITS: Final = "ymwdhis"
_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "i": 60, "s": 1}
_AGO: Final = re.compile("".join(rf"(?:(?P<{unit}>\d{{1,9}}){unit})?" for unit in _UNITS), re.IGNORECASE)
_DATE: Final = re.compile(
    r"(?:(?P<y1>\d{4})-(?P<m1>\d{1,2})-(?P<d1>\d{1,2})"
    r"|(?P<m2>\d{1,2})/(?P<d2>\d{1,2})/(?P<y2>\d{4})"
    r"|(?P<d3>\d{1,2})\.(?P<m3>\d{1,2})\.(?P<y3>\d{4}))"
    r"(?:[ Tt](?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2}))?)?)?",
    re.ASCII,
)
_DAYS_OF_YEAR, _DAYS_OF_MONTH = 365, 30
_MONTHS_MAX, _SECONDS_MAX = 1_000_000, 10**12


@dataclass(frozen=True, slots=True)
class Ago:
    """A span before now: years and months by the calendar, the rest as seconds."""

    months: int
    seconds: int

    def __str__(self) -> str:
        years, months = divmod(self.months, 12)
        shown = [(years, "y"), (months, "m")]
        rest = self.seconds
        for unit, size in _SECONDS.items():
            count, rest = divmod(rest, size)
            shown.append((count, unit))
        return "".join(f"{count}{unit}" for count, unit in shown if count) or "0s"

    def before(self, now: float) -> float:
        """The time this long before `now`; minus infinity before 1970."""
        if not self.months:
            return now - self.seconds
        local = local_datetime(now)
        year, month = divmod(local.year * 12 + local.month - 1 - self.months, 12)
        if year < 1970:
            return float("-inf")
        day = min(local.day, monthrange(year, month + 1)[1])
        return local.replace(year=year, month=month + 1, day=day).timestamp() - self.seconds

    @property
    def length(self) -> int:
        """The span in seconds without a calendar: a year has 365 days, a month 30."""
        years, months = divmod(self.months, 12)
        return (years * _DAYS_OF_YEAR + months * _DAYS_OF_MONTH) * _SECONDS["d"] + self.seconds


def parse_ago(text: str) -> Ago | None:
    """`2w`, `1h30i`, `1y6m`: numbers with units in the order y m w d h i s; None for anything else or too long."""
    found = _AGO.fullmatch(text)
    if not found or not text:
        return None
    counts = {unit: int(found[unit] or 0) for unit in _UNITS}
    months, seconds = counts["y"] * 12 + counts["m"], sum(counts[unit] * size for unit, size in _SECONDS.items())
    return Ago(months, seconds) if months <= _MONTHS_MAX and seconds <= _SECONDS_MAX else None


def parse_date(text: str) -> int | None:
    """`2024-12-31`, `12/31/2024`, `31.12.2024`, with an optional time of day; ValueError for 30 February.

    Dates before 1970 become 1: only times that are not set (0) are less.
    """
    found = _DATE.fullmatch(text)
    if not found:
        return None
    form = "1" if found["y1"] else "2" if found["y2"] else "3"
    year, month, day = (int(found[part + form]) for part in "ymd")
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    return max(1, int(datetime(year, month, day, hour, minute, second).timestamp()))
