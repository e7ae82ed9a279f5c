"""Counts the failed moves that the jobs have stored, for the metric of them: what `pyrotorque status` lists."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

from pyrotorque.job_order import MOVER
from pyrotorque.jobs.context import job_state_dir
from pyrotorque.jobs.move_failures import FAILURES, MOVE_CAUSES, stored_failures
from pyrotorque.settings.schema import CustomSettings
from pyrotorque_scheduler.metrics import SchedulerMetrics

_Version: TypeAlias = tuple[int, int, int] | None
_UNREAD: Final = (-1, -1, -1)


class FailedMoveCounts:
    """Of all movers, and of other jobs that store failed moves: users' own classes that derive from the mover."""

    def __init__(self, jobs: Iterable[CustomSettings], state_dir: Path, metrics: SchedulerMetrics) -> None:
        self._folders = {job.name: job_state_dir(state_dir, job.name) for job in jobs}
        self._movers = {job.name for job in jobs if job.handler == MOVER}
        self._versions: dict[str, _Version] = dict.fromkeys(self._folders, _UNREAD)
        self._gauge = metrics.failed_moves
        for job in self._movers:
            metrics.moved.inc(job, by=0)

    def update(self) -> None:
        """Read the files that changed since the last call."""
        for job, folder in self._folders.items():
            version = _version(folder / FAILURES)
            if version == self._versions[job]:
                continue
            was_shown = self._versions[job] not in (None, _UNREAD)
            self._versions[job] = version
            if version is not None or was_shown or job in self._movers:
                self._count(job, folder)

    def _count(self, job: str, folder: Path) -> None:
        failures = [failure for failure in stored_failures(folder).values() if failure.times]
        # A cause of a later version counts as `other`: the label has few values.
        found = Counter(failure.cause if failure.cause in MOVE_CAUSES else "other" for failure in failures)
        for cause in MOVE_CAUSES:
            self._gauge.set(found[cause], job, cause)


def _version(path: Path) -> _Version:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
