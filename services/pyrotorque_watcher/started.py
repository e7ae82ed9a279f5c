"""When the group was started: what is older than that, and unknown, is left alone."""

import os
import time
from pathlib import Path


def group_started() -> float:
    """When our supervisord was started, or, without one, this process; Unix seconds, rather too early than too late.

    A watcher that crashed and came back belongs to the same group: what was written meanwhile is new.
    """
    supervised = "SUPERVISOR_ENABLED" in os.environ
    return process_started(os.getppid() if supervised else os.getpid())


def process_started(pid: int) -> float:
    """When this process was started, by the kernel's clock since boot (proc(5), field 22 of stat); now when unknown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        age = 0.0
    # Times of files lag behind the clock by up to a tick of the kernel (10 ms at most).
    return time.time() - age - 0.01


def written(path: Path) -> float:
    """When `path` was written, in Unix seconds; 0 when it is not there."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
