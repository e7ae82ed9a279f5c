"""Converts the keys of [TORQUE] to the settings of the group and of its jobs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pyrotorque.layout import ALL_SERVICES, Layout
from pyrotorque.options import Options
from pyrotorque.settings.discovery import address_in_files
from pyrotorque.settings.fleet import PREFIX as FLEET
from pyrotorque.settings.fleet import read_fleet
from pyrotorque.settings.ini import Entry
from pyrotorque.settings.jobs import read_job
from pyrotorque.settings.merge import MergedSections
from pyrotorque.settings.panel import PREFIX as PANEL
from pyrotorque.settings.panel import read_panel
from pyrotorque.settings.problems import Problem, Report
from pyrotorque.settings.schema import DISK_FREE_BYTES, DISK_FREE_PERCENT, AnyJob, RTorrentSettings, Settings
from pyrotorque.settings.values import typed
from pyrotorque.suggestions import suggestion
from pyrotorque.text import printable
from pyrotorque.trackers import host_of

_GROUP_KEYS: Final[dict[str, Any]] = {
    "scgi_url": str,
    "rtorrent_rc": str,
    "queue_startable_base": str,
    "log_level": str,
    "log_format": Literal["text", "json"],
    "dry_run": bool,
    "disk_free_percent": float,
    "disk_free_bytes": int,
    "run_dir": Path,
    "state_dir": Path,
    "connect_timeout": float,
    "read_timeout": float,
}
FOLDERS: Final = ("run_dir", "state_dir")
# Settings of the scheduler and web server of pyrocore; ignored, so that old files load.
_FOREIGN: Final = ("apscheduler.", "httpd.")
_LOG_LEVEL: Final = "log_level."
"""Before the name of a service."""
_JOB_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")

Jobs = dict[str, dict[str, Entry]]


def read_group(home: Path, merged: MergedSections, options: Options, report: Report) -> tuple[Settings, Layout]:
    """The typed settings, with an empty digest, and the paths of the group; problems are added to `report`."""
    jobs, plain = _split_keys(merged.torque, report)
    panel = {key.removeprefix(PANEL): entry for key, entry in merged.torque.items() if key.startswith(PANEL)}
    fleet = {key.removeprefix(FLEET): entry for key, entry in merged.torque.items() if key.startswith(FLEET)}
    group = {key: _value(key, entry, report) for key, entry in plain.items() if entry.value}
    settings = Settings(
        digest="",
        rtorrent=_rtorrent(group, merged),
        jobs=_read_jobs(jobs, merged.packaged_jobs, report),
        dry_run=bool(group.get("dry_run")) or options.dry_run,
        log_level=options.log_level or group.get("log_level") or "INFO",
        log_levels={} if options.log_level else _log_levels(merged.torque, report),
        log_format=group.get("log_format") or "text",
        disk_free_percent=group.get("disk_free_percent", DISK_FREE_PERCENT),
        disk_free_bytes=group.get("disk_free_bytes", DISK_FREE_BYTES),
        queue_startable_base=group.get("queue_startable_base") or "",
        aliases=_aliases(merged.announce),
        fleet=read_fleet(home, fleet, report),
        traits_by_alias={alias: entry.value for alias, entry in merged.traits_by_alias.items()},
        panel=read_panel(panel, report),
    )
    return settings, read_layout(home, merged.torque)


def read_layout(home: Path, torque: Mapping[str, Entry]) -> Layout:
    """The paths of the group; a folder with an invalid path is ignored here."""
    folders = {key: _value(key, torque[key], Report()) for key in FOLDERS if key in torque and torque[key].value}
    return Layout.below(home, **folders)


def _log_levels(torque: Mapping[str, Entry], report: Report) -> dict[str, str]:
    """The levels of single services; the guardian reads no settings."""
    levels: dict[str, str] = {}
    services = [service for service in ALL_SERVICES if service != "guardian"]
    for key, entry in torque.items():
        service = key.removeprefix(_LOG_LEVEL)
        if service == key or not entry.value:
            continue
        if service not in services:
            text = f"is no service with a level of its own{suggestion(service, services)} ({', '.join(services)})"
            report.problems.append(Problem(entry.file, entry.line, key, text))
            continue
        try:
            levels[service] = typed("log_level", entry.value, str)
        except ValueError as error:
            report.problems.append(Problem(entry.file, entry.line, key, str(error)))
    return levels


def _split_keys(torque: Mapping[str, Entry], report: Report) -> tuple[Jobs, dict[str, Entry]]:
    jobs: Jobs = {}
    plain: dict[str, Entry] = {}
    for key, entry in torque.items():
        if key.startswith((*_FOREIGN, _LOG_LEVEL, PANEL, FLEET)):
            continue
        first, _, rest = key.partition(".")
        name, _, param = rest.partition(".")
        if first == "job" and param and _JOB_NAME.fullmatch(name):
            jobs.setdefault(name, {})[param] = entry
        elif key in _GROUP_KEYS:
            plain[key] = entry
        else:
            _report_unknown(key, entry, report)
    return jobs, plain


def _report_unknown(key: str, entry: Entry, report: Report) -> None:
    """Foreign settings are warnings; keys that look like a misspelled job setting are problems."""
    known = [*_GROUP_KEYS, "job.NAME.SETTING"]
    if key.startswith("job") or ".active" in key:
        similar = "job." + key.partition(".")[2]
        text = "is not of the form job.NAME.SETTING"
        text += _wrong_name(key) or suggestion(key, [similar] if similar != key else [])
        report.problems.append(Problem(entry.file, entry.line, key, text))
    else:
        text = f"is not a setting of pyrotorque and is ignored{suggestion(key, known)}"
        report.warnings.append(Problem(entry.file, entry.line, key, text))


def _wrong_name(key: str) -> str:
    """What is wrong with the name in a key that begins as a setting of a job."""
    first, _, rest = key.partition(".")
    name, _, param = rest.partition(".")
    if first != "job" or not name or not param or _JOB_NAME.fullmatch(name):
        return ""
    return f": NAME {printable(name)[:80]!r} has other characters than letters of a to z, digits, - and _"


def _value(key: str, entry: Entry, report: Report) -> Any:
    try:
        return typed(key, entry.value, _GROUP_KEYS[key])
    except ValueError as error:
        report.problems.append(Problem(entry.file, entry.line, key, str(error)))
        return None


def _read_jobs(jobs: Jobs, packaged: frozenset[str], report: Report) -> tuple[AnyJob, ...]:
    read: list[AnyJob] = []
    for name, entries in jobs.items():
        if "handler" not in entries:
            first = min(entries.values(), key=lambda entry: entry.line)
            dotted = next((key.rpartition(".")[0] for key in entries if key.endswith(".handler")), "")
            hint = f"; its name cannot be {name}.{dotted}, with a dot" if dotted else suggestion(name, packaged)
            text = f"is missing: the job has no class to run{hint}"
            report.problems.append(Problem(first.file, first.line, f"job.{name}.handler", text))
        elif job := read_job(name, entries, report, packaged=name in packaged):
            read.append(job)
    return tuple(sorted(read, key=lambda job: job.name))


def _rtorrent(group: Mapping[str, Any], merged: MergedSections) -> RTorrentSettings:
    entry = merged.torque.get("scgi_url") or merged.global_.get("scgi_url")
    rc = merged.torque.get("rtorrent_rc") or merged.global_.get("rtorrent_rc")
    configured = (entry.value, f"{entry.file}:{entry.line}") if entry and entry.value else None
    url, origin = configured or address_in_files(rc.value if rc else None)
    deadlines = {key: group[key] for key in ("connect_timeout", "read_timeout") if group.get(key)}
    return RTorrentSettings(url=url, origin=origin, **deadlines)


def _aliases(announce: Mapping[str, Entry]) -> dict[str, str]:
    """Host of each announce URL, or domain, to its alias."""
    return {
        host_of(url) or url.lower(): alias
        for alias, entry in announce.items()
        for url in entry.value.replace(",", " ").split()
    }
