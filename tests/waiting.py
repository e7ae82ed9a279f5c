"""Waiting in tests: for a condition, with a bound, and nowhere else."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from demo.waiting import bound

__all__ = ["attempt", "bound", "eventually", "remove_tree"]

T = TypeVar("T")

# On an idle machine; a wait ends as soon as its condition holds.
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
    """The first true value of `predicate`; AssertionError with its last value or exception after `timeout` seconds.

    While the machine is busy the wait is longer, as `bound` says at each try: the load may rise after its begin.
    """
    begun = time.monotonic()
    while True:
        value, error = attempt(predicate)
        if value:
            return value
        if (waited := time.monotonic() - begun) > bound(timeout):
            last = f"last value: {value!r}" if error is None else f"last exception: {error!r}"
            raise AssertionError(f"not within {waited:.1f} s{': ' if why else ''}{why} ({last})") from error
        time.sleep(min(interval, 0.01))


def remove_tree(folder: Path) -> None:
    """Remove a folder in which running processes may create files meanwhile."""

    def removed() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    eventually(removed)
