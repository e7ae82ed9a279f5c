"""Waiting in tests: for a condition, with a bound, and nowhere else."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

# For a machine that is busy with other tests; a wait ends as soon as its condition holds.
_TIMEOUT: Final = 20.0


def attempt(predicate: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """The value of a predicate, or what it raised.

    While something starts, what a predicate reads is not there yet: an exception means "not yet", except a NameError.
    """
    try:
        return predicate(), None
    except NameError:
        raise
    except Exception as error:
        return None, error


def eventually(predicate: Callable[[], T], timeout: float = _TIMEOUT, *, interval: float = 0.005, why: str = "") -> T:
    """The first true value of `predicate`; AssertionError with its last value or exception after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value, error = attempt(predicate)
        if value:
            return value
        if time.monotonic() > end:
            last = f"last value: {value!r}" if error is None else f"last exception: {error!r}"
            raise AssertionError(f"not within {timeout} s{': ' if why else ''}{why} ({last})") from error
        time.sleep(min(interval, 0.01))


def bound(seconds: float) -> float:
    """The time limit for what must be done within `seconds` on an idle machine: longer while the machine is busy."""
    return seconds * (1.0 + os.getloadavg()[0] / (os.cpu_count() or 1))


def remove_tree(folder: Path) -> None:
    """Remove a folder in which running processes may create files meanwhile."""

    def removed() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    eventually(removed)
