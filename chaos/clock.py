"""A wall clock that can be moved by a day for the group only, by replacing `time.time` in its processes.

A run takes less than half a day, so times recorded with the wrong clock can be recognized and corrected.
"""

import mmap
import struct
import time
from pathlib import Path
from typing import Final

DAY: Final = 86_400.0
_SHARED: Final = struct.Struct("d")


class Clock:
    """The clock of the group's processes, set by the fault injection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(_SHARED.pack(0.0))

    def put(self, seconds: float) -> None:
        """Set the offset to the real time, in seconds, for the whole group."""
        with self._path.open("r+b") as file:
            file.write(_SHARED.pack(seconds))


def follow(path: str) -> None:
    """Make `time.time` of this process follow the clock at `path`."""
    real = time.time
    with open(path, "rb") as file:
        shared = mmap.mmap(file.fileno(), _SHARED.size, prot=mmap.PROT_READ)

    def shifted() -> float:
        return real() + float(_SHARED.unpack_from(shared)[0])

    time.time = shifted


def put_right(at: float, now: float) -> float:
    """The correct time for one recorded less than half a day ago (or a span of less than that, from 0)."""
    return at - DAY * round((at - now) / DAY)
