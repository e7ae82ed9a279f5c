"""`pyrotorque check`: is the configuration right, and can everything it needs be had?"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
import msgspec

from pyrotorque_control import terminal
from pyrotorque_control.checked import Checked, CheckedJob, CheckedRTorrent, checked
from pyrotorque_control.exit_codes import EX_CONFIG, EX_OK
from pyrotorque_control.group import Group
from pyrotorque_control.rtorrent_include import import_path, include_file


@click.command(short_help="Check the configuration, and try rTorrent.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(group: Group, as_json: bool) -> int:
    """Read the whole configuration, show what it means, and try rTorrent. Nothing is changed or started.

    \b
    It shows
      each job, with its next runs;
      each condition of the active queues, whole, as it was understood;
      each load command, as a made-up metafile would get it;
      which rTorrent answers, which views and commands it does not know, and
      what it lacks of pyrotorque's include.

    It warns of folders that a schedule in rtorrent.rc loads from, too, and of whatever else may surprise you.

    The exit code is 78 when the configuration is wrong: each error is told with its file and line. It is 0 when the
    group would start; also when no rTorrent answers now, as the group waits for it.
    """
    found = checked(group)
    if as_json:
        click.echo(terminal.json_line(msgspec.to_builtins(found)))
        return EX_OK if found.good else EX_CONFIG
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    for problem in found.problems:
        terminal.complain(problem)
    if not found.good:
        return EX_CONFIG
    for line in shown(found):
        terminal.show(line) if not isinstance(line, str) else click.echo(line)
    return EX_OK


def shown(found: Checked) -> Iterator[object]:
    """Tables and lines, in the order in which they are read."""
    now = datetime.now()
    rows = [(job.name, "yes" if job.active else "no", job.handler, runs(job, now)) for job in found.jobs]
    yield terminal.table(("job", "active", "handler", "next runs"), rows)
    if found.conditions:
        yield terminal.table(("condition or order", "as it was understood"), found.conditions.items())
    if found.load_commands:
        yield terminal.table(("load command", "as a sample metafile gets it"), found.load_commands.items())
    yield from rtorrent_said(found.rtorrent, Path(found.config_dir))
    yield "The configuration is good."


def runs(job: CheckedJob, now: datetime) -> str:
    """The next moments of a job's schedule, without the date where it is today."""
    times = [datetime.fromtimestamp(moment) for moment in job.fires]
    today = now.date()
    told = (each.strftime("%H:%M:%S" if each.date() == today else "%Y-%m-%d %H:%M:%S") for each in times)
    return ", ".join(told) or job.runs


def rtorrent_said(found: CheckedRTorrent, config_dir: Path) -> Iterator[str]:
    """Which rTorrent answers, or why none does."""
    place = f"{found.url} (from {found.origin})"
    if not found.url:
        yield f"rTorrent: {found.problem}"
    elif not found.answers:
        yield f"rTorrent: {place} does not answer now: {found.problem}"
    else:
        yield f"rTorrent: {found.version} at {place}, pid {found.pid}"
    if found.unknown:
        yield "  It does not have what the configuration names:"
        yield from (f"    {each}" for each in found.unknown)
    if found.lacks:
        yield "  It runs without pyrotorque's include. That works, but:"
        yield from (f"    {each}" for each in found.lacks)
        line = import_path(config_dir)
        include = include_file(config_dir)
        written = "" if include.exists() else f"let `pyrotorque init` write {include}, "
        yield f"  To have them, {written}add `import = {line}` to rtorrent.rc, and start rTorrent again."
