"""Databases that processes still write although their names were removed: proc(5), /proc/PID/fd."""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.linux.processes import PROC, session_members

_DELETED: Final = " (deleted)"
_LOG: Final = "-wal"
"""What SQLite appends to the name of a database for its write-ahead log, which stays where a database was moved."""


def unnamed_databases(paths: Collection[Path], process: int) -> set[Path]:
    """Those of `paths` that were removed or moved while a process in the session of `process` (pid) has them open."""
    wanted: dict[str, Path] = {}
    for path in paths:
        real = os.path.realpath(path)
        wanted |= dict.fromkeys((f"{real}{_DELETED}", f"{real}{_LOG}", f"{real}{_LOG}{_DELETED}"), path)
    found: set[Path] = set()
    with suppress(OSError):
        for pid in session_members(os.getsid(process)) if wanted else ():
            found |= {wanted[target] for target in _open_files(pid) if target in wanted}
    return found


def _open_files(pid: int) -> set[str]:
    targets: set[str] = set()
    with suppress(OSError):
        for entry in os.scandir(PROC / str(pid) / "fd"):
            with suppress(OSError):
                targets.add(os.readlink(entry.path))
    return targets
