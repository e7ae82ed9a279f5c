"""Whether the state folder is still that of the running group: its disk may be unmounted, or have another one over it.

A service that began there would begin with nothing: metafiles whose items were erased would be loaded again.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.errors import StateError
from pyrotorque.group_lock import read_identity
from pyrotorque.layout import Layout
from pyrotorque.linux.filesystems import mount_of, read_mounts
from pyrotorque.linux.missing import is_missing
from pyrotorque.linux.processes import PROC, running_process
from pyrotorque.text import printable

_LOCK_FD: Final = 3
"""In supervisord, which holds the group's lock: it keeps the disk known that the group was started with."""


def state_problem(layout: Layout, supervisord: int) -> str:
    """Why the state folder is not that of the group of this supervisord (pid); empty if it is, or if that is unknown.

    A lock file that names supervisord proves it on any disk: a disk may come back with another number. Without one,
    the folder was swept if it is on the disk of the lock that supervisord holds.
    """
    named = read_identity(layout.group_lock)
    if named is not None and named.process == running_process(supervisord):
        return ""
    lock = _held_lock(supervisord)
    folder = _nearest(layout.state_dir)
    if lock is None or folder is None:
        return ""
    device, mount = lock
    with suppress(OSError):
        if folder.stat().st_dev == device or _mount_number(folder) == mount:
            return ""
        return (
            f"the state folder {printable(str(layout.state_dir))} is not that of the running group: its disk is not "
            "mounted any more, or another one is mounted there: mount it again; to begin with what is there now, "
            "`pyrotorque --stop` and start the group"
        )
    return ""


def service_state_problem(layout: Layout) -> str:
    """In a service: `state_problem` of its group; empty in a process that supervisord has not started."""
    return state_problem(layout, os.getppid()) if "SUPERVISOR_ENABLED" in os.environ else ""


def require_group_state(layout: Layout) -> None:
    """In a service: raise StateError if the state folder is not that of its group."""
    if problem := service_state_problem(layout):
        raise StateError(problem)


def _held_lock(supervisord: int) -> tuple[int, int] | None:
    """Device and mount of the lock that this supervisord holds; None if it holds none, as one that 1.0.0 started."""
    entry = PROC / str(supervisord) / "fd" / str(_LOCK_FD)
    try:
        name = os.readlink(entry).removesuffix(" (deleted)")
        if os.path.basename(name) != "group.lock":
            return None
        facts = (PROC / str(supervisord) / "fdinfo" / str(_LOCK_FD)).read_text().split()
        return entry.stat().st_dev, int(facts[facts.index("mnt_id:") + 1])
    except (OSError, ValueError, IndexError):
        return None


def _nearest(folder: Path) -> Path | None:
    """The folder, or the one in which it would be created; None if that is unknown now."""
    return next((path for path in (folder, *folder.parents) if not is_missing(path)), None)


def _mount_number(folder: Path) -> int | None:
    mount = mount_of(os.fsencode(os.path.realpath(folder)), read_mounts())
    return mount.number if mount else None
