"""The metrics of the scheduler: the groups `queue` and `jobs` of the exporter."""

from typing import Final, get_args

from pyrotorque.events import (
    OrphansMoved,
    QuarantinePurged,
    RemovedData,
    StartFailure,
    TorrentMoved,
    TorrentRemoved,
    TorrentRestored,
    UniqueEvent,
)
from pyrotorque.settings.schema import QueueSettings
from pyrotorque.totals import Totals
from pyrotorque_scheduler.queue.model import Reason

# Why a check started nothing: every reason of a hold but the end of a batch, or a failed call to rTorrent.
SKIPS: Final = (*(reason for reason in get_args(Reason) if reason != "batch_full"), "rpc")
_WAITS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 604800.0)
_DURATIONS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
_JOB: Final = ("job_name",)


class SchedulerMetrics:
    """All metrics of the scheduler, labelled with the job's name."""

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self.startable = totals.gauge(
            "pyrotorque_queue_startable_items",
            "Items that wait in the queue: stopped, and matching `startable` when they were last read.",
            _JOB,
        )
        self.downloading = totals.gauge(
            "pyrotorque_queue_downloading_items",
            "Items that occupy a slot of the queue: started and incomplete, when they were last read.",
            _JOB,
        )
        self.slots = totals.gauge(
            "pyrotorque_queue_slots", "Items that may download at the same time (downloading_max).", _JOB
        )
        self.slots_min = totals.gauge(
            "pyrotorque_queue_slots_min",
            "Items that are started without waiting for the schedule (downloading_min).",
            _JOB,
        )
        self.intermission = totals.gauge(
            "pyrotorque_queue_intermission_seconds", "Shortest time between two batches of starts (intermission).", _JOB
        )
        self.intermission_end = totals.gauge(
            "pyrotorque_queue_intermission_end_timestamp_seconds",
            "When the next batch may be started at the earliest: last start plus intermission.",
            _JOB,
        )
        self.last_start = totals.gauge(
            "pyrotorque_queue_last_start_timestamp_seconds", "When the queue last started an item.", _JOB
        )
        self.last_run = totals.gauge(
            "pyrotorque_queue_last_run_timestamp_seconds", "When the queue was last checked.", _JOB
        )
        self.oldest = totals.gauge(
            "pyrotorque_queue_oldest_startable_timestamp_seconds",
            "When the item was loaded that has been waiting for longest; 0 if none waits.",
            _JOB,
        )
        self.stalled = totals.gauge(
            "pyrotorque_queue_stalled_items",
            "Items in a slot without progress for stall_after, or for 5 minutes where that is off.",
            _JOB,
        )
        self.parked = totals.gauge(
            "pyrotorque_queue_parked_items", "Stalled items that gave up their slot and wait for another attempt.", _JOB
        )
        self.adopted = totals.counter(
            "pyrotorque_queue_adopted_total", "Items that others started above the limit, closed to wait.", _JOB
        )
        self.strikes = totals.counter("pyrotorque_queue_strikes_total", "Slots given up by stalled items.", _JOB)
        self.group_downloading = totals.gauge(
            "pyrotorque_queue_group_downloading_items",
            "Items of a group (group_by) that occupy a slot.",
            (*_JOB, "group"),
        )
        self.completed = totals.counter(
            "pyrotorque_queue_completed_total", "Items that got all of their wanted data, started by a queue or not."
        )
        self.completed.inc(by=0)
        self.moved = totals.counter("pyrotorque_job_moved_items_total", "Items whose data a job has moved.", _JOB)
        self.starts = totals.counter("pyrotorque_queue_starts_total", "Items that the queue has started.", _JOB)
        self.start_failures = totals.counter(
            "pyrotorque_queue_start_failures_total",
            "Attempts to start an item that failed, by reason.",
            (*_JOB, "reason"),
        )
        self.skips = totals.counter(
            "pyrotorque_queue_skips_total", "Checks of the queue that started nothing, by reason.", (*_JOB, "reason")
        )
        self.checks = totals.counter(
            "pyrotorque_queue_checks_total", "Checks of the queue, by what caused them.", (*_JOB, "cause")
        )
        self.wait = totals.histogram(
            "pyrotorque_queue_wait_seconds",
            "Time that an item waited in the queue, from its load to its start.",
            _WAITS,
            _JOB,
        )
        self.removed = totals.counter(
            "pyrotorque_cleanup_removed_items_total",
            "Items that a clean-up removed from rTorrent, by what happened to their data.",
            (*_JOB, "data"),
        )
        self.freed = totals.counter(
            "pyrotorque_cleanup_freed_bytes_total", "Bytes freed by deletions, at once or from quarantine.", _JOB
        )
        self.restored = totals.counter(
            "pyrotorque_cleanup_restored_entries_total", "Entries restored from quarantine.", _JOB
        )
        self.purged = totals.counter(
            "pyrotorque_cleanup_purged_entries_total", "Entries of the quarantine whose data was deleted.", _JOB
        )
        self.orphans_moved = totals.counter(
            "pyrotorque_cleanup_moved_orphans_total", "Orphaned files moved to quarantine.", _JOB
        )
        self.cleanup_kept = totals.gauge(
            "pyrotorque_cleanup_kept_items",
            "Items that the condition of the clean-up chose and that stay nevertheless, by reason.",
            (*_JOB, "reason"),
        )  # fmt: skip
        self.cleanup_problem = totals.gauge(
            "pyrotorque_cleanup_problem",
            "1 if the last run of the clean-up had this problem: refused, waiting, space or failed.",
            (*_JOB, "problem"),
        )
        self.cleanup_missing = totals.gauge(
            "pyrotorque_cleanup_missing_bytes",
            "Bytes that min_free or max_used needs and that no item may free; 0 if the goal can be reached.",
            _JOB,
        )
        self.cleanup_used = totals.gauge(
            "pyrotorque_cleanup_used_bytes",
            "Bytes that the data of items occupies below the job's folders, measured for max_used.",
            _JOB,
        )
        self.cleanup_max_used = totals.gauge(
            "pyrotorque_cleanup_max_used_bytes",
            "Bytes that the data of items may occupy below the job's folders (max_used).",
            _JOB,
        )
        self.orphan_files = totals.gauge(
            "pyrotorque_cleanup_orphan_files", "Files below the job's folders that belong to no item of rTorrent.", _JOB
        )
        self.orphan_bytes = totals.gauge(
            "pyrotorque_cleanup_orphan_bytes", "Bytes of the files that belong to no item.", _JOB
        )
        self.quarantine_entries = totals.gauge(
            "pyrotorque_quarantine_entries",
            "Removed items and sets of orphaned files whose data is kept in quarantine.",
            _JOB,
        )
        self.quarantine_bytes = totals.gauge(
            "pyrotorque_quarantine_bytes", "Bytes of removed data that is kept in quarantine until it is purged.", _JOB
        )
        self.unfinished_removals = totals.gauge(
            "pyrotorque_cleanup_unfinished_removals",
            "Removals of items that were interrupted and are neither finished nor undone.",
        )
        self.runs = totals.counter("pyrotorque_job_runs_total", "Finished runs of the job, successful or not.", _JOB)
        self.failures = totals.counter("pyrotorque_job_failures_total", "Runs of the job that failed.", _JOB)
        self.missed = totals.counter("pyrotorque_job_missed_total", "Runs that could not begin in time.", _JOB)
        self.skipped = totals.counter(
            "pyrotorque_job_skipped_total", "Runs skipped because the previous one was still running.", _JOB
        )
        self.duration = totals.histogram("pyrotorque_job_duration_seconds", "Wall time of a run.", _DURATIONS, _JOB)
        self.running = totals.gauge("pyrotorque_job_running", "1 while a run is in progress.", _JOB)
        self.enabled = totals.gauge("pyrotorque_job_enabled", "1 if the job is active and not paused.", _JOB)
        self.last_end = totals.gauge(
            "pyrotorque_job_last_run_timestamp_seconds", "When the last run of the job ended, successful or not.", _JOB
        )
        self.last_success = totals.gauge(
            "pyrotorque_job_last_success_timestamp_seconds", "When the last successful run of the job ended.", _JOB
        )
        self.next_run = totals.gauge(
            "pyrotorque_job_next_run_timestamp_seconds", "When the schedule starts the job next.", _JOB
        )
        self.failed_moves = totals.gauge(
            "pyrotorque_job_failed_moves", "Items whose last move failed, by cause.", (*_JOB, "cause")
        )
        self.interval = totals.gauge(
            "pyrotorque_job_schedule_interval_seconds", "Longest time between two runs by the schedule.", _JOB
        )

    def introduce_queue(self, settings: QueueSettings) -> None:
        """Initialize the metrics of a queue job, so that all series exist before its first check."""
        name = settings.name
        self.slots.set(settings.downloading_max, name)
        self.slots_min.set(settings.downloading_min, name)
        self.intermission.set(settings.intermission, name)
        self.starts.inc(name, by=0)
        self.strikes.inc(name, by=0)
        self.adopted.inc(name, by=0)
        self.stalled.set(0, name)
        self.parked.set(0, name)
        for reason in get_args(StartFailure):
            self.start_failures.inc(name, reason, by=0)
        for reason in SKIPS:
            self.skips.inc(name, reason, by=0)

    def introduce_job(self, name: str, enabled: bool, interval: float) -> None:
        """Initialize the metrics of a job, so that all series exist before its first run."""
        self.enabled.set(float(enabled), name)
        self.running.set(0, name)
        if interval < float("inf"):
            self.interval.set(interval, name)
        for counter in (self.runs, self.failures, self.missed, self.skipped):
            counter.inc(name, by=0)

    def introduce_cleanup(self, name: str) -> None:
        """Initialize the counters of a clean-up job, so that they exist before its first removal."""
        for data in get_args(RemovedData):
            self.removed.inc(name, data, by=0)
        for counter in (self.freed, self.restored, self.purged, self.orphans_moved):
            counter.inc(name, by=0)

    def count(self, event: UniqueEvent) -> None:
        """Count what housekeeping has done; called in the transaction that stores the event."""
        match event:
            case TorrentRemoved():
                self.removed.inc(event.job, event.data)
                self.freed.inc(event.job, by=event.freed)
            case QuarantinePurged():
                self.purged.inc(event.job)
                self.freed.inc(event.job, by=event.freed)
            case TorrentRestored():
                self.restored.inc(event.job)
            case OrphansMoved():
                self.orphans_moved.inc(event.job, by=event.files)
            case TorrentMoved():
                self.moved.inc(event.job)

    def started(self, job: str, at: float, waited: float | None) -> None:
        self.starts.inc(job)
        self.last_start.set(at, job)
        if waited is not None:
            self.wait.observe(waited, job)

    def finished(self, job: str, at: float, seconds: float, failed: bool) -> None:
        """Note the end of a run. A failure is counted where it is published: some have no run."""
        self.running.set(0, job)
        self.runs.inc(job)
        self.duration.observe(seconds, job)
        self.last_end.set(at, job)
        if not failed:
            self.last_success.set(at, job)
