"""Writes a job's lines to the scheduler's log, under the job's name and rate-limited."""

from typing import Final

from pyrotorque.limits import LOG_BURST_BYTES, LOG_BYTES_PER_SECOND
from pyrotorque.logs import job_logger
from pyrotorque.workers.messages import TEXT_MAX
from pyrotorque_scheduler.due_jobs import TokenBucket

_BURST: Final = 200.0
_PER_SECOND: Final = 10.0


class JobLog:
    """A burst of 200 lines (256 KiB), then ten per second (16 KiB); the end of the run logs how many were dropped."""

    def __init__(self, job: str) -> None:
        self._log = job_logger(job)
        self._bucket = TokenBucket(_BURST, _PER_SECOND)
        self._bytes = TokenBucket(LOG_BURST_BYTES, LOG_BYTES_PER_SECOND)
        self._dropped = 0

    def write(self, level: int, text: str, now: float) -> None:
        """Log each line of `text`."""
        for line in text[:TEXT_MAX].splitlines():
            if self._bucket.wait(now) > 0 or self._bytes.wait(now) > 0:
                self._dropped += 1
                continue
            self._bucket.take(now)
            self._bytes.take(now, len(line.encode("utf-8", "replace")))
            self._log.log(level, "%s", line)

    def count_dropped(self, lines: int) -> None:
        self._dropped += lines

    def end_run(self) -> None:
        """Log how many lines of this run were dropped."""
        if self._dropped:
            self._log.warning(
                "dropped %d lines: more than %d lines or %d KiB per second",
                self._dropped,
                _PER_SECOND,
                LOG_BYTES_PER_SECOND >> 10,
            )
            self._dropped = 0
