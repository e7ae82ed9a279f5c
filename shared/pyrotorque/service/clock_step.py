"""Detects that the system clock was set, or that the machine was suspended: times that are waited for are then off."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pyrotorque.humanize import duration
from pyrotorque.linux.processes import kernel_uptime

_MIN_STEP: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class ClockChange:
    """What happened since the last look, in seconds; less than a second is 0."""

    set_by: float = 0.0
    """By how much the wall clock was set."""
    slept: float = 0.0
    """For how long the machine was suspended: the wall clock advanced, the monotonic clock did not."""

    def __bool__(self) -> bool:
        return bool(self.set_by or self.slept)

    def __str__(self) -> str:
        parts = [f"the machine was suspended for {duration(self.slept)}"] if self.slept else []
        if self.set_by:
            parts.append(
                f"the system clock was set {'forward' if self.set_by > 0 else 'back'} by {abs(self.set_by):.0f} s"
            )
        return " and ".join(parts)


class ClockStepDetector:
    """Compares three clocks: only the wall clock can be set, only the monotonic clock stands still in suspension."""

    def __init__(self, uptime: Callable[[], float] = kernel_uptime) -> None:
        self._uptime = uptime
        boot, monotonic = uptime(), time.monotonic()
        self._wall, self._asleep = time.time() - boot, boot - monotonic

    def change(self, now: float, monotonic: float) -> ClockChange:
        """What happened since the last call, each time once."""
        boot = self._uptime()
        wall, asleep = now - boot, boot - monotonic
        change = ClockChange(_step(wall - self._wall), max(0.0, _step(asleep - self._asleep)))
        self._wall, self._asleep = wall, asleep
        return change


def _step(seconds: float) -> float:
    return seconds if abs(seconds) > _MIN_STEP else 0.0
