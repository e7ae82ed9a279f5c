"""Opens a file once, finds out whether a program may still write to it, and returns what that descriptor reads."""

import fcntl
import os
import signal
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pyrotorque.linux.filesystems import filesystem_type, is_watchable, read_mounts
from pyrotorque.metafile import MAX_SIZE
from pyrotorque_watcher.rows import FoundFile
from pyrotorque_watcher.scan.files import found_file, inspect

_FRESH: Final = 5.0  # seconds that a filesystem's type is kept: its device number may then belong to another


class Writers(Enum):
    """Whether a program has the file open for writing (also one that only has it mapped)."""

    NONE = "the kernel granted a lease, which it does only while no program has the file open for writing"
    OPEN = "a program has it open for writing"
    UNKNOWN = "it belongs to another user, or other hosts may write to it"


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """One regular file: its identity, its content, and its writers at the time it was read."""

    found: FoundFile
    writers: Writers
    stat: os.stat_result
    data: bytes
    """Empty if the file is larger than a metafile may be."""
    changed: bool = False
    """Whether it was written or replaced while it was read."""


@dataclass
class FileReader:
    """Reads files; keeps which filesystems are local."""

    _local: dict[int, tuple[float, bool]] = field(default_factory=dict[int, tuple[float, bool]])

    def read(self, path: bytes) -> OpenedFile | None:
        """The regular file at `path` (a link to one counts); None if there is none. Raises OSError."""
        if inspect(path) is None:
            return None  # not opened: to open a device may have effects
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return self._read(path, fd)
        finally:
            os.close(fd)

    def _read(self, path: bytes, fd: int) -> OpenedFile | None:
        with read_lease(fd) as writers:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                return None
            if writers is Writers.NONE and not self._is_local(path, before.st_dev):
                writers = Writers.UNKNOWN
            found = found_file(path, before)
            if writers is Writers.OPEN or before.st_size > MAX_SIZE:
                return OpenedFile(found, writers, before, b"")
            data = _content(fd, before.st_size)
            if writers is Writers.NONE and fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK:
                writers = Writers.OPEN  # a program waits for the lease to be released, or opened the file after that
            changed = len(data) != before.st_size or found_file(path, os.fstat(fd)) != found
        return OpenedFile(found, writers, before, data, changed)

    def _is_local(self, path: bytes, device: int) -> bool:
        """Whether only programs on this host write to the filesystem, each known to this kernel."""
        now = time.monotonic()
        kept = self._local.get(device)
        if kept is None or now - kept[0] > _FRESH:
            kind = filesystem_type(os.path.realpath(path), read_mounts())
            kept = self._local[device] = (now, bool(kind) and is_watchable(kind))
        return kept[1]


@contextmanager
def read_lease(fd: int) -> Generator[Writers]:
    """Hold a read lease meanwhile, if the kernel grants it: until then, programs that open the file to write wait."""
    try:
        # Breaking a lease sends SIGIO, which would end this process. SIGURG is ignored unless it has a handler.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        yield Writers.OPEN
        return
    except OSError:
        yield Writers.UNKNOWN
        return
    try:
        yield Writers.NONE
    finally:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _content(fd: int, size: int) -> bytes:
    """All bytes, at most one more than `size`."""
    parts: list[bytes] = []
    left = size + 1
    while left > 0 and (part := os.read(fd, left)):
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
