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
_PAUSE: Final = 0.05  # seconds
_PAUSE_AFTER_COMMAND: Final = 0.25


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


def eventually(
    predicate: Callable[[], T], timeout: float = _TIMEOUT, *, interval: float | None = None, why: str = ""
) -> T:
    """The first true value of `predicate`; AssertionError with its last value or exception after `timeout` seconds.

    While the machine is busy the wait is longer, as `bound` says at each try: the load may rise after its begin.
    Without `interval`, the pause between two tries grows with the wait, and with what a try costs, such as a command:
    the processes that are awaited need the processor.
    """
    begun = time.monotonic()
    while True:
        tried = time.monotonic()
        value, error = attempt(predicate)
        if value:
            return value
        if (waited := time.monotonic() - begun) > bound(timeout):
            last = f"last value: {value!r}" if error is None else f"last exception: {error!r}"
            raise AssertionError(f"not within {waited:.1f} s{': ' if why else ''}{why} ({last})") from error
        time.sleep(_pause(waited, time.monotonic() - tried) if interval is None else interval)


def _pause(waited: float, cost: float) -> float:
    return max(0.005, min(waited / 20, _PAUSE), min(cost, _PAUSE_AFTER_COMMAND))


def remove_tree(folder: Path) -> None:
    """Remove a folder in which running processes may create files meanwhile."""

    def removed() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    eventually(removed)
