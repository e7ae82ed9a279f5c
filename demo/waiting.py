"""Waiting for a condition, with a limit that a busy machine does not reach."""

import os
import time
from collections.abc import Callable


def bound(seconds: float) -> float:
    """The time limit for what takes at most `seconds` on an idle machine: longer while the machine is busy."""
    return seconds * (1.0 + os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(
    condition: Callable[[], bool], timeout: float, complaint: Callable[[], str], *, every: float = 0.05
) -> None:
    """Return as soon as `condition` holds; after `timeout` seconds raise TimeoutError with `complaint()`."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(complaint())
        time.sleep(every)
