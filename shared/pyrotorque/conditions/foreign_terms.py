"""Finds terms as other languages write them: they would be patterns for names.

These are a number before its field, an expression that contains a field (`$size>1g`, `t.size>1g`, `max(size)>1g`), a
field of the kind bool with marks, a unit split from its number, and a keyword of SQL beside a comparison.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from pyrotorque.conditions import words
from pyrotorque.conditions.error_text import Problem, for_name, shown, spelling
from pyrotorque.fields import field
from pyrotorque.fields.kinds import Kind

Lookup: TypeAlias = Callable[[str], Kind | None]
"""The kind of a field; None for a name that is no field."""

_OPERATOR: Final = r"<=|>=|=>|=<|<>|!=|==|=|<|>|~"
_NUMBER: Final = r"[+-]?\d[\d.]*[a-zA-Z]*"
_MIRRORED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "==": "=", "!=": "!="}
_REVERSED: Final = re.compile(
    rf"(?P<number>{_NUMBER})(?P<operator><=|>=|==|!=|<|>|=)(?P<field>[a-z][a-z_0-9]*)(?P<more>(?:<=|>=|<|>).*)?",
    re.ASCII,
)
# `$size>1g`, `t.size>1g`, `max(size)>1g`, `size*2>5`
_EXPRESSION: Final = re.compile(
    rf"(?P<left>[^<>=]+)(?P<operator><=|>=|<|>|==?)(?P<value>{_NUMBER}|yes|no|true|false)", re.ASCII
)
# These are judged as comparisons behind brackets, `!` or `-`.
_FIELD_BEHIND_MARKS: Final = re.compile(r"[!¬\[({&|+-]*[A-Za-z_]\w*", re.ASCII)
_FIELD_IN: Final = re.compile(r"(?<![A-Za-z0-9_])[a-z][a-z_0-9]*(?![A-Za-z0-9_])", re.ASCII)
_UNEQUAL: Final = re.compile(rf"(?P<field>[a-z][a-z_0-9]*)!(?P<value>~.+|[<>]?{_NUMBER})", re.ASCII)
_NEGATED: Final = {"<": ">=", ">": "<="}
_BOOLEAN: Final = re.compile(
    r"(?P<lead>(?:not?|NOT)?[^\w\s]*)(?P<field>(?:is|has)_\w+)(?P<value>[^\w\s]*\w*)", re.ASCII
)
_NUMERIC: Final = re.compile(rf"(?P<field>[A-Za-z_]\w*)(?:{_OPERATOR})[+-]?[\d.]+", re.ASCII)
# Beginnings of units, and how they are written here.
_UNITS: Final[dict[Kind, dict[str, str]]] = {
    "size": {"b": "", "k": "k", "m": "m", "g": "g", "t": "t"},
    "duration": {"s": "s", "min": "i", "mo": "m", "h": "h", "d": "d", "w": "w", "y": "y", "i": "i", "m": "m"},
    "number": {"%": "", "percent": ""},
}
_UNIT: Final = re.compile(
    r"(%|percent|[kmgt]?i?b(it)?s?(/s(ec)?|ps)?|[kmgt]|(kilo|mega|giga|tera)?bytes?|s|secs?|seconds?|i|mins?|minutes?|h|hrs?|hours?"
    r"|d|days?|w|weeks?|months?|y|years?)",
    re.IGNORECASE,
)
# Of SQL. A word in capitals beside a comparison; AND, OR and NOT are words of the grammar.
_KEYWORDS: Final = ("XOR", "WHERE", "SELECT", "FROM", "HAVING", "LIMIT", "ORDER", "BETWEEN", "IN", "LIKE", "IS")
_EXPRESSION_MAX: Final = 200
_TIME_WORD: Final = re.compile(
    r"(?P<clock>\d{1,2}:\d\d(:\d\d)?Z?)|(?P<ago>ago|old)|jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?"
    r"|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?",
    re.IGNORECASE | re.ASCII,
)


def problem(word: str, before: str, after: str, kind_of: Lookup) -> Problem:
    """The problem of a word between these two of its group (empty: none)."""
    return (
        _keyword(word, before, after)
        or _split_unit(word, before, kind_of)
        or _split_time(word, before, kind_of)
        or _expression(word)
        or _boolean(word, kind_of)
    )


def _keyword(word: str, before: str, after: str) -> Problem:
    is_keyword = word in _KEYWORDS or word in ("xor", "where", "having")
    is_order = word.lower() == "by" and before.lower() in ("order", "sort", "group") and field(after) is not None
    if not is_order and not (is_keyword and (words.is_comparison(before) or words.is_comparison(after))):
        return None
    return f"`{word}` is not an operator", f"a condition has terms, OR, brackets and NOT only{for_name(word)}"


def _split_unit(word: str, before: str, kind_of: Lookup) -> Problem:
    number = _NUMERIC.fullmatch(before)
    if number is None or not _UNIT.fullmatch(word):
        return None
    kind = kind_of(number["field"])
    known = _UNITS.get("duration" if kind in ("time", "time or never") else kind or "text", {})
    begin = next((unit for unit in known if word.lower().startswith(unit)), None)
    if begin is None:
        return None
    return "a unit follows its number without a space", spelling(before + known[begin], word)


def _split_time(word: str, before: str, kind_of: Lookup) -> Problem:
    """A time of day, a month or `ago` behind a time."""
    head, found = words.OPERATOR.match(before), _TIME_WORD.fullmatch(word)
    if head is None or found is None or kind_of(head[1]) not in ("time", "time or never", "duration"):
        return None
    if found["clock"]:
        return "a time of day follows its date without a space", spelling(f"{before}T{word.rstrip('zZ')}", word)
    if found["ago"]:
        return "a span has no further word", spelling(before, word)
    if not re.fullmatch(r"\d{1,2}", before[head.end() :], re.ASCII):
        return None
    return "a date has no name of a month", f"write 2026-12-31 or 31.12.2026{for_name(word)}"


def _expression(word: str) -> Problem:
    """A number before its field, or a comparison of an expression that contains a field."""
    if found := _REVERSED.fullmatch(word):
        name, operator = found["field"], _MIRRORED[found["operator"]]
        if field(name) is None:
            return None
        more = f" {name}{found['more']}" if found["more"] else ""
        return f"`{shown(word)}` is not a comparison", spelling(f"{name}{operator}{found['number']}{more}", word)
    if _UNEQUAL.fullmatch(word):
        return unequal(word)
    if found := _EXPRESSION.fullmatch(word[:_EXPRESSION_MAX]):
        known = [name for name in _FIELD_IN.findall(found["left"]) if field(name) is not None]
        if known and not _FIELD_BEHIND_MARKS.fullmatch(found["left"]):
            right = f"{known[-1]}{found['operator']}{found['value']}"
            return f"`{shown(word)}` is not a comparison", spelling(right, word)
    return None


def unequal(word: str) -> Problem:
    """`name!~linux`, `prio!>2`."""
    found = _UNEQUAL.fullmatch(word)
    if found is None or field(found["field"]) is None:
        return None
    name, value = found["field"], found["value"]
    right = f"[ NOT {name}{value} ]" if value.startswith("~") else f"{name}!={value}"
    if value[0] in _NEGATED:
        right = f"{name}{_NEGATED[value[0]]}{value[1:]}"
    return f"`{shown(word)}` is not a comparison", spelling(right, word)


def _boolean(word: str, kind_of: Lookup) -> Problem:
    """A field of the kind bool with marks before it, or a value behind another mark than an operator."""
    found = _BOOLEAN.fullmatch(word)
    if found is None or found["lead"] + found["value"] == "" or kind_of(found["field"]) != "bool":
        return None
    value = re.sub(r"\W", "", found["value"]).lower()
    if value and value not in ("yes", "no", "true", "false", "0", "1"):
        return None
    negated = re.search(r"no|NOT|[!~-]", found["lead"]) is not None
    right = f"{found['field']}={value or ('no' if negated else 'yes')}"
    return f"`{shown(word)}` is not a comparison", spelling(right, word)
