"""Finds values that the grammar accepts, but that cannot mean what was typed.

The rule: without quotes, a value contains no second comparison, no comma for a decimal point or between thousands, no
brackets around a list, no separator but a comma between patterns or words, and no regular expression with flags. A set
has words, no patterns. Texts are judged in `text_mistakes`, times in `time_mistakes`.
"""

import re
from collections.abc import Sequence
from typing import Final

from pyrotorque.conditions import text_mistakes, time_mistakes
from pyrotorque.conditions.error_text import Problem, shown, spelling
from pyrotorque.conditions.nodes import Choice
from pyrotorque.conditions.operands import Number, UntypedComparison
from pyrotorque.fields import field
from pyrotorque.fields.kinds import Kind

_OPERATOR: Final = r"<=|>=|=>|=<|<>|!=|==|=|<|>|~"
# A comparison at the beginning of a value, or after another one.
_SECOND: Final = re.compile(rf"(^|[;&|])([a-z][a-z_0-9]*)({_OPERATOR})", re.ASCII)
_DECIMAL: Final = re.compile(r"\d+,\d+", re.ASCII)
_DECIMAL_UNIT: Final = re.compile(r"\d+,\d+[a-zA-Z]", re.ASCII)
_COUNTS: Final = ("prio", "fno", "seeds", "leeches")
_FRACTION: Final = re.compile(r"\d+[kmgt]?", re.ASCII)
_THOUSANDS: Final = re.compile(r"\d{1,3}(,\d{3})*,0\d\d(,\d{3})*[a-zA-Z]?", re.ASCII)
_SIZE_THOUSANDS: Final = re.compile(r"\d{1,3}(,\d{3})+[a-zA-Z]?", re.ASCII)
_DOTTED_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}\.\d{3}", re.ASCII)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_JOINED: Final = re.compile(r"\w[|&+;/:]\w")
# Their values have no path at the beginning.
_NO_PATHS: Final = ("name", "message", "alias")
_FOREIGN_REGEX: Final = re.compile(r"~(/[^/]+/)[imsx]*|(/[^/]+/)[imsx]+")
_REGEX_IN_SLASHES: Final = re.compile(r"/([^/]+)/[a-z]*")


def misread_values(name: str, kind: Kind, operator: str, values: Sequence[str], choices: Sequence[Choice]) -> Problem:
    """The problem of the comma-separated values of a comparison, with a hint; regular expressions are not in `values`.

    It is a second comparison in a value, or a number with a decimal comma or with thousands separators.
    """
    if operator == "~":
        return _misread_regex(name, ",".join(values))
    for index, value in enumerate(values):
        for found in _SECOND.finditer(value):
            if field(found[2]) is not None and (found[1] or index) and not (found[1] == "&" and name == "tracker"):
                join = " OR " if found[1] == "|" else " "
                right = f"{name}{operator}{','.join((*values[:index], value[: found.start()])).rstrip(',;&|')}{join}"
                return (
                    f"a second comparison in the value of {name}",
                    f"write `{shown(right + value[found.start() + len(found[1]) :])}`, or the value in quotes",
                )
    if kind.startswith(("time", "duration")) and (problem := time_mistakes.misread(name, kind, operator, values)):
        return problem
    if problem := _misread_list(name, kind, operator, values):
        return problem
    if kind in ("text", "files", "any", "tags") and (problem := text_mistakes.misread(name, kind, operator, values)):
        return problem
    if kind == "size" and len(values) == 1 and _DOTTED_THOUSANDS.fullmatch(values[0]):
        return f"{name}: there are no parts of a byte", spelling(f"{name}{operator}{values[0].replace('.', '')}")
    return _misread_number(name, kind, operator, ",".join(values), choices) if len(values) > 1 else None


