"""Sort orders like `-prio, loaded, name`: stable, each field up or down, values in their natural order."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pyrotorque.conditions.complaints import complaint
from pyrotorque.fields import Field
from pyrotorque.fields.kinds import Kind

T = TypeVar("T", bound=Mapping[str, Any])
_KEY: Final = re.compile(r"[^\s,]+")
_NUMBERS: Final[frozenset[Kind]] = frozenset(("bool", "number", "size", "time", "time or never", "duration"))


@dataclass(frozen=True)
class SortOrder:
    """Names of fields, each with True where it sorts from high to low; without any it keeps the order."""

    keys: tuple[tuple[str, bool], ...]
    table: Mapping[str, Field]

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields that it needs."""
        return frozenset(name for name, _ in self.keys)

    def sorted(self, items: Iterable[T]) -> list[T]:
        """The items in this order; those that are equal in all fields stay as they were."""
        ordered = list(items)
        for name, descending in reversed(self.keys):
            ordered.sort(key=_key(name, self.table[name].kind), reverse=descending)
        return ordered

    def __str__(self) -> str:
        return ", ".join(f"-{name}" if descending else name for name, descending in self.keys)

    def __hash__(self) -> int:
        return hash(self.keys)


def read(text: str, find: Callable[[str, str, int], Field]) -> SortOrder:
    """The order that `text` writes; `find(name, text, at)` gives the field or raises."""
    keys: list[tuple[str, bool]] = []
    table: dict[str, Field] = {}
    for found in _KEY.finditer(text):
        name = found[0].removeprefix("-")
        if not name:
            raise complaint(text, found.start(), "`-` needs a field behind it", "write -prio")
        table[name] = find(name, text, found.end() - len(name))
        keys.append((name, found[0] != name))
    return SortOrder(tuple(keys), table)


def _key(name: str, kind: Kind) -> Callable[[Mapping[str, Any]], Any]:
    """A key that compares within one kind and puts what is not known first."""
    if kind in _NUMBERS:
        return lambda item: float("-inf") if item[name] is None else item[name]
    if kind in ("tags", "files"):
        return lambda item: sorted(item[name] or ())
    return lambda item: str(item[name] or "")
