"""A job's lines in the scheduler's log: under its name, and never so many that they drown the others."""

from typing import Final

from pyrotorque.logs import job_logger
from pyrotorque.workers.messages import TEXT_MAX
from pyrotorque_scheduler.due_jobs import TokenBucket

_AT_ONCE: Final = 200.0
_PER_SECOND: Final = 10.0


class Lines:
    """Two hundred lines at once, ten a second for ever; how many were left out is said when there is room again."""

    def __init__(self, job: str) -> None:
        self._log = job_logger(job)
        self._bucket = TokenBucket(_AT_ONCE, _PER_SECOND)
        self._left_out = 0

    def say(self, level: int, text: str, now: float) -> None:
        """Log one line; several become several."""
        for line in text[:TEXT_MAX].splitlines():
            if self._bucket.wait(now) > 0:
                self._left_out += 1
                continue
            self._bucket.take(now)
            self._log.log(level, "%s", line)

    def leave_out(self, count: int) -> None:
        self._left_out += count

    def end(self) -> None:
        """The run is over: say what was left out of its lines."""
        if self._left_out:
            self._log.warning("%d lines were left out: it said too many at once", self._left_out)
            self._left_out = 0
