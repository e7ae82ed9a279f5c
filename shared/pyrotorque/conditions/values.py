"""Parses the value of a term to an operand, by the kind of its field."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyrotorque.conditions import dates, words
from pyrotorque.conditions.operands import (
    AnyFile,
    Duration,
    Flag,
    Glob,
    HasTag,
    Number,
    OnlyTag,
    Operand,
    Regex,
    Relation,
    TimePoint,
    UntypedComparison,
)
from pyrotorque.fields.kinds import Kind
from pyrotorque.text import printable

YES: Final = frozenset(("true", "t", "yes", "y", "1", "+"))
NO: Final = frozenset(("false", "f", "no", "n", "0", "-"))
ORDERED: Final[frozenset[Kind]] = frozenset(("number", "size", "time", "time or never", "duration", "any"))
REGEX_MAX: Final = 1_000
_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{0,15})?|\.\d{1,15}", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,16}(?:\.\d{0,15})?|\.\d{1,15})([bkmgt]?)", re.IGNORECASE | re.ASCII)
_SIZE_MAX: Final = 1 << 53
_FACTORS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class InvalidValue(Exception):
    """A value that is invalid for its field; `hint` describes valid ones."""

    def __init__(self, problem: str, hint: str = "", at: int | None = None) -> None:
        super().__init__(printable(problem))
        self.hint = hint
        self.at = at


@dataclass(frozen=True, slots=True)
class RawValue:
    """One value as written in the text: its cells without `!`, and the relation from its operator."""

    cells: list[words.Cell]
    relation: Relation | None = None
    is_regex: bool = False

    @property
    def text(self) -> str:
        return words.plain_text(self.cells)


def operand(kind: Kind, value: RawValue) -> Operand:
    """The operand for a field of this kind; raises InvalidValue if the value is not valid for it."""
    return _READERS[kind](value)


def _text(value: RawValue) -> Glob | Regex:
    if value.is_regex:
        return _regex(words.regex_text(value.cells))
    if words.regex_end(value.cells, 0) == len(value.cells) > 1:
        return _regex(words.regex_text(value.cells[1:-1]))
    ends = [[cell[:2] for cell in cells] for cells in (value.cells[:2], value.cells[-2:])]
    if ends[0] == [("{", False)] * 2 or ends[1] == [("}", False)] * 2:
        hint = r"compare in a custom field, in config.py; or write `\{{` and `\}}` for literal braces"
        raise InvalidValue("conditions do not support templates", hint)
    return Glob(words.glob_text(value.cells))


def _regex(pattern: str) -> Regex:
    if len(pattern) > REGEX_MAX:
        raise InvalidValue(f"a regular expression may have at most {REGEX_MAX} characters, this one has {len(pattern)}")
    found = Regex(pattern)
    try:
        found.bind(0)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidValue(f"this is not a regular expression: {error}") from error
    return found


def _files(value: RawValue) -> AnyFile:
    return AnyFile(_text(value))


def _tag(value: RawValue) -> HasTag | OnlyTag:
    exact = bool(value.cells) and value.cells[0][:2] == ("=", False)
    tag = words.plain_text(value.cells[1:] if exact else value.cells).lower()
    return OnlyTag(tag) if exact and tag else HasTag(tag)


def _flag(value: RawValue) -> Flag:
    word = value.text.lower()
    if not word:
        raise InvalidValue("a value is missing here", "write one of yes, no, true, false, 1, 0")
    if word not in YES | NO:
        raise InvalidValue(f"`{value.text}` is neither yes nor no", "write one of yes, no, true, false, 1, 0")
    return Flag(word in YES)


def _number(value: RawValue) -> Number:
    relation, text = _split_sign(value)
    if not _NUMBER.fullmatch(text):
        raise InvalidValue(f"`{text}` is not a number", "write a plain number like 3 or 1.5")
    return Number(relation, float(text))


def _size(value: RawValue) -> Number:
    relation, text = _split_sign(value)
    found = _SIZE.fullmatch(text)
    if not found:
        raise InvalidValue(f"`{text}` is not a size", "write a number of bytes, optionally with k, m, g or t: 700m")
    size = round(float(found[1]) * _FACTORS[found[2].lower()], 6)
    if size > _SIZE_MAX:
        raise InvalidValue(f"`{text}` is too large", "write at most 8191t")
    return Number(relation, size)


def _time(value: RawValue, never: bool = False) -> TimePoint:
    relation, text = _split_sign(value)
    if re.fullmatch(r"\d{1,15}", text, re.ASCII):
        return TimePoint(relation, int(text), never)
    ago = dates.parse_ago(text)
    if ago:
        return TimePoint(relation, ago, never)
    try:
        date = dates.parse_date(text)
    except (ValueError, OverflowError) as error:
        raise InvalidValue(f"`{text}` is not a date and time of the calendar") from error
    if date is None:
        raise InvalidValue(
            f"`{text}` is not a time",
            "write a span before now with units in the order y m w d h i s (i = minutes): 1d12h;"
            " or a date: 2024-12-31, 31.12.2024, 12/31/2024T18:30; or Unix seconds",
        )
    return TimePoint(relation, date, never)


def _time_or_never(value: RawValue) -> TimePoint:
    return _time(value, never=True)


def _duration(value: RawValue) -> Duration:
    relation, text = _split_sign(value)
    if re.fullmatch(r"\d{1,15}", text, re.ASCII):
        return Duration(relation, float(text))
    ago = dates.parse_ago(text)
    if not ago:
        raise InvalidValue(
            f"`{text}` is not a duration", "write seconds, or units in the order y m w d h i s: 1w, 2h30i"
        )
    return Duration(relation, float(ago.length))


def _untyped(value: RawValue) -> Operand:
    """For a field without a kind: `<` and `>` need a number, a size or a time; anything else is a pattern."""
    if value.relation in (None, "="):
        return _text(value)
    for reader in (_number, _size, _time):
        try:
            found = reader(value)
        except InvalidValue:
            continue
        if isinstance(found, TimePoint) and isinstance(found.when, int):  # a date is compared as Unix seconds
            found = Number(found.relation, found.when)
        return UntypedComparison(found)
    raise InvalidValue(f"`{value.text}` is neither a number nor a size nor a time", "write 5, 700m or 1d12h")


def _split_sign(value: RawValue) -> tuple[Relation, str]:
    """The relation of an ordered value, from its operator or its own `+` or `-`, and the rest of its text."""
    sign: Relation | None = None
    if value.cells and not value.cells[0].literal:
        sign = ">" if value.cells[0].char == "+" else "<" if value.cells[0].char == "-" else None
    if sign and value.relation:
        raise InvalidValue(
            "`+` or `-` cannot follow this operator", "there are no negative values; write just the number"
        )
    rest = words.plain_text(value.cells[1:] if sign else value.cells)
    if not rest:
        raise InvalidValue("a value is missing here", "this field has no empty value")
    return value.relation or sign or "=", rest


_READERS: Final[dict[Kind, Callable[[RawValue], Operand]]] = {
    "text": _text,
    "files": _files,
    "tags": _tag,
    "bool": _flag,
    "number": _number,
    "size": _size,
    "time": _time,
    "time or never": _time_or_never,
    "duration": _duration,
    "any": _untyped,
}
