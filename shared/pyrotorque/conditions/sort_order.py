"""Sort orders like `-prio, loaded, name`: stable, each field up or down, values in their natural order."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pyrotorque.conditions.error_text import condition_error
from pyrotorque.fields import Field
from pyrotorque.fields.kinds import Kind

T = TypeVar("T", bound=Mapping[str, Any])
_KEY: Final = re.compile(r"[^\s,]+")
_NUMBER: Final = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_NUMBERS: Final[frozenset[Kind]] = frozenset(("bool", "number", "size", "time", "time or never", "duration"))


@dataclass(frozen=True)
class SortOrder:
    """Names of fields, each with True for descending; empty keys keep the original order."""

    keys: tuple[tuple[str, bool], ...]
    table: Mapping[str, Field]

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields that it needs."""
        return frozenset(name for name, _ in self.keys)

    def sorted(self, items: Iterable[T]) -> list[T]:
        """The items in this order; the sort is stable."""
        given = list(items)
        return [given[rank] for rank in self.ranked(len(given), lambda name: [item[name] for item in given])]

    def ranked(self, count: int, column: Callable[[str], Sequence[Any]]) -> list[int]:
        """The same for `count` rows whose values are in `column(name)`: the indexes of the rows, in this order."""
        ranks = list(range(count))
        for name, descending in reversed(self.keys):
            keys = _keys(column(name), self.table[name].kind)
            ranks.sort(key=keys.__getitem__, reverse=descending)
        return ranks

    def __str__(self) -> str:
        return ", ".join(f"-{name}" if descending else name for name, descending in self.keys)

    def __hash__(self) -> int:
        return hash(self.keys)


def read(text: str, find: Callable[[str, str, int], Field]) -> SortOrder:
    """Parse a sort order; `find(name, text, at)` returns the field or raises."""
    keys: list[tuple[str, bool]] = []
    table: dict[str, Field] = {}
    for found in _KEY.finditer(text):
        name = found[0].removeprefix("-")
        if not name:
            raise condition_error(text, found.start(), "`-` needs a field after it", "write -prio")
        table[name] = find(name, text, found.end() - len(name))
        keys.append((name, found[0] != name))
    return SortOrder(tuple(keys), table)


def _keys(values: Sequence[Any], kind: Kind) -> Sequence[Any]:
    """Keys that compare within one kind; unknown values are first."""
    if kind in _NUMBERS:
        return [float("-inf") if value is None else value for value in values]
    if kind in ("tags", "files"):
        return [sorted(value or ()) for value in values]
    if kind == "any":
        return [_untyped_key(value) for value in values]
    return [value if value.__class__ is str else str(value or "") for value in values]


def _untyped_key(value: object) -> tuple[float, str]:
    """Nothing first, then numbers by their value, then other texts: rTorrent returns numbers as texts, too."""
    text = "" if value is None else str(value)
    if not text:
        return float("-inf"), ""
    return float(text) if _NUMBER.fullmatch(text) else float("inf"), text
