"""The numbers of the scheduler: what exporter and dashboards know as the groups queue and jobs."""

from typing import Final, get_args

from pyrotorque.events import StartFailure
from pyrotorque.settings.schema import QueueSettings
from pyrotorque.totals import Totals

SKIPS: Final = (
    "intermission",
    "no_slot",
    "nothing_startable",
    "traffic",
    "paused",
    "rpc",
    "pace",
    "hours",
    "disk",
    "failed_before",
)
_WAITS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 604800.0)
_DURATIONS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
_JOB: Final = ("job_name",)


class SchedulerMetrics:
    """All totals of the scheduler, by the name of the job."""

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        gauge, counter, q, j = totals.gauge, totals.counter, "pyrotorque_queue_", "pyrotorque_job_"
        self.startable = gauge(f"{q}startable_items", "Items that match startable, when last asked.", _JOB)
        self.downloading = gauge(f"{q}downloading_items", "Items that take a slot, when last asked.", _JOB)
        self.slots = gauge(f"{q}slots", "downloading_max.", _JOB)
        self.slots_min = gauge(f"{q}slots_min", "downloading_min.", _JOB)
        self.intermission = gauge(f"{q}intermission_seconds", "Least time between two batches.", _JOB)
        self.intermission_end = gauge(f"{q}intermission_end_timestamp_seconds", "Last start plus intermission.", _JOB)
        self.last_start = gauge(f"{q}last_start_timestamp_seconds", "When an item was started last.", _JOB)
        self.last_run = gauge(f"{q}last_run_timestamp_seconds", "When the queue looked last.", _JOB)
        self.oldest = gauge(f"{q}oldest_startable_timestamp_seconds", "Load time of the oldest startable item.", _JOB)
        self.starts = counter(f"{q}starts_total", "Items started.", _JOB)
        self.start_failures = counter(f"{q}start_failures_total", "Items that did not start.", (*_JOB, "reason"))
        self.skips = counter(f"{q}skips_total", "Checks that started nothing.", (*_JOB, "reason"))
        self.checks = counter(f"{q}checks_total", "Checks, by what called for them.", (*_JOB, "cause"))
        self.wait = totals.histogram(f"{q}wait_seconds", "From load to start.", _WAITS, _JOB)
        self.runs = counter(f"{j}runs_total", "Finished runs, ok or not.", _JOB)
        self.failures = counter(f"{j}failures_total", "Runs that failed.", _JOB)
        self.missed = counter(f"{j}missed_total", "Runs that could not begin in time.", _JOB)
        self.skipped = counter(f"{j}skipped_total", "Runs left out because the one before still ran.", _JOB)
        self.duration = totals.histogram(f"{j}duration_seconds", "Wall time of a run.", _DURATIONS, _JOB)
        self.running = gauge(f"{j}running", "1 while a run goes on.", _JOB)
        self.enabled = gauge(f"{j}enabled", "1 where the job is active and not paused.", _JOB)
        self.last_end = gauge(f"{j}last_run_timestamp_seconds", "End of the last run.", _JOB)
        self.last_success = gauge(f"{j}last_success_timestamp_seconds", "End of the last run that did not fail.", _JOB)
        self.next_run = gauge(f"{j}next_run_timestamp_seconds", "Next time of the schedule.", _JOB)
        self.interval = gauge(f"{j}schedule_interval_seconds", "Largest gap of the schedule.", _JOB)

    def introduce_queue(self, settings: QueueSettings) -> None:
        """Show everything that is known of a queue job before it has run."""
        name = settings.name
        self.slots.set(settings.downloading_max, name)
        self.slots_min.set(settings.downloading_min, name)
        self.intermission.set(settings.intermission, name)
        self.starts.inc(name, by=0)
        for reason in get_args(StartFailure):
            self.start_failures.inc(name, reason, by=0)
        for reason in SKIPS:
            self.skips.inc(name, reason, by=0)

    def introduce_job(self, name: str, enabled: bool, interval: float) -> None:
        """Show everything that is known of any job before it has run."""
        self.enabled.set(float(enabled), name)
        self.running.set(0, name)
        if interval < float("inf"):
            self.interval.set(interval, name)
        for counter in (self.runs, self.failures, self.missed, self.skipped):
            counter.inc(name, by=0)

    def started(self, job: str, at: float, waited: float | None) -> None:
        self.starts.inc(job)
        self.last_start.set(at, job)
        if waited is not None:
            self.wait.observe(waited, job)

    def finished(self, job: str, at: float, seconds: float, failed: bool) -> None:
        """A run ended."""
        self.running.set(0, job)
        self.runs.inc(job)
        self.duration.observe(seconds, job)
        self.last_end.set(at, job)
        if failed:
            self.failures.inc(job)
        else:
            self.last_success.set(at, job)
