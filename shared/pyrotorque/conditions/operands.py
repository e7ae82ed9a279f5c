"""The right-hand sides of comparisons: one frozen class per kind of value, bound to a time as a predicate."""

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
    """A value of a condition: its text in the normal form, and its predicate at a time."""

    @property
    def text(self) -> str: ...
    def bind(self, now: float) -> Predicate: ...


@dataclass(frozen=True, slots=True)
class Glob:
    """A shell pattern for the whole text, case-insensitive; the empty pattern matches only the empty text."""

    pattern: str

    @property
    def text(self) -> str:
        return words.quoted(self.pattern)

    def bind(self, now: float) -> Predicate:
        if self.pattern == "":
            return is_empty
        search = _globber(self.pattern)
        return lambda value: search(value or "") is not None


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression that matches anywhere in the text, case-insensitive."""

    pattern: str

    @property
    def text(self) -> str:
        return words.quoted_regex(self.pattern)

    def bind(self, now: float) -> Predicate:
        search = regexes.compile_search(self.pattern)
        return lambda value: search(value or "")


@dataclass(frozen=True, slots=True)
class AnyFile:
    """At least one of the paths matches; the empty pattern matches if there are no paths."""

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
class HasTag:
    """The set contains this tag; the empty tag matches the empty set."""

    tag: str

    @property
    def text(self) -> str:
        return words.quoted_tag(self.tag)

    def bind(self, now: float) -> Predicate:
        tag = self.tag
        return (lambda value: tag in lower_tags(value)) if tag else is_empty


@dataclass(frozen=True, slots=True)
class OnlyTag:
    """The set consists of this tag only."""

    tag: str

    @property
    def text(self) -> str:
        return f"={words.quoted_tag(self.tag)}"

    def bind(self, now: float) -> Predicate:
        only = frozenset((self.tag,))
        return lambda value: lower_tags(value) == only


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no; an unknown value is no."""

    value: bool

    @property
    def text(self) -> str:
        return "yes" if self.value else "no"

    def bind(self, now: float) -> Predicate:
        return bool if self.value else is_empty


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or a size in bytes; an unknown value is not equal to, less or greater than anything."""

    relation: Relation
    value: float

    @property
    def text(self) -> str:
        return SIGNS[self.relation] + number_text(self.value)

    def bind(self, now: float) -> Predicate:
        return _compare(self.relation, self.value)


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration in seconds; an unknown duration only matches `<0`: `seedtime<0` finds it."""

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
class TimePoint:
    """A time; an `Ago` is relative to the time of matching, and then `>` means older.

    With `never`, a time that is not set (0) only matches comparisons with 0 itself.
    """

    relation: Relation
    when: dates.Ago | int
    never: bool = False

    @property
    def text(self) -> str:
        text = SIGNS[self.relation] + str(self.when)
        is_exact = self.relation == "=" and isinstance(self.when, dates.Ago)
        return f'"{text}"' if is_exact else text  # without quotes, it would be refused

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
class UntypedComparison:
    """A comparison with a value that rTorrent returns as text; text that is not a number never matches."""

    operand: Number | TimePoint

    @property
    def text(self) -> str:
        return self.operand.text

    def bind(self, now: float) -> Predicate:
        compared = self.operand.bind(now)

        def matches_text(value: object) -> bool:
            try:
                return bool(compared(float(str(value))))
            except ValueError:
                return False

        return matches_text


@lru_cache(2048)
def _globber(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(fnmatch.translate(pattern), re.IGNORECASE).match


def lower_tags(value: Iterable[str] | None) -> Set[str]:
    """Tags in lower case; `Tags` are already."""
    return value if isinstance(value, Tags) else Tags(tag.lower() for tag in value or ())


def number_text(value: float) -> str:
    """The shortest text that parses to the same number, without an exponent."""
    return str(int(value)) if value == int(value) else f"{Decimal(repr(value)):f}"


def _compare(relation: Relation, limit: float) -> Predicate:
    """An unknown value (None) never matches."""
    if relation == "<":
        return lambda value: value is not None and value < limit
    if relation == ">":
        return lambda value: value is not None and value > limit
    return lambda value: value is not None and value == limit


def _compare_times(relation: Relation, limit: float) -> Predicate:
    """An unknown time counts as 0; times within the same second are equal."""
    if relation == "<":
        return lambda value: (value or 0) < limit
    if relation == ">":
        return lambda value: (value or 0) > limit
    second = int(limit) if abs(limit) != float("inf") else limit
    return lambda value: int(value or 0) == second


def is_empty(value: object) -> bool:
    return not value
