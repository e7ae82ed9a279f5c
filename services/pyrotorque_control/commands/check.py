"""`pyrotorque check`: validates the configuration, shows what it means, and queries rTorrent."""

import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from pyrotorque.humanize import date_time, short_time
from pyrotorque.local_time import zone_text
from pyrotorque.text import printable
from pyrotorque_control import terminal
from pyrotorque_control.checks.report import CheckReport, JobCheck, check_group
from pyrotorque_control.checks.rtorrent import RTorrentCheck
from pyrotorque_control.exit_codes import EX_CONFIG, EX_OK
from pyrotorque_control.group import Group
from pyrotorque_control.rtorrent_include import import_path, include_file


@click.command(short_help="Check the configuration and rTorrent.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(group: Group, as_json: bool, paths: tuple[Path, ...]) -> int:
    """Check the whole configuration, show what it means, and query rTorrent. Nothing is changed or started.

    \b
    It shows
      each job and its next fire times;
      each complete condition of the active queues;
      each load command, rendered for a sample metafile;
      the job of each watched root, and of each PATH;
      the rTorrent that answers, views and commands that it does not have,
      and missing parts of pyrotorque's include.

    It warns of possible mistakes, such as watched folders from which a schedule in rtorrent.rc loads, too, and of an
    include that an earlier version wrote. It names commands in rtorrent.rc and its imported files that your rTorrent
    does not have, refuses or ignores: the one that answers, else the one on the PATH.

    The exit code is 78 when the configuration is wrong, or contains what can only fail later; each error has its file
    and line. It is 0 when rTorrent does not answer, because the group waits for it.
    """
    found = check_group(group, paths)
    if as_json:
        click.echo(terminal.json_line(msgspec.to_builtins(found)))
        return EX_OK if found.good else EX_CONFIG
    for warning in found.warnings:
        terminal.print_warning(warning)
    for problem in found.problems:
        terminal.print_error(problem)
    if not found.jobs:
        return EX_CONFIG
    for line in shown(found):
        terminal.show(line) if not isinstance(line, str) else terminal.echo(line)
    return EX_OK if found.good else EX_CONFIG


def shown(found: CheckReport) -> Iterator[object]:
    """Tables and lines, in order."""
    now = time.time()
    rows = [(job.name, job.handler, runs(job, now) if job.active else "not active") for job in found.jobs]
    yield terminal.table(("job", "handler", "next runs"), rows)
    yield f"Local time: {date_time(now)} {zone_text(now)}"
    if found.conditions:
        yield terminal.table(("condition or order", "normal form"), found.conditions.items())
    if found.load_commands:
        yield terminal.table(("load command", "for a sample metafile"), found.load_commands.items())
    if found.roots:
        inside = [(root.path, root.job, root.inside and f"in the tree of {root.inside}") for root in found.roots]
        yield terminal.table(("watched root", "job", ""), inside)
    for path, job in found.paths.items():
        yield f"{printable(path)}: " + (f"job {job}" if job else "in no watched tree")
    yield from rtorrent_lines(found.rtorrent, Path(found.config_dir))
    yield "The configuration is valid." if found.good else "The group starts, but what is listed as an error fails."


def runs(job: JobCheck, now: float) -> str:
    """The next fire times of a job; those of today without the date; and the jobs that it runs after."""
    text = ", ".join(short_time(fire, now) for fire in job.fires) or job.runs
    if not job.active or not job.after:
        return text
    after = f"at events after {', '.join(job.after)}"
    return f"{text}; {after}" if job.fires else after


def rtorrent_lines(found: RTorrentCheck, config_dir: Path) -> Iterator[str]:
    """Which rTorrent answers, or why none does; names that it does not have; what its include lacks."""
    place = f"{found.url} (from {found.origin})"
    if not found.url:
        yield f"rTorrent: {found.problem}"
    elif not found.answers:
        yield f"rTorrent: {place} does not answer: {found.problem}"
    else:
        yield f"rTorrent: {found.version} at {place}, pid {found.pid}"
    if found.unknown:
        yield "  Names in the configuration that it does not have:"
        yield from (f"    {each}" for each in found.unknown)
    if found.lacks:
        yield "  It runs without pyrotorque's include, or parts of it. Consequences:"
        yield from (f"    {each}" for each in found.lacks)
        line = import_path(config_dir)
        include = include_file(config_dir)
        written = "" if include.exists() else f"run `pyrotorque init` to write {include}, "
        yield f"  To change that, {written}add `import = {line}` to rtorrent.rc, and restart rTorrent."
