"""Files that processes still write although their names were removed: proc(5), /proc/PID/fd."""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.linux.processes import PROC, session_members

_DELETED: Final = " (deleted)"


def unnamed_files(paths: Collection[Path], process: int) -> set[Path]:
    """Those of `paths` that were removed while a process in the session of `process` (pid) has them open."""
    wanted = {f"{os.path.realpath(path)}{_DELETED}": path for path in paths}
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
