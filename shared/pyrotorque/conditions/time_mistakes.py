"""Finds times and durations that the grammar accepts, but that cannot mean what was typed.

The rule: without quotes, a span or a day is compared with `<` or `>`, as no time is equal to one to the second; a year,
a date without separators, or milliseconds are no Unix seconds.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pyrotorque.conditions import dates
from pyrotorque.conditions.error_text import Problem, spelling
from pyrotorque.fields.kinds import Kind
from pyrotorque.local_time import local_datetime

_YEAR: Final = re.compile(r"(19[7-9]\d|20\d\d)", re.ASCII)
_COMPACT: Final = re.compile(r"(19[7-9]\d|20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", re.ASCII)
_MILLISECONDS: Final = re.compile(r"1\d{12}", re.ASCII)
_DAY: Final = re.compile(r"\d+([-./])\d+\1\d+", re.ASCII)


def misread(name: str, kind: Kind, operator: str, values: Sequence[str]) -> Problem:
    """The problem of the values of a time or a duration, with a hint."""
    for index, value in enumerate(values):
        is_compared = operator in ("<", ">", "<=", ">=") and index == 0
        text = value.removeprefix("!")
        is_exact = not is_compared and text[:1] not in ("+", "-")
        text = text.lstrip("+-")
        if kind != "duration" and (found := _number_meant(text)):
            right = spelling(f"{name}{operator if is_compared else '>'}{found}")
            return f"{name}: digits alone are Unix seconds", right
        if is_exact and (problem := _exact(name, kind, text)):
            return problem
    return None


def _number_meant(text: str) -> str:
    """The date or time that digits stand for if they are no Unix seconds of today; empty for those that may be."""
    if _YEAR.fullmatch(text):
        return f"{text}-01-01"
    if found := _COMPACT.fullmatch(text):
        return "-".join(found.groups())
    return text[:-3] if _MILLISECONDS.fullmatch(text) else ""


def _exact(name: str, kind: Kind, text: str) -> Problem:
    span = dates.parse_ago(text)
    if span is not None and (span.months or span.seconds):
        what = "as long to the second" if kind == "duration" else "equal to it to the second"
        return f"{name}: nothing is {what}", f"{spelling(f'{name}<{text}')} or `{name}>{text}`"
    if not _DAY.fullmatch(text) or text.startswith("9999") or (at := dates.parse_date(text)) is None:
        return None
    after = (local_datetime(at) + timedelta(days=1)).date()
    return f"{name}: nothing is equal to a day to the second", spelling(f"{name}>={text} {name}<{after}")
