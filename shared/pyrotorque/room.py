"""The room in a folder: the least of what its filesystem, quotas, and `max_used` of clean-up jobs leave.

The queue, the mover, clean-ups, metrics and the field `has_room` all use this one computation.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.json_input import decode_json
from pyrotorque.linux.filesystems import DiskSpace, disk_space
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.text import encode_json

FILE: Final = "used.json"
_VALID: Final = 86_400.0
"""Seconds; the limit of a job that does not run any more must not hold back the queue indefinitely."""


class UsedSpace(msgspec.Struct, frozen=True):
    """What our own data below some folders occupies, measured at `at`, and how much it may."""

    below: tuple[str, ...]
    used: int
    max_used: int
    at: float

    @property
    def free(self) -> int:
        return max(0, self.max_used - self.used)


class Room:
    """Reads the limits in a folder of housekeeping again when they change; without a folder there are none."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = folder / FILE if folder else None
        self._version: tuple[int, int] | None = None
        self._limits: Mapping[str, UsedSpace] = {}

    def at(self, directory: str) -> DiskSpace | None:
        """The room where `directory` is, or will be; None if it is not known."""
        space = disk_space(directory)
        if space is None or not (limits := self._read()):
            return space
        real = os.path.realpath(os.path.expanduser(directory))
        now = time.time()
        free = [
            limit.free
            for limit in limits.values()
            if abs(now - limit.at) < _VALID and any(_is_in(real, folder) for folder in limit.below)
        ]
        return space._replace(free=min(space.free, *free)) if free else space

    def _read(self) -> Mapping[str, UsedSpace]:
        if self._path is None:
            return {}
        try:
            found = os.stat(self._path)
            version = (found.st_mtime_ns, found.st_ino)
            if version != self._version:
                self._limits = decode_json(read_regular_file(self._path), type=dict[str, UsedSpace])
                self._version = version
        except (OSError, msgspec.DecodeError):
            return {}
        return self._limits


_current = Room()


def use_limits_of(folder: Path) -> None:
    """Let this process respect what clean-up jobs have stored in the folder of housekeeping."""
    global _current
    _current = Room(folder)


def room(directory: str) -> DiskSpace | None:
    """The room where `directory` is, for the group of this process."""
    return _current.at(directory)


def store_used(folder: Path, job: str, below: Sequence[Path], used: int, max_used: int) -> None:
    """Store what a clean-up job has measured; with `max_used` 0 it limits nothing. Raises StateError."""
    path = folder / FILE
    try:
        known = decode_json(read_regular_file(path), type=dict[str, UsedSpace])
    except (OSError, msgspec.DecodeError):
        known = {}
    before = dict(known)
    known.pop(job, None)
    if max_used:
        real = tuple(os.path.realpath(each) for each in below)
        known[job] = UsedSpace(real, used, max_used, time.time())
    if known != before:
        write_atomically(path, encode_json(known))


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
