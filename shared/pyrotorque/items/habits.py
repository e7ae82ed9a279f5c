"""Which of a condition's filters pays: learnt by counting rows, because rTorrent reads a filter anew for each item.

All parts of a filter together let the fewest rows pass; one part alone costs half of rTorrent's time, and mostly a
single one excludes nearly everything: complete items, or those that are switched off. A filter that lets most of the
items pass costs more than it saves.
"""

from collections.abc import Sequence
from typing import Final

_MOST: Final = 0.6
_MANY: Final = 500
_SLACK: Final = 50
_FORGET: Final = 200


class Habit:
    """The choice among filters for one condition and view; the first is all parts together, the others are single."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._together: int | None = None
        self._tried = 0
        self._settled: int | None = None
        self._settled_rows = 0
        self._reads = 0

    def choose(self, filters: Sequence[str]) -> str:
        """The filter for the next read; empty for none."""
        index = self._next(len(filters))
        return filters[index] if 0 <= index < len(filters) else ""

    def learn(self, filters: Sequence[str], rows: int) -> None:
        """How many rows came back for the filter that `choose` gave."""
        index = self._next(len(filters))
        self._reads += 1
        if self._settled is not None:
            if self._reads > _FORGET or (index >= 0 and rows > 2 * self._settled_rows + _SLACK):
                self._start()
        elif self._together is None:
            self._together = rows
            self._tried = -1 if rows > _MANY else 1
        elif index < 0:  # without a filter: now it is known how much the filter excludes
            self._tried = 1
            if self._together > _MOST * rows:
                self._settle(-1, rows)
        elif rows <= 1.1 * self._together + _SLACK:
            self._settle(index, rows)
        else:
            self._tried += 1
        if self._settled is None and self._together is not None and self._tried >= len(filters):
            self._settle(0, self._together)

    def _next(self, count: int) -> int:
        if self._settled is not None:
            return self._settled
        if self._together is None:
            return 0
        return self._tried if self._tried < count else 0

    def _settle(self, index: int, rows: int) -> None:
        self._settled, self._settled_rows = index, rows
