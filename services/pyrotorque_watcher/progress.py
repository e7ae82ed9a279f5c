"""The progress of many metafiles that are loaded at once, for `pyrotorque status` and `retry --all`."""

from dataclasses import dataclass
from typing import Final

SHOWN_FROM: Final = 50
"""Fewer metafiles are loaded before their progress could be read."""


@dataclass
class LoadProgress:
    """Begins when many metafiles are pending, ends when none is; times are Unix seconds."""

    began: float = 0.0
    _finished_before: float = 0.0
    _finished: float = -1.0
    """-1 before the first update: counters continue those of an earlier process."""
    _pending: int = 0

    def update(self, pending: int, finished: float, now: float) -> None:
        """`finished` is the number of metafiles that were ever loaded or refused."""
        if self._finished < 0:
            self._finished = finished
        if not self.began and pending >= SHOWN_FROM:
            # What was finished since the last update belongs to it.
            self.began, self._finished_before = now, self._finished
        elif not pending:
            self.began = 0.0
        self._pending, self._finished = pending, finished

    def data(self) -> dict[str, float] | None:
        """How many are done, of how many, since when; None if there is little to do."""
        if not self.began:
            return None
        done = int(self._finished - self._finished_before)
        return {"done": done, "total": done + self._pending, "began": self.began}
