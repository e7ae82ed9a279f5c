"""A wall clock that can be put a day on or back for the group alone: what `time.time` says in its processes is moved.

A day, because no run takes half of one: what was noted while the clock was wrong can be told, and is put right.
"""

import mmap
import struct
import time
from pathlib import Path
from typing import Final

DAY: Final = 86_400.0
_SHARED: Final = struct.Struct("d")


class Clock:
    """Belongs to who makes the faults; the group's processes follow it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(_SHARED.pack(0.0))

    def put(self, seconds: float) -> None:
        """So many seconds ahead of the real time, at once, for all of the group."""
        with self._path.open("r+b") as file:
            file.write(_SHARED.pack(seconds))


def follow(path: str) -> None:
    """Let `time.time` of this process follow the clock at `path`."""
    real = time.time
    with open(path, "rb") as file:
        shared = mmap.mmap(file.fileno(), _SHARED.size, prot=mmap.PROT_READ)

    def told() -> float:
        return real() + float(_SHARED.unpack_from(shared)[0])

    time.time = told


def put_right(at: float, now: float) -> float:
    """When that was in truth, for a time noted less than half a day ago (or a span of less than that, from 0)."""
    return at - DAY * round((at - now) / DAY)
