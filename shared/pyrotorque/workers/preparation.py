"""Builds the first message to a worker from the settings: equal for the same job under the same configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from pyrotorque.config_py import config_py_copy
from pyrotorque.layout import Layout
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.workers.messages import CreateJob

SourceStamp: TypeAlias = tuple[tuple[str, int, int], ...]


def create_message(job: CustomSettings, settings: Settings, layout: Layout, *, is_trial: bool = False) -> CreateJob:
    """The first message to the worker of `job`; a trial is a part of a check."""
    rtorrent = settings.rtorrent
    return CreateJob(
        job=job.name,
        handler=job.handler,
        config=job_config(job, settings),
        texts=job.texts,
        config_dir=str(layout.config_dir),
        state_dir=str(layout.state_dir),
        run_dir=str(layout.run_dir),
        reviewed_config_py="" if is_trial else str(config_py_copy(layout.state_dir)),
        url=rtorrent.url,
        connect_timeout=rtorrent.connect_timeout,
        read_timeout=rtorrent.read_timeout,
        aliases=settings.aliases,
        traits_by_alias=settings.traits_by_alias,
        log_level=job.log_level or settings.log_level,
        memory_max=job.memory_max,
        takes_events=bool(job.on),
        keeps_reports=True,
        accepts_unique_events=True,
    )


def job_config(job: CustomSettings, settings: Settings) -> dict[str, Any]:
    """The constructor's argument: the job's own settings, and those that every job has."""
    return {
        **job.params,
        "job_name": job.name,
        "handler": job.handler,
        "schedule": job.schedule,
        "active": job.active,
        "dry_run": job.dry_run or settings.dry_run,
        "quiet": job.quiet,
        "log_level": job.log_level,
        "on": list(job.on),
        "timeout": job.timeout,
        "memory_max": job.memory_max,
    }


def source_stamp(jobs_dir: Path) -> SourceStamp:
    """Fingerprint of the files in `CONFIG_DIR/jobs`: if it changed at a reload, workers are restarted."""
    return tuple(sorted(_file_stamps(jobs_dir)))


def _file_stamps(jobs_dir: Path) -> Iterator[tuple[str, int, int]]:
    for path in jobs_dir.rglob("*.py") if jobs_dir.is_dir() else ():
        try:
            found = path.stat()
        except OSError:
            continue
        yield str(path), found.st_mtime_ns, found.st_size
