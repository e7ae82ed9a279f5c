"""Bursts: the first hints are acted on at once, thousands that follow cause a handful of looks, and one at the end."""

from typing import Final

_CAPACITY: Final = 3.0
_REFILL: Final = 1.0


class Bucket:
    """Looks that may be taken: a few at once, then one a second; times are CLOCK_MONOTONIC seconds."""

    def __init__(self, capacity: float = _CAPACITY, refill: float = _REFILL) -> None:
        self._capacity = capacity
        self._refill = refill
        self._level = capacity
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until a look may be taken; 0 means now."""
        self._fill(now)
        return max(0.0, (1.0 - self._level) / self._refill)

    def take(self, now: float) -> None:
        """A look was taken."""
        self._fill(now)
        self._level -= 1.0

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._level = min(self._capacity, self._level + (now - self._at) * self._refill)
        self._at = now
