"""Lock files with one holder, named by its pid in the error; the kernel releases the lock when the process ends."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from pyrotorque.errors import AlreadyRunning
from pyrotorque.text import printable

_WITHIN = 1.5
"""Seconds: the previous holder may still be exiting, as after a kill of supervisord."""


def hold(path: Path, refusal: str, advice: str) -> int:
    """The descriptor that holds the lock on `path` until it is closed.

    Raises AlreadyRunning, which names the holder between `refusal` and `advice`, or OSError without a usable file.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(fd):
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
            raise AlreadyRunning(f"{refusal} (pid {printable(holder)} holds {printable(str(path))})", hint=advice)
        # On a full disk the pid is missing; the lock holds nevertheless.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _locked(fd: int) -> bool:
    deadline = time.monotonic() + _WITHIN
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True
