"""From the characters of a value to what a field of some kind is compared with."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyrotorque.conditions import dates, words
from pyrotorque.conditions.operands import (
    AnyFile,
    Exactly,
    Flag,
    Glob,
    Loose,
    Member,
    Moment,
    Number,
    Operand,
    Regex,
    Relation,
    Span,
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


class BadValue(Exception):
    """A value that its field cannot have; `hint` says what would be right."""

    def __init__(self, problem: str, hint: str = "", at: int | None = None) -> None:
        super().__init__(printable(problem))
        self.hint = hint
        self.at = at


@dataclass(frozen=True, slots=True)
class Written:
    """One value as it stands in the text: its cells without `!`, and the relation its operator gave it."""

    cells: list[words.Cell]
    relation: Relation | None = None
    is_regex: bool = False

    @property
    def text(self) -> str:
        return words.plain_text(self.cells)


def operand(kind: Kind, value: Written) -> Operand:
    """What `value` means for a field of this kind; BadValue when it means nothing there."""
    return _READERS[kind](value)


def _text(value: Written) -> Glob | Regex:
    if value.is_regex:
        return _regex(words.regex_text(value.cells))
    if words.regex_end(value.cells, 0) == len(value.cells) > 1:
        return _regex(words.regex_text(value.cells[1:-1]))
    ends = [[cell[:2] for cell in cells] for cells in (value.cells[:2], value.cells[-2:])]
    if ends[0] == [("{", False)] * 2 or ends[1] == [("}", False)] * 2:
        hint = (
            r"compare in a field of your own, in config.py; or write `\{{` and `\}}` for braces that are meant as such"
        )
        raise BadValue("templates are not read in conditions", hint)
    return Glob(words.glob_text(value.cells))


def _regex(pattern: str) -> Regex:
    if len(pattern) > REGEX_MAX:
        raise BadValue(f"a regular expression may have at most {REGEX_MAX} characters, this one has {len(pattern)}")
    found = Regex(pattern)
    try:
        found.bind(0)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadValue(f"this is not a regular expression: {error}") from error
    return found


def _files(value: Written) -> AnyFile:
    return AnyFile(_text(value))


def _tag(value: Written) -> Member | Exactly:
    exact = bool(value.cells) and value.cells[0][:2] == ("=", False)
    tag = words.plain_text(value.cells[1:] if exact else value.cells).lower()
    return Exactly(tag) if exact and tag else Member(tag)


def _flag(value: Written) -> Flag:
    word = value.text.lower()
    if not word:
        raise BadValue("a value is missing here", "write one of yes, no, true, false, 1, 0")
    if word not in YES | NO:
        raise BadValue(f"`{value.text}` is neither yes nor no", "write one of yes, no, true, false, 1, 0")
    return Flag(word in YES)


def _number(value: Written) -> Number:
    relation, text = _signed(value)
    if not _NUMBER.fullmatch(text):
        raise BadValue(f"`{text}` is not a number", "write a plain number like 3 or 1.5")
    return Number(relation, float(text))


def _size(value: Written) -> Number:
    relation, text = _signed(value)
    found = _SIZE.fullmatch(text)
    if not found:
        raise BadValue(f"`{text}` is not a size", "write a number of bytes, if need be with k, m, g or t: 700m")
    size = round(float(found[1]) * _FACTORS[found[2].lower()], 6)
    if size > _SIZE_MAX:
        raise BadValue(f"`{text}` is more than there can be", "write at most 8191t")
    return Number(relation, size)


def _time(value: Written, never: bool = False) -> Moment:
    relation, text = _signed(value)
    if re.fullmatch(r"\d{1,15}", text, re.ASCII):
        return Moment(relation, int(text), never)
    ago = dates.parse_ago(text)
    if ago:
        return Moment(relation, ago, never)
    try:
        date = dates.parse_date(text)
    except (ValueError, OverflowError) as error:
        raise BadValue(f"`{text}` is not in the calendar: {error}") from error
    if date is None:
        raise BadValue(
            f"`{text}` is not a time",
            "write a span before now with units in the order y m w d h i s (i = minutes): 1d12h;"
            " or a date: 2024-12-31, 31.12.2024, 12/31/2024T18:30; or Unix seconds",
        )
    return Moment(relation, date, never)


def _time_or_never(value: Written) -> Moment:
    return _time(value, never=True)


def _duration(value: Written) -> Span:
    relation, text = _signed(value)
    if re.fullmatch(r"\d{1,15}", text, re.ASCII):
        return Span(relation, float(text))
    ago = dates.parse_ago(text)
    if not ago:
        raise BadValue(f"`{text}` is not a duration", "write seconds, or units in the order y m w d h i s: 1w, 2h30i")
    return Span(relation, float(ago.length))


def _guess(value: Written) -> Operand:
    """For a field without a kind: an order needs a number, a size or a time; anything else is a pattern."""
    if value.relation in (None, "="):
        return _text(value)
    for reader in (_number, _size, _time):
        try:
            found = reader(value)
        except BadValue:
            continue
        if isinstance(found, Moment) and isinstance(found.when, int):  # a date is the number of its second
            found = Number(found.relation, found.when)
        return Loose(found)
    raise BadValue(f"`{value.text}` is neither a number nor a size nor a time", "write 5, 700m or 1d12h")


def _signed(value: Written) -> tuple[Relation, str]:
    """The relation of an ordered value, by its operator or its own `+` or `-`, and what is left of it."""
    sign: Relation | None = None
    if value.cells and not value.cells[0].literal:
        sign = ">" if value.cells[0].char == "+" else "<" if value.cells[0].char == "-" else None
    if sign and value.relation:
        raise BadValue("`+` or `-` cannot follow this operator", "there are no negative values; write just the number")
    rest = words.plain_text(value.cells[1:] if sign else value.cells)
    if not rest:
        raise BadValue("a value is missing here", "this field has no empty value")
    return value.relation or sign or "=", rest


_READERS: Final[dict[Kind, Callable[[Written], Operand]]] = {
    "text": _text,
    "files": _files,
    "tags": _tag,
    "bool": _flag,
    "number": _number,
    "size": _size,
    "time": _time,
    "time or never": _time_or_never,
    "duration": _duration,
    "any": _guess,
}
