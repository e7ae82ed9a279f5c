"""Reading a job's own settings: the configuration gives digits as int and truth words as bool."""

from collections.abc import Mapping
from typing import Any

from pyrotorque.errors import UserError


def text_of(config: Mapping[str, Any], *names: str) -> str:
    """The first of these settings that is set, as text; empty without one."""
    for name in names:
        value = config.get(name)
        if value is not None and value != "":
            return str(value).strip()
    return ""


def required_text(config: Mapping[str, Any], *names: str) -> str:
    if found := text_of(config, *names):
        return found
    raise UserError(f"job.{config.get('job_name', 'NAME')}.{names[0]} is not set, and the job needs it")


def whole_of(config: Mapping[str, Any], name: str, default: int = 0) -> int:
    """A whole number that is not negative."""
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f"job.{config.get('job_name', 'NAME')}.{name}: expected a whole number, got {value!r}")
    return value


def seconds_of(config: Mapping[str, Any], name: str, default: float) -> float:
    """A number of seconds above 0."""
    value = config.get(name, default)
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = -1.0
    if isinstance(value, bool) or not 0 < found < float("inf"):
        raise UserError(f"job.{config.get('job_name', 'NAME')}.{name}: expected a number of seconds, got {value!r}")
    return found


def truth_of(config: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A truth word; the configuration gives `1` and `0` as numbers."""
    value = config.get(name, default)
    if value not in (True, False):
        raise UserError(f"job.{config.get('job_name', 'NAME')}.{name}: expected True or False, got {value!r}")
    return bool(value)
