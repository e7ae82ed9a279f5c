"""Leaves roots on a filesystem that does not answer out of what looks into trees, so that only these wait for it."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from pyrotorque.linux.hanging_folders import HangingFolders
from pyrotorque.settings.schema import Settings, WatchSettings


def folders_of(job: WatchSettings) -> list[bytes]:
    """The folders of a job that may be on other filesystems: its roots, and where its metafiles are moved to."""
    return [_absolute(path) for path in (*job.path, *_targets(job))]


def hanging_folders(settings: Settings, looks: HangingFolders | None = None) -> frozenset[bytes]:
    """The folders of all active tree watches that do not answer within some seconds."""
    jobs = settings.active_jobs(WatchSettings)
    return (looks or HangingFolders()).find(folder for job in jobs for folder in folders_of(job))


def answering_job(job: WatchSettings, hanging: Collection[bytes]) -> WatchSettings:
    """The job without its roots that hang; without all of them where it cannot move its metafiles."""
    if any(_absolute(path) in hanging for path in _targets(job)):
        return msgspec.structs.replace(job, path=(), loaded_path=None, failed_path=None)
    kept = tuple(path for path in job.path if _absolute(path) not in hanging)
    return msgspec.structs.replace(job, path=kept) if len(kept) < len(job.path) else job


def answering_settings(settings: Settings, hanging: Collection[bytes]) -> Settings:
    """These settings without roots that hang."""
    if not hanging:
        return settings
    jobs = tuple(answering_job(job, hanging) if isinstance(job, WatchSettings) else job for job in settings.jobs)
    return msgspec.structs.replace(settings, jobs=jobs)


def _targets(job: WatchSettings) -> Iterable[Path]:
    return [path for path in (job.loaded_path, job.failed_path) if path is not None]


def _absolute(path: Path) -> bytes:
    return os.fsencode(path.expanduser().absolute())
