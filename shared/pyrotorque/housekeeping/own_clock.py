"""The clock of housekeeping: it advances only by time that the kernel proves, whatever the system's clock is set to.

Data is deleted after its time in quarantine, and files and items go after they were seen for long enough: setting the
system's clock forward must not make that happen at once. Time while the machine is off, or suspended, is not counted:
nothing was seeding then.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.json_input import decode_json
from pyrotorque.linux.processes import awake_time, boot_id
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.text import encode_json

FILE: Final = "clock.json"
_ACTIVITY: Final = "activity.json"


class ClockReading(msgspec.Struct, frozen=True):
    """The own time, and for how long this boot of the kernel was awake, which no setting changes."""

    time: float
    boot: str
    awake: float | None = None
    """None in a file of before: then nothing is known to have passed in this boot."""
    wall: float = 0.0
    """The system's time then: how much of the time of a later boot may have passed since, at most."""
    machine: str = ""


@dataclass(frozen=True)
class OwnClock:
    """The clock that all housekeeping of a group shares, in its folder. It begins with the system's time."""

    folder: Path
    wall: Callable[[], float] = time.time
    boot: Callable[[], str] = boot_id
    awake: Callable[[], float] = field(default=lambda: awake_time())
    machine: Callable[[], str] = field(default=lambda: _machine_id())

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
        boot, awake, wall, machine = self.boot(), self.awake(), self.wall(), self.machine()
        try:
            before = decode_json(read_regular_file(self.folder / FILE), type=ClockReading)
        except (OSError, msgspec.DecodeError):
            return ClockReading(self._last_known(wall), boot, awake, wall, machine)
        if boot == before.boot:
            passed = awake - (awake if before.awake is None else before.awake)
        else:
            # Since a reading in an earlier boot, at least the time since this boot has passed: unless the state came
            # from another machine, or this one was running already.
            passed = min(awake, wall - before.wall) if before.wall else awake
            passed = passed if before.machine in ("", machine) else 0.0
        return ClockReading(before.time + max(0.0, passed if boot else 0.0), boot, awake, wall, machine)

    def _last_known(self, wall: float) -> float:
        """Where the clock continues if its file is lost: at the last reading of items, else at the system's time."""
        try:
            return decode_json(read_regular_file(self.folder / _ACTIVITY), type=_LastReading).at or wall
        except (OSError, msgspec.DecodeError):
            return wall


class _LastReading(msgspec.Struct, frozen=True):
    """The part of the stored activity that is needed here."""

    at: float = 0.0


def _machine_id() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""
