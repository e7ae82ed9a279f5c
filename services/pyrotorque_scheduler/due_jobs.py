"""When each job is to run and why: ticks and hints at once, but a burst of thousands causes a handful of runs."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Cause: TypeAlias = Literal["tick", "event", "request"]

_CAPACITY: Final = 3.0
_REFILL: Final = 1.0
NEVER: Final = float("inf")


class TokenBucket:
    """Runs that hints may cause: a few at once, then one a second."""

    def __init__(self, capacity: float = _CAPACITY, refill: float = _REFILL) -> None:
        self._capacity = capacity
        self._refill = refill
        self._level = capacity
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until one may be caused; 0 means now."""
        self._fill(now)
        return max(0.0, (1.0 - self._level) / self._refill)

    def take(self, now: float) -> None:
        self._fill(now)
        self._level -= 1.0

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._level = min(self._capacity, self._level + (now - self._at) * self._refill)
        self._at = now


@dataclass
class _Entry:
    ticked: bool = False
    hinted: bool = False
    again: float = NEVER
    by_hint: bool = False
    bucket: TokenBucket = field(default_factory=TokenBucket)


class DueJobs:
    """Causes by the names of jobs; all times are CLOCK_MONOTONIC seconds."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def tick(self, name: str) -> None:
        """The schedule says: now."""
        self._entry(name).ticked = True

    def hint(self, name: str) -> None:
        """Something happened that may matter to this job."""
        self._entry(name).hinted = True

    def again(self, name: str, at: float) -> None:
        """Look again then, without being told; forgotten when the job runs before."""
        entry = self._entry(name)
        entry.again = min(entry.again, at)

    def due(self, now: float) -> list[tuple[str, Cause]]:
        """What is to be done now; it is off the agenda with this."""
        due: list[tuple[str, Cause]] = []
        for name, entry in self._entries.items():
            entry.by_hint = not entry.ticked and entry.again > now
            if entry.by_hint and not (entry.hinted and entry.bucket.wait(now) <= 0):
                continue
            due.append((name, "tick" if entry.ticked else "event"))
            entry.ticked = entry.hinted = False
            entry.again = NEVER
        return due

    def was_dear(self, name: str, now: float) -> None:
        """The run that was due had to ask rTorrent: hints may not cause many of those."""
        entry = self._entry(name)
        if entry.by_hint:
            entry.bucket.take(now)

    def wait(self, now: float) -> float:
        """Seconds until something is due if nothing happens before."""
        waits = [self._wait(entry, now) for entry in self._entries.values()]
        return max(0.0, min(waits, default=NEVER))

    def _wait(self, entry: _Entry, now: float) -> float:
        if entry.ticked:
            return 0.0
        hinted = entry.bucket.wait(now) if entry.hinted else NEVER
        return min(hinted, entry.again - now)

    def _entry(self, name: str) -> _Entry:
        return self._entries.setdefault(name, _Entry())
