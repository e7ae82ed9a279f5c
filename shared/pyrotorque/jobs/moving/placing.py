"""Renames that never take the place of anything."""

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True)


def rename(source: Path, final: Path) -> None:
    """Rename; FileExistsError when `final` is there, whatever it is. OSError with EXDEV over disks."""
    done = _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(final), _RENAME_NOREPLACE)
    if done == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), str(final))
    # This filesystem cannot promise it: look first.
    if os.path.lexists(final):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
    source.rename(final)
