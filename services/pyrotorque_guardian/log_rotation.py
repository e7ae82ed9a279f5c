"""Rotates the logs that supervisord and the services both append to: supervisord's own rotation would lose lines.

(After its first rotation supervisord 4.3 keeps the file open without O_APPEND. Where it does not rotate, it appends.)
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pyrotorque.linux.foreign_links import foreign_link

SHARED_MAX = 4 << 20
SHARED_BACKUPS = 2


def rotate(paths: Sequence[Path], *, maximum: int = SHARED_MAX, backups: int = SHARED_BACKUPS) -> bool:
    """Rename the files larger than `maximum`, keeping `backups` of each; True if their writers must reopen them."""
    rotated = [path for path in paths if _rotate_one(path, maximum, backups)]
    return bool(rotated)


def _rotate_one(path: Path, maximum: int, backups: int) -> bool:
    if foreign_link(path):
        return False
    try:
        if path.stat().st_size <= maximum:
            return False
        for number in range(backups - 1, 0, -1):
            with suppress(FileNotFoundError):
                _numbered(path, number).rename(_numbered(path, number + 1))
        path.rename(_numbered(path, 1))
    except OSError:
        return False
    return True


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
