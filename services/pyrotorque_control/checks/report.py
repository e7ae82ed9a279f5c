"""The result of `check` as data: problems, warnings, fire times, conditions, load commands and rTorrent."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque import configuration
from pyrotorque.configuration import Configuration
from pyrotorque.errors import RTorrentError, UserError
from pyrotorque.foreign_code import writable_by_all
from pyrotorque.hanging_roots import answering_settings, hanging_folders
from pyrotorque.home import NO_HOME, home_folder
from pyrotorque.jobs.left_moves import left_moves
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.recognition import SHARED_ADVICE, shared_text
from pyrotorque.rtorrent_version import version_of
from pyrotorque.settings import Report, SettingsProblems, layout_of
from pyrotorque.settings.schema import AnyJob, CustomSettings, ExporterSettings, QueueSettings, Settings, WatchSettings
from pyrotorque.supervisord.validation import check_conf
from pyrotorque.text import printable
from pyrotorque.watchroots import active_roots
from pyrotorque_control.checks.rtorrent import RTorrentCheck, check_rtorrent
from pyrotorque_control.checks.rtorrent_rc import (
    commands_that_fail,
    installed_version,
    overlapping_schedules,
    unsafe_shell_commands,
    untied_removals,
)
from pyrotorque_control.checks.space import space_warnings
from pyrotorque_control.checks.watches import placement_warnings, watch_problems
from pyrotorque_control.group import Group
from pyrotorque_control.rtorrent_include import include_warning

_FIRE_TIMES: Final = 3


class JobCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One job; `fires` are its next fire times in Unix seconds, `runs` describes when it runs without a schedule.

    For an event, it runs after the jobs in `after`.
    """

    name: str
    active: bool
    handler: str
    fires: tuple[float, ...] = ()
    runs: str = ""
    after: tuple[str, ...] = ()


class RootCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A watched root, and the job whose tree it is in (empty if none): its metafiles belong to `job` all the same."""

    path: str
    job: str
    inside: str = ""


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration is `good` when nothing in it is known to fail; `paths` are those asked for, and their jobs."""

    config_dir: str
    good: bool
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    jobs: tuple[JobCheck, ...] = ()
    conditions: dict[str, str] = {}
    load_commands: dict[str, str] = {}
    roots: tuple[RootCheck, ...] = ()
    paths: dict[str, str] = {}
    rtorrent: RTorrentCheck = RTorrentCheck()


def check_group(group: Group, paths: Sequence[Path] = ()) -> CheckReport:
    """Read the configuration and query rTorrent; changes nothing."""
    conf = Report()
    running = group.running()
    pid = running.pid if running else 0
    check_conf(layout_of(group.config_dir), group.options, conf, supervisord=pid, strict=True)
    try:
        found = configuration.read(group.config_dir, group.options, seek=True, strict=True)
        conf.raise_if_any()
    except SettingsProblems as error:
        problems = (*error.problems, *(each for each in conf.problems if each not in error.problems))
        return CheckReport(config_dir=str(group.config_dir), good=False, problems=tuple(map(str, problems)))
    now = time.time()
    # The configuration has a warning for each that hangs.
    settings = answering_settings(found.settings, hanging_folders(found.settings))
    found = replace(found, settings=settings)
    rtorrent = check_rtorrent(found.settings, group)
    failing = (*rtorrent.unknown, *_watch_problems(found, rtorrent))
    return CheckReport(
        config_dir=str(group.config_dir),
        good=not failing,
        problems=failing,
        warnings=(*map(str, conf.warnings), *_warnings(found, group.config_dir, rtorrent)),
        jobs=tuple(_job(job, now) for job in found.settings.jobs),
        conditions=dict(_conditions(found.settings, group.config_dir)),
        load_commands=dict(_sample_commands(found.settings.jobs, group.config_dir)),
        rtorrent=rtorrent,
        roots=tuple(_roots(found.settings)),
        paths={str(path): _owner(found.settings, path) for path in paths},
    )


def _watch_problems(found: Configuration, rtorrent: RTorrentCheck) -> list[str]:
    client = RTorrent.from_settings(found.settings.rtorrent) if rtorrent.answers else None
    try:
        return watch_problems(found.settings, found.layout, client)
    except RTorrentError:  # it has ended meanwhile
        return watch_problems(found.settings, found.layout, None)


