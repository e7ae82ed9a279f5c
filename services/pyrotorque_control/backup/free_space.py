"""Refuses what would fill a disk, before anything is written."""

from pathlib import Path
from typing import Final

from pyrotorque.humanize import size
from pyrotorque.linux.filesystems import disk_space
from pyrotorque.text import printable
from pyrotorque_control.exit_codes import EX_IOERR
from pyrotorque_control.group import CommandError

# For everything else that writes to this disk meanwhile.
_RESERVE: Final = 64 << 20


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raises CommandError if `needed` bytes would not leave a reserve in `folder`."""
    space = disk_space(str(folder.absolute()))
    if space is not None and needed + _RESERVE > space.free:
        raise CommandError(
            f"not enough free space in {printable(str(folder))}: {what} needs {size(needed)}, "
            f"and {size(space.free)} are free",
            EX_IOERR,
        )
