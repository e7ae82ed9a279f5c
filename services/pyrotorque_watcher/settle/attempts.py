"""When to try again what had to wait: after pauses that double."""

from dataclasses import dataclass
from typing import Final

_FIRST_PAUSE: Final = 1.0  # seconds
_LONGEST_PAUSE: Final = 300.0


@dataclass(slots=True)
class _Attempt:
    at: float
    """Unix time."""
    pause: float
    """The seconds before it."""


class Attempts:
    """The next attempt of each thing that waits, by its number."""

    def __init__(self) -> None:
        self._next: dict[int, _Attempt] = {}

    def __len__(self) -> int:
        return len(self._next)

    def due(self) -> float | None:
        """When (Unix time) the first attempt is due; None if nothing waits."""
        return min((attempt.at for attempt in self._next.values()), default=None)

    def is_due(self, number: int, now: float) -> bool:
        return number not in self._next or self._next[number].at <= now

    def all_now(self) -> None:
        """Whatever waits is due now."""
        for attempt in self._next.values():
            attempt.at = 0.0

    def wait(self, number: int, now: float) -> bool:
        """Set the time of the next attempt; whether it waited before."""
        last = self._next.get(number)
        pause = _FIRST_PAUSE if last is None else min(_LONGEST_PAUSE, last.pause * 2)
        self._next[number] = _Attempt(now + pause, pause)
        return last is not None

    def end(self, number: int) -> None:
        self._next.pop(number, None)

    def keep_only(self, numbers: set[int]) -> None:
        """The others need no attempt any more."""
        self._next = {number: attempt for number, attempt in self._next.items() if number in numbers}
