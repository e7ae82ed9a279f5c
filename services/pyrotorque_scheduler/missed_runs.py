"""Logs and counts the runs that could not begin in time, with the cause if it is known."""

import logging

from pyrotorque.local_time import local_text
from pyrotorque.service.clock_step import ClockChange
from pyrotorque_scheduler.fire_times import FiredJobs
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.state import JobStates

log = logging.getLogger(__name__)


class MissedRuns:
    """`ended` is when the service before this one ended (Unix time), if it left fire times behind."""

    def __init__(self, job_states: JobStates, metrics: SchedulerMetrics, ended: float | None) -> None:
        self._job_states = job_states
        self._metrics = metrics
        self._ended = ended

    def report(self, fired: FiredJobs, changed: ClockChange) -> None:
        """Report those of one look at the fire times; `changed` is what the clock did since the last one."""
        ended, self._ended = self._ended, None
        missed = [
            f"{name} ({local_text(at, '%Y-%m-%d %H:%M:%S')})"
            for name, at in zip(fired.missed, fired.missed_at, strict=True)
            if not self._job_states.is_paused(name)
        ]
        for name in fired.missed if ended is None else ():
            self._metrics.missed.inc(name)
        if not missed:
            return
        if ended is not None:
            cause = f"the scheduler did not run since {local_text(ended, '%Y-%m-%d %H:%M:%S')}"
            log.info("missed runs: %s: %s", ", ".join(missed), cause)
        else:
            log.warning("missed runs: %s: %s", ", ".join(missed), changed or "the scheduler was not executed in time")
