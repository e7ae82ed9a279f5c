"""Rows of rTorrent as a sequence of items: sifted and sorted by column, made into items one by one when asked for."""

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeAlias, overload

from pyrotorque.conditions import Condition, SortOrder
from pyrotorque.conditions.regexes import Undecided
from pyrotorque.items.item import Columns, Item

Row: TypeAlias = tuple[str, ...]


class Found(Sequence[Item]):
    """The items that a read found; of 10,000 mostly few are ever looked at, so only these are made."""

    def __init__(self, columns: Columns, rows: Sequence[Row], items: Sequence[Item] | None = None) -> None:
        self._columns = columns
        self._rows = rows
        self._items = items

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if self._items is not None:
            return self._items[index] if isinstance(index, int) else list(self._items[index])
        if isinstance(index, int):
            return self._columns.item(self._rows[index])
        return [self._columns.item(row) for row in self._rows[index]]

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items) if self._items is not None else map(self._columns.item, self._rows)

    def __len__(self) -> int:
        return len(self._rows if self._items is None else self._items)

    def values(self, name: str) -> list[Any]:
        """The values of one field, in the order of the items."""
        if self._items is not None:
            return [item[name] for item in self._items]
        read, places = self._columns.readers[name], self._columns.places((name,))
        if not places:
            return [read(row, {}) for row in self._rows]
        remembered = _Remembered(places, lambda row: read(row, {}))
        return [remembered[key] for key in map(itemgetter(*places), self._rows)]

    def sorted(self, order: SortOrder) -> "Found":
        """The same items in this order."""
        ranks = order.ranked(len(self), self.values)
        if self._items is not None:
            return Found(self._columns, (), [self._items[rank] for rank in ranks])
        return Found(self._columns, [self._rows[rank] for rank in ranks])


def sifted(columns: Columns, rows: Sequence[Row], condition: Condition, now: float) -> Sequence[Row]:
    """The rows whose items meet a condition that asks for nothing but columns.

    Each part is decided once for each different answer, and most answers are the same: 0, 1, or nothing.
    """
    for part in condition.parts:
        if not rows:
            break
        places = columns.places(part.fields)
        decide = _decided(columns, part.at(now))
        if not places:
            rows = rows if decide(rows[0]) else ()
            continue
        verdicts = _Remembered(places, decide)
        keys = map(itemgetter(*places), rows)
        rows = [row for row, key in zip(rows, keys, strict=True) if verdicts[key]]
    return rows


def _decided(columns: Columns, check: Callable[[Any], bool]) -> Callable[[Row], bool]:
    def decide(row: Row) -> bool:
        try:
            return bool(check(columns.item(row)))
        except Undecided:
            return False

    return decide


class _Remembered(dict[Any, Any]):
    """What `compute` makes of a row, remembered by the answers at `places`; the others do not matter to it."""

    def __init__(self, places: tuple[int, ...], compute: Callable[[Row], Any]) -> None:
        super().__init__()
        self._places = places
        self._compute = compute
        self._row = [""] * (max(places) + 1)

    def __missing__(self, key: Any) -> Any:
        for place, text in zip(self._places, key if len(self._places) > 1 else (key,), strict=True):
            self._row[place] = text
        value = self[key] = self._compute(tuple(self._row))
        return value
