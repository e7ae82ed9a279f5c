"""The mark of a quarantine: whatever its name and whichever group made it, its files belong to no item and no tree."""

import os
from contextlib import suppress
from typing import Final

NAME: Final = b"README"
TEXT: Final = b"Data of removed items. Use `pyrotorque quarantine list`, `restore` and `purge`.\n"
_BEGINNING: Final = b"Data of removed items. Use `pyrotorque quarantine "


def is_quarantine(folder: bytes) -> bool:
    """Whether `folder` has the mark of a quarantine; False if it cannot be read."""
    with suppress(OSError):
        mark = os.open(os.path.join(folder, NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(mark, len(_BEGINNING)) == _BEGINNING
        finally:
            os.close(mark)
    return False


def is_in_quarantine(path: bytes, root: bytes) -> bool:
    """Whether a folder between `root` and `path`, both included, has the mark. `path` is `root` or below it."""
    folder = path
    while not is_quarantine(folder):
        if len(folder) <= len(root) or folder == os.path.dirname(folder):
            return False
        folder = os.path.dirname(folder)
    return True
