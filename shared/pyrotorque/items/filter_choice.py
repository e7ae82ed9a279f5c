"""Chooses which of a condition's filters rTorrent applies, by their measured cost and selectivity.

rTorrent parses a filter again for each item, so a filter that most items pass costs more than it saves; and of several
parts one is often enough.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

Ask: TypeAlias = Callable[[Sequence[str]], Iterable[tuple[str, ...]]]

# Measured costs in rTorrent for each item; the unit is one field of the result.
_ROW: Final = 4.0
_FILTERED: Final = 1.4
_GROUP: Final = 0.7
_BARE: Final = 1.1
_COMPARED: Final = 1.8
_SLACK: Final = 50
_READS_MAX: Final = 240
_READS_MIN: Final = 20


class FilterChoice:
    """The choice for one condition and view; until it is measured, the first filter: all parts together."""

    def __init__(self) -> None:
        self._filters: Sequence[str] = ()
        self._chosen = 0
        self._expected = 0
        self._age: int | None = None

    def choose(self, filters: Sequence[str], width: int, ask: Ask | None) -> str:
        """The filter for a read of `width` fields, empty for none; `ask` reads the parts of all items."""
        if filters != self._filters:
            self._filters, self._chosen, self._age = filters, 0, None
        if not filters:
            return ""
        if self._age is None and ask is not None:
            # Thousands of rows, but few different ones: each is kept once.
            different: dict[tuple[bool, ...], tuple[bool, ...]] = {}
            rows = (tuple(text not in ("", "0") for text in row) for row in ask(filters[1:] or filters))
            truths = [different.setdefault(row, row) for row in rows]
            self._chosen, self._expected = cheapest(filters, truths, width)
            self._age = 0
        return filters[self._chosen] if self._chosen >= 0 else ""

    def learn(self, rows: int, matching: int) -> None:
        """Check the choice against the numbers of returned and of matching rows; an outdated one is measured again."""
        if self._age is None:
            return
        self._age += 1
        grown = self._chosen >= 0 and rows > 2 * self._expected + _SLACK
        # Without a filter, only the matching rows show that one would exclude many by now.
        shrunk = self._chosen < 0 and self._age >= _READS_MIN and 2 * matching + _SLACK < self._expected
        if self._age >= _READS_MAX or grown or shrunk:
            self._age = None


def cheapest(filters: Sequence[str], truths: Sequence[Sequence[bool]], width: int) -> tuple[int, int]:
    """The index of the cheapest filter, -1 for none, and the number of rows that pass it.

    `truths` has a row for each item with the result of each part; `width` is the number of fields to read.
    """
    parts = filters[1:] or filters
    costs = [_FILTERED + (_COMPARED if "value=" in part else _BARE) for part in parts]
    answer = _ROW + width
    passing = [sum(row[place] for row in truths) for place in range(len(parts))]
    options = [(len(truths) * answer, -1, len(truths))]
    first_single = len(filters) - len(parts)
    for place, rows in enumerate(passing):
        options.append((len(truths) * costs[place] + rows * answer, first_single + place, rows))
    if first_single:
        rows = sum(map(all, truths))
        options.append((_together(truths, costs) + rows * answer, 0, rows))
    _, index, rows = min(options)
    return index, rows


def _together(truths: Sequence[Sequence[bool]], costs: Sequence[float]) -> float:
    """The cost of `and={…}`, which evaluates its parts in turn until one is false."""
    spent, left = len(truths) * (_FILTERED + _GROUP), list(truths)
    for place, cost in enumerate(costs):
        spent += len(left) * (cost - _FILTERED + _GROUP)
        left = [row for row in left if row[place]]
    return spent
