"""The clock of housekeeping: it advances only by time that the kernel proves, whatever the system's clock is set to.

Data is deleted after its time in quarantine, and files and items go after they were seen for long enough: setting the
system's clock forward must not make that happen at once. Time while the machine is off is not counted.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.linux.processes import boot_id, kernel_uptime
from pyrotorque.options import write_atomically
from pyrotorque.text import encode_json

FILE: Final = "clock.json"


class ClockReading(msgspec.Struct, frozen=True):
    """The own time, and the uptime of this boot of the kernel, which no setting changes."""

    time: float
    boot: str
    uptime: float


@dataclass(frozen=True)
class OwnClock:
    """The clock that all housekeeping of a group shares, in its folder. It begins with the system's time."""

    folder: Path
    wall: Callable[[], float] = time.time
    boot: Callable[[], str] = boot_id
    uptime: Callable[[], float] = field(default=lambda: kernel_uptime())

    def now(self) -> float:
        """Own time, in seconds that are comparable with Unix seconds, but never run ahead."""
        return self._read().time

    def shown(self, own: float) -> float:
        """When the own clock will have reached `own`, as Unix seconds of the system's clock."""
        return self.wall() + own - self.now()

    def store(self) -> float:
        """Store the time, so that it continues from here after a new boot; returns it. Raises StateError."""
        reading = self._read()
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        write_atomically(self.folder / FILE, encode_json(reading))
        return reading.time

    def _read(self) -> ClockReading:
        boot, uptime = self.boot(), self.uptime()
        try:
            before = msgspec.json.decode((self.folder / FILE).read_bytes(), type=ClockReading)
        except (OSError, msgspec.DecodeError):
            return ClockReading(self.wall(), boot, uptime)
        # Since a reading in an earlier boot, at least the time since this boot has passed.
        passed = uptime - before.uptime if boot == before.boot else uptime
        return ClockReading(before.time + max(0.0, passed if boot else 0.0), boot, uptime)
