"""Rows of rTorrent as a sequence of items: filtered and sorted by column, converted to items on access."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeAlias, overload

from pyrotorque.conditions import Condition, SortOrder
from pyrotorque.conditions.predicates import is_match
from pyrotorque.items.item import Columns, Item

Row: TypeAlias = tuple[str, ...]


class LazyItems(Sequence[Item]):
    """The items of a read. Of 10,000 usually only a few are accessed, and only these are converted."""

    def __init__(self, columns: Columns, rows: Sequence[Row], items: Sequence[Item] | None = None) -> None:
        self._columns = columns
        self._rows = rows
        self._items = items
        self._values: dict[str, list[Any]] = {}

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

    def values(self, name: str) -> Sequence[Any]:
        """The values of one field, in the order of the items."""
        if name not in self._values:
            self._values[name] = (
                self._columns.values(name, self._rows) if self._items is None else [item[name] for item in self._items]
            )
        return self._values[name]

    def sorted(self, order: SortOrder) -> "LazyItems":
        """The same items in this order."""
        ranks = order.ranked(len(self), self.values)
        if self._items is not None:
            made = LazyItems(self._columns, (), [self._items[rank] for rank in ranks])
        else:
            made = LazyItems(self._columns, [self._rows[rank] for rank in ranks])
        made._values = {name: [values[rank] for rank in ranks] for name, values in self._values.items()}
        return made


def filtered_rows(columns: Columns, rows: Sequence[Row], condition: Condition, now: float) -> Sequence[Row]:
    """The rows whose items match a condition that needs only columns.

    Each part is evaluated once for each different combination of values; most values are equal: 0, 1, or empty.
    """
    for part in condition.parts:
        if not rows:
            break
        answers = itemgetter(*(columns.places(part.fields) or (slice(0, 0),)))
        check = part.at(now)
        examples = dict(zip(map(answers, rows), rows, strict=True))
        verdicts = {key: is_match(check, columns.item(row)) for key, row in examples.items()}
        if not all(verdicts.values()):
            rows = [row for row in rows if verdicts[answers(row)]]
    return rows
