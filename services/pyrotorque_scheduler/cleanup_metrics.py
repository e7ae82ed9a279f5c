"""Shows the last runs of the clean-up jobs as metrics: why items stay, problems, orphans, and what is in quarantine."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from pyrotorque import housekeeping
from pyrotorque.housekeeping.journal import FOLDER as REMOVALS
from pyrotorque.housekeeping.last_run import FILE, HANDLERS, PROBLEMS, read_last_run
from pyrotorque.housekeeping.limits import Reason
from pyrotorque.jobs.context import job_state_dir
from pyrotorque.settings.schema import CustomSettings
from pyrotorque_scheduler.metrics import SchedulerMetrics


class CleanupGauges:
    """Of all clean-up jobs, and of users' own classes that derive from them."""

    def __init__(self, jobs: Iterable[CustomSettings], state_dir: Path, metrics: SchedulerMetrics) -> None:
        self._folders = {job.name: job_state_dir(state_dir, job.name) for job in jobs}
        self._removals = state_dir / housekeeping.FOLDER / REMOVALS
        self._metrics = metrics
        self._times: dict[str, int] = {}
        cleanups = [job.name for job in jobs if job.handler in HANDLERS]
        self._shows_removals = bool(cleanups)
        for name in cleanups:
            metrics.introduce_cleanup(name)

    def update(self) -> None:
        """Read the files that changed since the last call."""
        for job, folder in self._folders.items():
            time_ns = _modified(folder / FILE)
            if time_ns != self._times.get(job, 0):
                self._times[job] = time_ns
                self._show(job, folder)
        if self._shows_removals:
            self._metrics.unfinished_removals.set(sum(1 for _ in self._removals.glob("*.json")))

    def _show(self, job: str, folder: Path) -> None:
        found = read_last_run(folder)
        if found is None:
            return
        metrics = self._metrics
        for reason in get_args(Reason):
            metrics.cleanup_kept.set(found.kept.get(reason, 0), job, reason)
        for problem in PROBLEMS:
            metrics.cleanup_problem.set(float(found.problem == problem), job, problem)
        metrics.cleanup_missing.set(found.missing, job)
        if found.max_used:
            metrics.cleanup_used.set(found.used, job)
            metrics.cleanup_max_used.set(found.max_used, job)
        metrics.orphan_files.set(found.orphans, job)
        metrics.orphan_bytes.set(found.orphan_bytes, job)
        metrics.quarantine_entries.set(found.entries, job)
        metrics.quarantine_bytes.set(found.quarantined, job)


def _modified(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
