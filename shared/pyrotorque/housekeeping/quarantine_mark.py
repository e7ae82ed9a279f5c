"""The mark of a quarantine: whatever its name and whichever group made it, its files belong to no item and no tree."""

import os
import stat
from contextlib import suppress
from typing import Final

NAME: Final = b"README"
TEXT: Final = b"Data of removed items. Use `pyrotorque quarantine list`, `restore` and `purge`.\n"
_BEGINNING: Final = b"Data of removed items. Use `pyrotorque quarantine "


def is_quarantine(folder: bytes) -> bool:
    """Whether `folder` has the mark of a quarantine; False if it cannot be read.

    Other users must not have access to the mark: what rTorrent stores is readable for them, unless its umask is 077.
    """
    with suppress(OSError):
        mark = os.open(os.path.join(folder, NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            is_private = not os.fstat(mark).st_mode & 0o077
            return is_private and os.read(mark, len(_BEGINNING)) == _BEGINNING
        finally:
            os.close(mark)
    return False


def is_unfinished(path: bytes) -> bool:
    """Whether the file is the beginning of a mark, as a full disk or a kill leaves it; False if it cannot be read."""
    with suppress(OSError):
        mark = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(mark)
            is_own = stat.S_ISREG(found.st_mode) and not found.st_mode & 0o077 and found.st_size < len(TEXT)
            return is_own and TEXT.startswith(os.read(mark, len(TEXT)))
        finally:
            os.close(mark)
    return False


def is_in_quarantine(path: bytes, root: bytes) -> bool:
    """Whether `path`, which is below `root`, or a folder between them has the mark. The owner chose `root` itself."""
    folder = path
    while len(folder) > len(root):
        if is_quarantine(folder):
            return True
        folder = os.path.dirname(folder)
    return False
