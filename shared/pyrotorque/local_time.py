"""Local time: the only place that converts between Unix seconds and the local time zone, with the C library.

Schedules, hours, dates in conditions, templates, texts and logs therefore agree with each other, with supervisord and
with rTorrent, also for a `TZ` that is no name of a zone, such as `CET-1CEST,M3.5.0,M10.5.0/3`.
"""

import os
import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

_ZONES: Final = "/usr/share/zoneinfo"
MACHINE_ZONE: Final = Path("/etc/localtime")
_POSIX_NAME: Final = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
# A rule as in tzset(3), such as EST5EDT,M3.2.0,M11.1.0 or <+03>-3.
_POSIX: Final = re.compile(rf"{_POSIX_NAME}[+-]?\d{{1,2}}(?::\d\d){{0,2}}(?:{_POSIX_NAME}[^/]*(?:/.*)?)?", re.ASCII)
_LEAP_FOLDERS: Final = {"/right/": "/", "/zoneinfo-leaps/": "/zoneinfo/"}


def local_datetime(at: float) -> datetime:
    """Unix seconds as local time, without a zone; `timestamp()` of it is the same moment.

    Raises ValueError, OverflowError or OSError outside of the calendar.
    """
    return datetime.fromtimestamp(at)


def local_text(at: float, form: str) -> str:
    """Unix seconds as local time in a format of strftime(3); raises as `local_datetime`."""
    return time.strftime(form, time.localtime(at))


def utc_stamp(at: float) -> str:
    """Unix seconds as UTC in names of files: `20261127-134500`; it sorts by time."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(at))


def zone_text(at: float) -> str:
    """The zone that is in force at this moment and its offset: `CET (+01:00)`."""
    local = time.localtime(at)
    minutes = abs(local.tm_gmtoff) // 60
    sign = "-" if local.tm_gmtoff < 0 else "+"
    return f"{local.tm_zone} ({sign}{minutes // 60:02d}:{minutes % 60:02d})"


def zone_file(environ: Mapping[str, str], machine: Path = MACHINE_ZONE) -> Path:
    """The file of the time zone that `TZ` names, else that of the machine (tzset(3))."""
    name = environ.get("TZ", "").removeprefix(":")
    return Path(environ.get("TZDIR") or _ZONES) / name if name else machine


def zone_problem(environ: Mapping[str, str] = os.environ) -> str:
    """Why local time is UTC although `TZ` names another zone; empty if it is not."""
    given = environ.get("TZ", "")
    name = given.removeprefix(":")
    if not name or zone_file(environ).is_file() or _POSIX.fullmatch(name):
        return ""
    return (
        f"the time zone TZ={given!r} of the environment does not exist, so local time is UTC: correct its name, write "
        "a rule such as CET-1CEST,M3.5.0,M10.5.0/3, or install the package tzdata"
    )


def offset_problem() -> str:
    """Why no local time can be computed in the zone in force; empty if it can. Python has no offset of a whole day."""
    if max(abs(time.timezone), abs(time.altzone)) < timedelta(days=1).total_seconds():
        return ""
    return (
        f"the time zone TZ={os.environ.get('TZ', '')!r} of the environment is a day or more away from UTC: write the "
        "name of a zone, or a rule such as CET-1CEST,M3.5.0,M10.5.0/3"
    )


def zone_without_leap_seconds(environ: Mapping[str, str]) -> str:
    """A value for `TZ`: the zone of the same name beside `right/`, else a rule with the offset that is in force now."""
    path = os.path.realpath(zone_file(environ))
    for part, plain in _LEAP_FOLDERS.items():
        if part in path and os.path.isfile(found := path.replace(part, plain)):
            return found
    sign, minutes = ("-", "+")[(offset := time.localtime().tm_gmtoff) < 0], abs(offset) // 60
    return f"<LOC>{sign}{minutes // 60:02d}:{minutes % 60:02d}"
