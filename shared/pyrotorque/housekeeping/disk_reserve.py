"""Keeps a little space on a disk that a clean-up must be able to free: without any, it could not record a removal."""

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.json_input import decode_json
from pyrotorque.linux.filesystems import disk_space
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.text import encode_json

NAME: Final = "reserve"
SIZE: Final = 1 << 20
_ROOMY: Final = 64 * SIZE
_FILE: Final = "reserves.json"
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class DiskReserve:
    """One file in each quarantine folder; `folder` is private, and has which file is the own one."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE

    def release(self, quarantines: Sequence[Path]) -> None:
        """Remove the reserves of disks that are full. A file that was not made here stays: a torrent may have it."""
        known = self._known()
        for path in (quarantine / NAME for quarantine in quarantines):
            with suppress(OSError):
                found = os.lstat(path)
                is_own = stat.S_ISREG(found.st_mode) and known.get(str(path)) == (found.st_ino, found.st_mtime_ns)
                space = disk_space(str(path.parent))
                if is_own and space is not None and space.free < SIZE:
                    path.unlink()

    def make(self, quarantines: Sequence[Path]) -> None:
        """Make the missing ones where there is enough room."""
        known = dict(self._known())
        for quarantine in quarantines:
            path = quarantine / NAME
            space = disk_space(str(quarantine))
            if quarantine.is_symlink() or not quarantine.is_dir() or space is None or space.free < _ROOMY:
                continue
            with suppress(OSError):
                fd = os.open(path, _CREATE, 0o600)
                try:
                    os.posix_fallocate(fd, 0, SIZE)
                    found = os.fstat(fd)
                finally:
                    os.close(fd)
                known[str(path)] = (found.st_ino, found.st_mtime_ns)
                write_atomically(self._path, encode_json(known))

    def _known(self) -> Mapping[str, tuple[int, int]]:
        with suppress(OSError, msgspec.DecodeError):
            return decode_json(read_regular_file(self._path), type=dict[str, tuple[int, int]])
        return {}
