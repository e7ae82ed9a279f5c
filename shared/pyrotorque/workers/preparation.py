"""What a worker is told of its job: made from the settings, equal for the same job in the same surroundings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from pyrotorque.layout import Layout
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.workers.messages import Prepare

Stamp: TypeAlias = tuple[tuple[str, int, int], ...]


def prepared(job: CustomSettings, settings: Settings, layout: Layout) -> Prepare:
    """The first message to the worker of `job`."""
    reach = settings.rtorrent
    return Prepare(
        job=job.name,
        handler=job.handler,
        config=config_of(job, settings),
        config_dir=str(layout.config_dir),
        state_dir=str(layout.state_dir),
        url=reach.url,
        connect_timeout=reach.connect_timeout,
        read_timeout=reach.read_timeout,
        aliases=settings.aliases,
        traits_by_alias=settings.traits_by_alias,
        log_level=job.log_level or settings.log_level,
        memory_max=job.memory_max,
        takes_events=bool(job.on),
    )


def config_of(job: CustomSettings, settings: Settings) -> dict[str, Any]:
    """What the constructor gets: the job's own settings, and what every job has."""
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


def stamp_of(own: Path) -> Stamp:
    """How the files in `CONFIG_DIR/jobs` look: after a change, workers are made anew when the configuration is read."""
    return tuple(sorted(_stamps(own)))


def _stamps(own: Path) -> Iterator[tuple[str, int, int]]:
    for path in own.rglob("*.py") if own.is_dir() else ():
        try:
            found = path.stat()
        except OSError:
            continue
        yield str(path), found.st_mtime_ns, found.st_size
