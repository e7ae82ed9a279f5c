"""`pyrotorque check`: is the configuration right, and can everything it needs be had?"""

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from pyrotorque import configuration
from pyrotorque.configuration import Configuration
from pyrotorque.errors import RTorrentError
from pyrotorque.settings.schema import AnyJob, ExporterSettings, WatchSettings
from pyrotorque_control import findings, terminal
from pyrotorque_control.exits import EX_OK
from pyrotorque_control.group import Group
from pyrotorque_control.includes import include_file

_FIRES_SHOWN = 3


@click.command(short_help="Check the configuration, and try rTorrent.")
@click.pass_obj
def command(group: Group) -> int:
    """Read the whole configuration, show what it means, and try rTorrent. Changes nothing; exit code 78 when wrong."""
    found = configuration.read(group.config_dir, group.options, seek=True)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    for said in (*findings.overlaps(found.settings, Path.home()), *findings.hooks(found.settings, Path.home())):
        click.echo(f"warning: {said}", err=True)
    now = time.time()
    rows = [(job.name, "yes" if job.active else "no", job.handler, fires(job, now)) for job in found.settings.jobs]
    terminal.show(terminal.table(("job", "active", "handler", "next runs"), rows))
    commands = list(findings.rendered(found.settings.jobs, group.config_dir))
    if commands:
        terminal.show(terminal.table(("load command", "as a sample metafile gets it"), commands))
    click.echo(rtorrent_said(found))
    click.echo("The configuration is good.")
    return EX_OK


def fires(job: AnyJob, now: float) -> str:
    """The next moments of a job's schedule."""
    if not job.active:
        return ""
    if isinstance(job, ExporterSettings):
        return "when it is scraped"
    if isinstance(job, WatchSettings):
        return "when a metafile is written"
    if not job.schedule:
        return "at events"
    from pyrotorque.schedule import parse_schedule

    times = [datetime.fromtimestamp(moment) for moment in parse_schedule(job.schedule).fires(now, _FIRES_SHOWN)]
    today = datetime.fromtimestamp(now).date()
    return ", ".join(time.strftime("%H:%M:%S" if time.date() == today else "%Y-%m-%d %H:%M:%S") for time in times)


def rtorrent_said(found: Configuration) -> str:
    """Which rTorrent answers, or why none does: that is no error of the configuration, it may be started later."""
    from pyrotorque.rtorrent import RTorrent

    rtorrent = found.settings.rtorrent
    if rtorrent.url is None:
        return (
            "rTorrent: no address is configured and none was found; set scgi_url in [TORQUE], "
            "or start rTorrent with network.scgi.open_local"
        )
    place = f"{rtorrent.url} (from {rtorrent.origin})"
    client = RTorrent(rtorrent.url, connect_timeout=2.0, read_timeout=5.0)
    try:
        identity = client.identity()
    except RTorrentError as error:
        return f"rTorrent: {place} does not answer now: {error}"
    said = f"rTorrent: {identity.client_version} at {place}, pid {identity.pid}"
    return said + _include_said(findings.lacking(client), include_file(found.layout.config_dir))


def _include_said(lacking: Sequence[str], include: Path) -> str:
    if not lacking:
        return ""
    written = "" if include.exists() else f"let `pyrotorque init` write {include}, "
    lines = "".join(f"\n    {each}" for each in lacking)
    return (
        f"\n  It runs without pyrotorque's include. That works, but:{lines}"
        f"\n  To have them, {written}add `import = {include}` to rtorrent.rc, and start rTorrent again."
    )
