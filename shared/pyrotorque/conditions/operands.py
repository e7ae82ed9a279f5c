"""What a field is compared with: one frozen class for each kind of value, each a predicate once `now` is known."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, Protocol

from pyrotorque.conditions import dates, regexes, words
from pyrotorque.fields.kinds import Tags

Relation = Literal["=", "<", ">"]
Predicate = Callable[[Any], bool]
SIGNS: Final[dict[Relation, str]] = {"=": "", "<": "-", ">": "+"}


class Operand(Protocol):
    """A value of a condition: its text in the normal form, and the predicate that it is at a moment."""

    @property
    def text(self) -> str: ...
    def bind(self, now: float) -> Predicate: ...


@dataclass(frozen=True, slots=True)
class Glob:
    """A shell pattern over the whole text, whatever the case; the empty one is the empty text."""

    pattern: str

    @property
    def text(self) -> str:
        return words.written(self.pattern)

    def bind(self, now: float) -> Predicate:
        if self.pattern == "":
            return is_empty
        search = _globber(self.pattern)
        return lambda value: search(value or "") is not None


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression that occurs in the text, whatever the case."""

    pattern: str

    @property
    def text(self) -> str:
        return words.written_regex(self.pattern)

    def bind(self, now: float) -> Predicate:
        search = regexes.searcher(self.pattern)
        return lambda value: search(value or "")


@dataclass(frozen=True, slots=True)
class AnyFile:
    """At least one of the paths matches; the empty pattern means that there are none."""

    pattern: Glob | Regex

    @property
    def text(self) -> str:
        return self.pattern.text

    def bind(self, now: float) -> Predicate:
        if self.pattern == Glob(""):
            return is_empty
        matches = self.pattern.bind(now)
        return lambda value: any(map(matches, value or ()))


@dataclass(frozen=True, slots=True)
class Member:
    """The set holds this tag; the empty one means that the set is empty."""

    tag: str

    @property
    def text(self) -> str:
        return words.written(self.tag)

    def bind(self, now: float) -> Predicate:
        tag = self.tag
        return (lambda value: tag in lowered(value)) if tag else is_empty


@dataclass(frozen=True, slots=True)
class Exactly:
    """The set is this one tag and nothing else."""

    tag: str

    @property
    def text(self) -> str:
        return f"={words.written(self.tag)}"

    def bind(self, now: float) -> Predicate:
        only = frozenset((self.tag,))
        return lambda value: lowered(value) == only


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no; a value that is not known is no."""

    value: bool

    @property
    def text(self) -> str:
        return "yes" if self.value else "no"

    def bind(self, now: float) -> Predicate:
        return bool if self.value else is_empty


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or a size in bytes; a value that is not known equals nothing, and is neither more nor less."""

    relation: Relation
    value: float

    @property
    def text(self) -> str:
        return SIGNS[self.relation] + number_text(self.value)

    def bind(self, now: float) -> Predicate:
        return _compare(self.relation, self.value)


@dataclass(frozen=True, slots=True)
class Span:
    """A duration in seconds; one that is not known is only less than nothing: `seedtime<0` finds it."""

    relation: Relation
    value: float

    @property
    def text(self) -> str:
        return SIGNS[self.relation] + number_text(self.value)

    def bind(self, now: float) -> Predicate:
        if self.relation == "<" and self.value == 0:
            return lambda value: value is None or value < 0
        return _compare(self.relation, self.value)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time; `ago` counts back from the moment of matching, and there `>` means older.

    With `never` set, a time that is not set (0) matches nothing but a comparison with 0 itself.
    """

    relation: Relation
    when: dates.Ago | int
    never: bool = False

    @property
    def text(self) -> str:
        return SIGNS[self.relation] + str(self.when)

    def bind(self, now: float) -> Predicate:
        if isinstance(self.when, int):
            compared = _compare_times(self.relation, self.when)
        else:
            turned: dict[Relation, Relation] = {"<": ">", ">": "<", "=": "="}
            compared = _compare_times(turned[self.relation], self.when.before(now))
        if not self.never or self.when == 0:
            return compared
        return lambda value: bool(value) and compared(value)


@dataclass(frozen=True, slots=True)
class Loose:
    """A comparison with a value that rTorrent gives as text; text that is no number is neither more nor less."""

    operand: Number | Moment

    @property
    def text(self) -> str:
        return self.operand.text

    def bind(self, now: float) -> Predicate:
        compared = self.operand.bind(now)

        def loosely(value: object) -> bool:
            try:
                return bool(compared(float(str(value))))
            except ValueError:
                return False

        return loosely


@lru_cache(2048)
def _globber(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(fnmatch.translate(pattern), re.IGNORECASE).match


def lowered(value: Iterable[str] | None) -> Set[str]:
    """A collection of tags in lower case; one that a field made is so already."""
    return value if isinstance(value, Tags) else Tags(tag.lower() for tag in value or ())


def number_text(value: float) -> str:
    """A number as short as it can be and still be read back as the same; never with an exponent."""
    return str(int(value)) if value == int(value) else f"{Decimal(repr(value)):f}"


def _compare(relation: Relation, limit: float) -> Predicate:
    """What is not known is neither less nor more than anything, nor equal to it."""
    if relation == "<":
        return lambda value: value is not None and value < limit
    if relation == ">":
        return lambda value: value is not None and value > limit
    return lambda value: value is not None and value == limit


def _compare_times(relation: Relation, limit: float) -> Predicate:
    """A time that is not known counts as 0; times are equal within their second."""
    if relation == "<":
        return lambda value: (value or 0) < limit
    if relation == ">":
        return lambda value: (value or 0) > limit
    second = int(limit) if abs(limit) != float("inf") else limit
    return lambda value: int(value or 0) == second


def is_empty(value: object) -> bool:
    return not value