def impossible_tags(name: str, operator: str, values: Sequence[str]) -> Problem:
    """A tag with a space, quoted or not: rTorrent keeps the tags of an item in one text, separated by spaces."""
    found = next((each for each in values if name == "tagged" and len(each.split()) > 1), "")
    if not found:
        return None
    bang, tags = ("!", found[1:].split()) if found.startswith("!") else ("", found.split())
    one, both = f"{name}{operator}{bang}{','.join(tags)}", " ".join(f"{name}{operator}{bang}{tag}" for tag in tags)
    return "a tag has no spaces", f"write `{shown(both)}` for each of them, or `{shown(one)}` for one of them"


def _misread_regex(name: str, value: str) -> Problem:
    """Behind `~`, slashes belong to the expression."""
    found = _REGEX_IN_SLASHES.fullmatch(value)
    if found is None or name not in _NO_PATHS:
        return None
    return "behind `~`, a regular expression has no slashes around it", spelling(f"{name}~{found[1]}")


def _misread_list(name: str, kind: Kind, operator: str, values: Sequence[str]) -> Problem:
    """A list in brackets or with other separators, and a regular expression as other programs write it."""
    first, last = values[0], values[-1]
    if len(values) > 1 and first[:1] and last.endswith(_CLOSING.get(first[0], "\0")) and last[-1] not in first:
        return "a list has no brackets", spelling(f"{name}{operator}{','.join((first[1:], *values[1:-1], last[:-1]))}")
    is_word = name in ("kind", "traits") or name.startswith("kind_")
    for value in values:
        if is_word and (joined := _JOINED.search(value)):
            parts = re.split(r"[|&+;/:]", value)
            right = f" {name}{operator}".join(parts) if joined[0][1] in "&+" else ",".join(parts)
            return f"`{joined[0][1]}` does not separate values", spelling(f"{name}{operator}{right}")
        if name in _NO_PATHS and (found := _FOREIGN_REGEX.fullmatch(value)):
            hint = f"{spelling(f'{name}={found[1] or found[2]}')}; capitals make no difference"
            return "a regular expression is written between slashes only", hint
    return None


def _misread_number(name: str, kind: Kind, operator: str, raw: str, choices: Sequence[Choice]) -> Problem:
    if operator not in ("<", ">", "<=", ">="):
        return None
    if kind == "any":
        number = _any_decimal(choices)
    elif kind == "number" and name not in _COUNTS:
        number = raw.replace(",", ".") if _DECIMAL.fullmatch(raw) else ""
    else:
        number = raw.replace(",", ".") if kind in ("size", "duration") and _DECIMAL_UNIT.fullmatch(raw) else ""
    if not number and kind in ("number", "size") and len(raw) <= 40 and _has_thousands(kind, operator, raw):
        number = raw.replace(",", "")
    if not number:
        return None
    if kind != "any" and number == raw.replace(",", ""):
        return f"{name}: a comma separates values", spelling(f"{name}{operator}{number}")
    first, *others = raw.split(",")
    listed = " OR ".join((f"{name}{operator}{first}", *(f"{name}={other}" for other in others)))
    right = "a duration has no fraction: write 1w3d" if kind == "duration" else spelling(f"{name}{operator}{number}")
    hint = f"{right}, or for a list `{shown(f'[ {listed} ]')}`"
    return f"{name}: a comma separates values, and this looks like one number", hint


def _has_thousands(kind: Kind, operator: str, raw: str) -> bool:
    """Whether a list can only be one number with separators: a list of sizes is none of three digits each.

    Nor is `fno>1,500` a list: what is equal to 500 is greater than 1.
    """
    is_redundant = operator in (">", ">=")
    return (_SIZE_THOUSANDS if kind == "size" or is_redundant else _THOUSANDS).fullmatch(raw) is not None


def _any_decimal(choices: Sequence[Choice]) -> str:
    """The number if the choices of a field without a kind are a whole number and the digits of its fraction."""
    if len(choices) != 2 or not isinstance(first := choices[0].operand, UntypedComparison):
        return ""
    number, fraction = first.operand, choices[1].operand.text
    if not isinstance(number, Number) or number.value != int(number.value) or choices[1].negated:
        return ""
    return f"{int(number.value)}.{fraction}" if _FRACTION.fullmatch(fraction) and fraction != "0" else ""
