"""Numbers as text for people: sizes, rates, durations, ages and local times."""

from typing import Final

from pyrotorque.local_time import local_text

DATE_TIME: Final = "%Y-%m-%d %H:%M:%S"
_TIME_OF_DAY: Final = "%H:%M:%S"
_SIZES: Final = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(number: float, unit: str = "B") -> str:
    """Bytes in the largest unit that leaves a number of at least 1: `512 B`, `1.5 GiB`."""
    value, shown = float(number), unit
    for larger in _SIZES:
        if abs(value) < 1024:
            break
        value, shown = value / 1024, larger
    return f"{value:.0f} {shown}" if shown == unit else f"{value:.1f} {shown}"


def rate(number: float) -> str:
    """Bytes per second: `1.5 MiB/s`."""
    return f"{size(number)}/s"


def duration(seconds: float) -> str:
    """The two largest units: `12 ms`, `12 s`, `4 min 10 s`, `3 h 5 min`, `2 d 3 h`; a negative duration is `0 s`."""
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    whole = max(0, round(seconds))
    days, hours, minutes, rest = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((place for place, (number, _) in enumerate(parts) if number), 3)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number) or "0 s"


def age(at: float, now: float) -> str:
    """How long ago `at` was: `42 s ago`; `now` for less than a second."""
    return f"{duration(now - at)} ago" if now - at >= 1 else "now"


def date_time(at: float) -> str:
    """Unix seconds as local date and time: `2026-11-23 22:41:07`; what is outside of the calendar stays a number."""
    return _local(at, DATE_TIME)


def time_of_day(at: float) -> str:
    """Unix seconds as local time: `22:41:07`."""
    return _local(at, _TIME_OF_DAY)


def short_time(at: float, now: float) -> str:
    """The time of day, with the date if it is not today's."""
    return time_of_day(at) if date_time(at)[:10] == date_time(now)[:10] else date_time(at)


def coming_time(at: float, now: float) -> str:
    """A time in the future: `22:13:15 (in 12 s)`, with the date if it is not today's."""
    return f"{short_time(at, now)} (in {duration(at - now)})"


def _local(at: float, form: str) -> str:
    try:
        return local_text(at, form)
    except (ValueError, OverflowError, OSError):  # rTorrent's custom values may hold any number
        return f"{at:g}, which is not a time"