def _roots(settings: Settings) -> Iterator[RootCheck]:
    roots = active_roots(settings)
    outer = dict(roots.inside())
    for root in roots.roots:
        inside = outer[root].job if root in outer else ""
        yield RootCheck(path=printable(root.path), job=root.job, inside=inside)


def _owner(settings: Settings, path: Path) -> str:
    """The job that loads a metafile at `path`, or those in the folder `path`; empty if none does."""
    absolute = path.absolute()
    owner = active_roots(settings).owner(bytes(absolute if absolute.is_dir() else absolute.parent))
    return owner.job if owner else ""


def _warnings(found: Configuration, config_dir: Path, rtorrent: RTorrentCheck) -> Iterator[str]:
    yield from map(str, found.warnings)
    yield from map(printable, found.layout.obstructed())
    if writable := writable_by_all(config_dir):
        yield writable
    home = home_folder() or NO_HOME
    if rtorrent.shared_with:
        yield f"{shared_text(rtorrent.shared_with)}; {SHARED_ADVICE}"
    yield from overlapping_schedules(found.settings, home)
    yield from unsafe_shell_commands(found.settings, home)
    yield from placement_warnings(found.settings, found.layout)
    yield from space_warnings(found.settings)
    yield from left_moves(found.layout.state_dir, [job.name for job in found.settings.active_jobs(CustomSettings)])
    yield from untied_removals(found.settings, home, rtorrent.erased_handlers)
    version = version_of(rtorrent.version) if rtorrent.answers else installed_version()
    if version and not rtorrent.accepts_deprecated:
        yield from commands_that_fail(found.settings, home, version)
    if outdated := include_warning(config_dir):
        yield outdated


def _job(job: AnyJob, now: float) -> JobCheck:
    fires: tuple[float, ...] = ()
    runs = ""
    if job.active and isinstance(job, ExporterSettings):
        runs = "when it is scraped"
    elif job.active and isinstance(job, WatchSettings):
        runs = "when a metafile is written"
    elif job.active and not job.schedule:
        runs = "at events"
    elif job.active:
        from pyrotorque.schedule import parse_schedule

        fires = tuple(parse_schedule(job.schedule).fires(now, _FIRE_TIMES))
        runs = "" if fires else "never again"
    after = job.after if isinstance(job, CustomSettings) else ()
    return JobCheck(name=job.name, active=job.active, handler=job.handler, fires=fires, runs=runs, after=after)


def _conditions(settings: Settings, config_dir: Path) -> Iterator[tuple[str, str]]:
    """The complete conditions and the order of each active queue, in their normal form."""
    from pyrotorque.customfields import ConfigFields
    from pyrotorque.fields import configured
    from pyrotorque_scheduler.queue.rules import read_rules

    queues = [job for job in settings.jobs if isinstance(job, QueueSettings) and job.active]
    with closing(ConfigFields(config_dir / "config.py", {})) as config_fields:
        for job in queues:
            table = configured(settings.aliases, settings.traits_by_alias, job.min_free)
            rules = read_rules(job, settings.queue_startable_base, config_fields.given(table))
            yield f"job.{job.name}.startable", str(rules.startable)
            yield f"job.{job.name}.downloading", str(rules.downloading)
            yield f"job.{job.name}.sort_fields", str(rules.order) if rules.order else "the order of the view"


def _sample_commands(jobs: Iterable[AnyJob], config_dir: Path) -> Iterator[tuple[str, str]]:
    """Each load command rendered for a sample metafile."""
    from pyrotorque.loadcommands import compile_command
    from pyrotorque.loadcommands.namespace import sample

    for job in jobs:
        for name, text in job.commands if isinstance(job, WatchSettings) and job.active else ():
            try:
                rendered = compile_command(name, text, templates=config_dir / "templates").render(sample())
            except UserError as error:
                yield f"job.{job.name}.cmd.{name}", f"fails for the sample: {error}"
            else:
                yield f"job.{job.name}.cmd.{name}", rendered.decode("utf-8", "replace")
