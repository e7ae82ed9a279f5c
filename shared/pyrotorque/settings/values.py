"""Converts text from a configuration file to typed values, with clear messages for wrong ones."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from pyrotorque.home import expand_home, home_folder

TRUE: Final = frozenset(("true", "t", "yes", "y", "1", "+", "on"))
FALSE: Final = frozenset(("false", "f", "no", "n", "0", "-", "off"))
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_SIZE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[bkmgt]?)(?:i?b)?", re.IGNORECASE)
# Python converts no longer text of digits to int.
_DIGITS_MAX: Final = 4300
# Upper bound of numbers, also refuses inf and nan.
_NUMBER_MAX: Final = 1_000_000_000
_DURATION: Final = re.compile(r"(?P<number>\d{1,9}(?:\.\d+)?)\s*(?P<unit>[smhd]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def truth(text: str) -> bool:
    """True or False from one of the documented words."""
    word = text.strip().lower()
    if word in TRUE or word in FALSE:
        return word in TRUE
    raise ValueError(f"expected True or False, got {text!r}")


def coerced(text: str) -> str | int | bool:
    """Value for a custom job: digits as int, truth words as bool, else the text, as in the earlier daemons."""
    word = text.strip().lower()
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
        return int(text)
    return word in TRUE if word in TRUE or word in FALSE else text


def size(text: str) -> int:
    """Bytes from `500m`, `10 GiB` or digits; units are powers of 1024."""
    if not (found := _SIZE.fullmatch(text.strip())):
        raise ValueError(f"expected a size such as 500m or 10g, got {text!r}")
    whole, _, part = found["number"].partition(".")
    unit = _UNITS[found["unit"].lower()]
    return int(whole) * unit + int(float(f"0.{part or 0}") * unit)


def duration(text: str) -> float:
    """Seconds from `20m`, `1h`, `1d` or digits; `m` is minutes."""
    if not (found := _DURATION.fullmatch(text.strip().lower())):
        raise ValueError(f"expected a duration such as 30s, 20m, 1h or 1d, got {text!r}")
    return float(found["number"]) * _SECONDS[found["unit"]]


def words(text: str) -> tuple[str, ...]:
    """A list separated by commas or blanks."""
    return tuple(text.replace(",", " ").split())


def at_home(text: str) -> str:
    """The text with `~/` at its beginning replaced; what reads it as a path reports a missing home."""
    home = home_folder() if text.startswith("~/") else None
    return text if home is None else str(home / text[2:])


def folder(text: str) -> Path:
    """An absolute path, with `~` expanded; relative paths are refused."""
    path = expand_home(text.strip())
    if not path.is_absolute():
        raise ValueError(f"expected an absolute path, got {text.strip()!r}")
    return path


def folders(text: str) -> tuple[Path, ...]:
    """Paths separated by `:`."""
    return tuple(folder(part) for part in text.split(":") if part.strip())


def load_mode(text: str) -> str:
    """`start` for `start` and `started`, else `normal`, as documented."""
    return "start" if text.strip().lower() in ("start", "started") else "normal"


def log_level(text: str) -> str:
    """The name of a level of Python's logging."""
    level = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(text.strip().upper(), text.strip().upper())
    if level not in LOG_LEVELS:
        raise ValueError(f"expected one of {', '.join(LOG_LEVELS)}, got {text!r}")
    return level


def tie(text: str) -> str:
    """`auto`, or a truth word."""
    if text.strip().lower() == "auto":
        return "auto"
    try:
        return "yes" if truth(text) else "no"
    except ValueError:
        raise ValueError(f"expected one of auto, yes, no, got {text!r}") from None


def path_map(text: str) -> tuple[tuple[str, str], ...]:
    """`OURS=THEIRS` pairs, separated by commas or lines, longest local path first."""
    pairs = [_pair(part) for part in re.split(r"[,\n]", text) if part.strip()]
    return tuple(sorted(pairs, key=lambda pair: -len(pair[0])))


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = (part.strip() for part in at_home(text.strip()).partition("="))
    if not (equals and ours.startswith("/") and theirs.startswith("/")):
        raise ValueError(f"expected /path/here=/path/of/rtorrent, got {text.strip()!r}")
    return ours.rstrip("/") or "/", theirs.rstrip("/") or "/"


# Parsers of single settings, by name.
_BY_NAME: Final[dict[str, Callable[[str], Any]]] = {
    "path": folders,
    "below": folders,
    "load_mode": load_mode,
    "log_level": log_level,
    "tie": tie,
    "path_map": path_map,
    "min_free": size,
    "max_down_rate": size,
    "memory_max": size,
    "stall_after": duration,
    "stall_bytes": size,
    "stall_grace": duration,
    "stall_retry": duration,
    "stall_retry_max": duration,
    "stall_reset": size,
    "stall_report": duration,
    "disk_free_bytes": size,
}
_BY_TYPE: Final[dict[Any, Callable[[str], Any]]] = {
    bool: truth,
    tuple[str, ...]: words,
    Path: folder,
    Path | None: folder,
}
_EXPECTED: Final = {int: "a whole number", float: "a number"}


def typed(name: str, text: str, wanted: Any) -> Any:
    """The value of setting `name`; raises ValueError with what was expected."""
    if reader := _BY_NAME.get(name) or _BY_TYPE.get(wanted):
        return reader(text)
    if get_origin(wanted) is Literal and text not in get_args(wanted):
        raise ValueError(f"expected one of {', '.join(get_args(wanted))}, got {text!r}")
    try:
        value = msgspec.convert(text, wanted, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"expected {_EXPECTED.get(wanted, wanted)}, got {text!r}") from None
    if isinstance(value, int | float) and not 0 <= value < _NUMBER_MAX:
        which = "that is not negative" if value < 0 else f"below {_NUMBER_MAX}"
        raise ValueError(f"expected {_EXPECTED[wanted]} {which}, got {text!r}")
    return value
