"""Writes a job's lines to the scheduler's log, under the job's name and rate-limited."""

from typing import Final

from pyrotorque.logs import job_logger
from pyrotorque.workers.messages import TEXT_MAX
from pyrotorque_scheduler.due_jobs import TokenBucket

_BURST: Final = 200.0
_PER_SECOND: Final = 10.0


class JobLog:
    """A burst of 200 lines, then ten per second; the number of dropped lines is logged at the end of the run."""

    def __init__(self, job: str) -> None:
        self._log = job_logger(job)
        self._bucket = TokenBucket(_BURST, _PER_SECOND)
        self._dropped = 0

    def write(self, level: int, text: str, now: float) -> None:
        """Log each line of `text`."""
        for line in text[:TEXT_MAX].splitlines():
            if self._bucket.wait(now) > 0:
                self._dropped += 1
                continue
            self._bucket.take(now)
            self._log.log(level, "%s", line)

    def count_dropped(self, lines: int) -> None:
        self._dropped += lines

    def end_run(self) -> None:
        """Log how many lines of this run were dropped."""
        if self._dropped:
            self._log.warning("dropped %d lines: more than %d lines per second", self._dropped, _PER_SECOND)
            self._dropped = 0
