"""What `check` finds out, as facts: for a person's tables and for programs alike."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque import configuration
from pyrotorque.configuration import Configuration
from pyrotorque.errors import RTorrentError
from pyrotorque.settings import SettingsProblems
from pyrotorque.settings.schema import AnyJob, ExporterSettings, Settings, WatchSettings
from pyrotorque.text import printable
from pyrotorque_control import findings
from pyrotorque_control.group import Group

_FIRES: Final = 3


class CheckedJob(msgspec.Struct, frozen=True, kw_only=True):
    """One job; `fires` are its next times in Unix seconds, `runs` says when, where no clock does."""

    name: str
    active: bool
    handler: str
    fires: tuple[float, ...] = ()
    runs: str = ""


class CheckedRTorrent(msgspec.Struct, frozen=True, kw_only=True):
    """Which rTorrent answers, or why none does; `unknown` is what the configuration names and it does not have, `lacks`
    what it runs without of our include.
    """

    url: str = ""
    origin: str = ""
    answers: bool = False
    version: str = ""
    pid: int = 0
    problem: str = ""
    unknown: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration is `good` when the group would start on it; whether rTorrent answers is another question."""

    config_dir: str
    good: bool
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    jobs: tuple[CheckedJob, ...] = ()
    conditions: dict[str, str] = {}
    load_commands: dict[str, str] = {}
    rtorrent: CheckedRTorrent = CheckedRTorrent()


def checked(group: Group) -> Checked:
    """Reads everything, and asks rTorrent; changes nothing."""
    try:
        found = configuration.read(group.config_dir, group.options, seek=True)
    except SettingsProblems as error:
        return Checked(config_dir=str(group.config_dir), good=False, problems=tuple(map(str, error.problems)))
    now = time.time()
    return Checked(
        config_dir=str(group.config_dir),
        good=True,
        warnings=tuple(_warnings(found)),
        jobs=tuple(_job(job, now) for job in found.settings.jobs),
        conditions=dict(findings.conditions(found.settings, group.config_dir)),
        load_commands=dict(findings.rendered(found.settings.jobs, group.config_dir)),
        rtorrent=asked(found.settings, group.config_dir),
    )


def _warnings(found: Configuration) -> Iterator[str]:
    yield from map(str, found.warnings)
    yield from findings.overlaps(found.settings, Path.home())
    yield from findings.hooks(found.settings, Path.home())


def _job(job: AnyJob, now: float) -> CheckedJob:
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

        fires = tuple(parse_schedule(job.schedule).fires(now, _FIRES))
        runs = "" if fires else "never again"
    return CheckedJob(name=job.name, active=job.active, handler=job.handler, fires=fires, runs=runs)


def asked(settings: Settings, config_dir: Path) -> CheckedRTorrent:
    """That none answers is no error of the configuration: it may be started later."""
    from pyrotorque.rtorrent import RTorrent

    rtorrent = settings.rtorrent
    if rtorrent.url is None:
        return CheckedRTorrent(problem=findings.unknown_address())
    client = RTorrent(rtorrent.url, connect_timeout=2.0, read_timeout=5.0)
    try:
        identity = client.identity()
        unknown = tuple(findings.unknown_to(client, settings, config_dir))
    except RTorrentError as error:
        return CheckedRTorrent(url=rtorrent.url, origin=rtorrent.origin, problem=str(error))
    return CheckedRTorrent(
        url=rtorrent.url,
        origin=rtorrent.origin,
        answers=True,
        version=printable(identity.client_version),
        pid=identity.pid,
        unknown=unknown,
        lacks=tuple(findings.lacking(client)),
    )
