"""When the group was started: what is older than that, and unknown, is left alone."""

import os
import time
from pathlib import Path

from pyrotorque.linux.processes import process_stat


def group_started() -> float:
    """When our supervisord was started, or, without one, this process; Unix seconds, rather too early than too late.

    A watcher that crashed and came back belongs to the same group: what was written meanwhile is new.
    """
    supervised = "SUPERVISOR_ENABLED" in os.environ
    found = process_stat(os.getppid() if supervised else os.getpid())
    # File times lag behind the clock by up to one kernel tick (10 ms).
    return (found.started if found else time.time()) - 0.01


def written(path: Path) -> float:
    """When `path` was written, in Unix seconds; 0 when it is not there."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
