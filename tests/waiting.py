"""Waiting in tests: for a condition, with a bound, and nowhere else."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(predicate: Callable[[], T], timeout: float = 5.0, *, interval: float = 0.005, why: str = "") -> T:
    """The first true value of `predicate`; AssertionError with its last value after `timeout` seconds."""
    end = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s{': ' if why else ''}{why} (last value: {value!r})")
        time.sleep(min(interval, 0.01))
    return value
