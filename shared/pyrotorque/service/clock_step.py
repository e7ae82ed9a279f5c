"""Detects that the system clock was set: times of the wall clock that the service waits for may be wrong then."""

import time
from typing import Final

_MIN_STEP: Final = 1.0  # seconds


class ClockStepDetector:
    """Compares the wall clock with the monotonic clock, which also stands still while the machine sleeps."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def step(self, now: float, monotonic: float) -> float:
        """Seconds by which the wall clock moved since the last call; 0.0 for less than a second."""
        step, self._offset = now - monotonic - self._offset, now - monotonic
        return step if abs(step) > _MIN_STEP else 0.0
