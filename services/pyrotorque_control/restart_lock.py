"""Restarts of one group happen one after another: a second one would end the supervisord that is just starting."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pyrotorque.text import printable
from pyrotorque_control.exit_codes import EX_TEMPFAIL
from pyrotorque_control.group import CommandError

_WITHIN: Final = 90.0  # seconds; a restart waits at most 30 s for services to end, and 30 s for their answers
_POLL_INTERVAL: Final = 0.1  # seconds


@contextmanager
def restart_lock(config_dir: Path, *, within: float = _WITHIN) -> Generator[None]:
    """Hold the lock of this group's restarts; the kernel releases it when the process ends.

    Raises CommandError when another restart has not ended `within` so many seconds. Filesystems that cannot lock a
    folder have no lock.
    """
    fd = _opened(config_dir)
    try:
        deadline = time.monotonic() + within
        while fd is not None and _is_held_by_another(fd):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"another command restarts the group in {printable(str(config_dir))} and has not ended",
                    EX_TEMPFAIL,
                    hint="try again when it has (see `pyrotorque status`)",
                )
            time.sleep(_POLL_INTERVAL)
        yield
    finally:
        if fd is not None:
            os.close(fd)


def _opened(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None  # what comes next reports it


def _is_held_by_another(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
