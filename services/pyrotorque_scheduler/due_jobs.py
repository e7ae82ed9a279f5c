"""Which jobs are due and why: ticks run a job at once, hints at a limited rate, so that a burst causes few runs."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Cause: TypeAlias = Literal["tick", "event", "request"]

_CAPACITY: Final = 3.0
_PER_SECOND: Final = 1.0
NEVER: Final = float("inf")


class TokenBucket:
    """A rate limit: up to `capacity` at once, then `per_second`; times are CLOCK_MONOTONIC seconds."""

    def __init__(self, capacity: float = _CAPACITY, per_second: float = _PER_SECOND) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._level = capacity
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until the next token; 0 if there is one."""
        self._fill(now)
        return max(0.0, (1.0 - self._level) / self._per_second)

    def take(self, now: float, tokens: float = 1.0) -> None:
        self._fill(now)
        self._level -= tokens

    def _fill(self, now: float) -> None:
        if self._at is not None:
            self._level = min(self._capacity, self._level + (now - self._at) * self._per_second)
        self._at = now


@dataclass
class _PendingRun:
    ticked: bool = False
    hinted: bool = False
    recheck_at: float = NEVER
    by_hint: bool = False
    bucket: TokenBucket = field(default_factory=TokenBucket)


class DueJobs:
    """Pending runs by job; all times are CLOCK_MONOTONIC seconds."""

    def __init__(self) -> None:
        self._pending: dict[str, _PendingRun] = {}

    def tick(self, name: str) -> None:
        """The job's schedule fired."""
        self._job(name).ticked = True

    def hint(self, name: str) -> None:
        """An event may have given the job something to do."""
        self._job(name).hinted = True

    def recheck(self, name: str, at: float) -> None:
        """Run the job at this time without a hint, unless it runs before."""
        pending = self._job(name)
        pending.recheck_at = min(pending.recheck_at, at)

    def due(self, now: float) -> list[tuple[str, Cause]]:
        """The jobs to run now; they are no longer pending after this."""
        due: list[tuple[str, Cause]] = []
        for name, pending in self._pending.items():
            pending.by_hint = not pending.ticked and pending.recheck_at > now
            if pending.by_hint and not (pending.hinted and pending.bucket.wait(now) <= 0):
                continue
            due.append((name, "tick" if pending.ticked else "event"))
            pending.ticked = pending.hinted = False
            pending.recheck_at = NEVER
        return due

    def charge(self, name: str, now: float) -> None:
        """The run called rTorrent: if a hint caused it, it counts against the rate of hints."""
        pending = self._job(name)
        if pending.by_hint:
            pending.bucket.take(now)

    def wait(self, now: float) -> float:
        """Seconds until a job is due if no event arrives before."""
        waits = [self._wait(pending, now) for pending in self._pending.values()]
        return max(0.0, min(waits, default=NEVER))

    def _wait(self, pending: _PendingRun, now: float) -> float:
        if pending.ticked:
            return 0.0
        hinted = pending.bucket.wait(now) if pending.hinted else NEVER
        return min(hinted, pending.recheck_at - now)

    def _job(self, name: str) -> _PendingRun:
        return self._pending.setdefault(name, _PendingRun())
