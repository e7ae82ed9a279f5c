"""The clean-up jobs of a group, constructed in this process, for the commands that show and approve their plans."""

from collections.abc import Iterator
from typing import Final

import click

from pyrotorque.config_py import config_py_copy
from pyrotorque.errors import PyrotorqueError, SettingsError, UserError
from pyrotorque.foreign_code import refuse_foreign_config_py
from pyrotorque.jobs.cleanup import Cleanup
from pyrotorque.jobs.context import JobContext, set_context
from pyrotorque.jobs.orphans import Orphans
from pyrotorque.jobs.params import with_texts
from pyrotorque.settings.schema import CustomSettings, Settings
from pyrotorque.suggestions import suggestion
from pyrotorque.workers.preparation import job_config
from pyrotorque_control.group import Group
from pyrotorque_control.rtorrent import settings_of

HANDLERS: Final[dict[str, type[Cleanup] | type[Orphans]]] = {
    "pyrotorque.jobs.cleanup:Cleanup": Cleanup,
    "pyrotorque.jobs.orphans:Orphans": Orphans,
}


def cleanup_jobs(group: Group, name: str | None, *, required: bool = True) -> list[Cleanup | Orphans]:
    """The job of this name, or all of them, active or not.

    Raises UserError if there is none but `required`, and SettingsError for settings of one that are wrong.
    """
    refuse_foreign_config_py(group.layout)
    settings = settings_of(group)
    chosen = list(_chosen(settings, name)) if required or _known(settings) else []
    context = JobContext(
        config_dir=group.layout.config_dir,
        state_dir=group.layout.state_dir,
        reviewed_config_py=config_py_copy(group.layout.state_dir),
        url=settings.rtorrent.url,
        connect_timeout=settings.rtorrent.connect_timeout,
        read_timeout=settings.rtorrent.read_timeout,
        aliases=settings.aliases,
        traits_by_alias=settings.traits_by_alias,
    )
    set_context(context)
    if command := click.get_current_context(silent=True):
        command.call_on_close(context.close)
    return [_constructed(job, settings) for job in chosen]


def _constructed(job: CustomSettings, settings: Settings) -> Cleanup | Orphans:
    try:
        return HANDLERS[job.handler](with_texts(job_config(job, settings), job.texts))
    except UserError as error:
        raise SettingsError(f"torque.ini: {error}") from error


def active_cleanups(group: Group) -> list[Cleanup]:
    """The active clean-up jobs; none if there are none, or their settings are wrong."""
    try:
        jobs = cleanup_jobs(group, None)
    except PyrotorqueError:
        return []
    return [job for job in jobs if isinstance(job, Cleanup) and job.config.get("active")]


def _known(settings: Settings) -> list[CustomSettings]:
    return [job for job in settings.jobs if isinstance(job, CustomSettings) and job.handler in HANDLERS]


def _chosen(settings: Settings, name: str | None) -> Iterator[CustomSettings]:
    known = _known(settings)
    if not known:
        raise UserError("there is no clean-up job: docs/cleanup.md shows how to set one up")
    found = [job for job in known if name in (None, job.name)]
    if not found:
        names = [job.name for job in known]
        text = f"there is no clean-up job {name!r}{suggestion(str(name), names)}"
        raise UserError(f"{text}; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}")
    yield from found
