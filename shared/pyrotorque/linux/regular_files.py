"""Reads files that anything may have replaced: a pipe, a device or an endless file stops no reader."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

SIZE_MAX: Final = 16 << 20
RECORDS_MAX: Final = 256 << 20
"""Of files with a record for each file of an item, which may have a hundred thousand."""


def read_regular_file(path: bytes | str | Path, *, limit: int = SIZE_MAX, devices: bool = False) -> bytes:
    """The content of a file below `run/` or `state/`; with `devices`, also that of one such as /dev/null.

    OSError where the name denotes a pipe, a socket, a folder or another device, or more than `limit` bytes.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fsdecode(path))
        if not (stat.S_ISREG(mode) or (devices and stat.S_ISCHR(mode))):
            raise OSError(errno.EINVAL, "it is no file", os.fsdecode(path))
        with open(fd, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(fd)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit >> 20} MiB", os.fsdecode(path))
    return content
