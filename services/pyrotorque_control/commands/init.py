"""`pyrotorque init`: a configuration directory to begin with; what is already there is left alone."""

from collections.abc import Callable
from pathlib import Path

import click

from pyrotorque import supervision
from pyrotorque.errors import LayoutError
from pyrotorque.settings import packaged_text
from pyrotorque.text import printable
from pyrotorque_control.exits import EX_OK
from pyrotorque_control.group import Group
from pyrotorque_control.includes import include_file, include_text

MINIMAL = """\
# Configuration of pyrotorque. What is not set here has the default that torque.ini.default shows;
# `pyrotorque check` says whether all is well, `pyrotorque --restart` makes it so.

[TORQUE]
# Queue: starts stopped items while there is room.
job.queue.active            = True
job.queue.downloading_max   = 3

# Tree watch: loads metafiles that appear anywhere below this folder.
job.treewatch.active        = False
job.treewatch.path          = ~/rtorrent/watch
job.treewatch.load_mode     = start
job.treewatch.queued        = True

# Exporter: http://127.0.0.1:9135/metrics for Prometheus. On a shared machine others can read it, too.
job.exporter.active         = True
"""
_ADDRESS = """
# Where rTorrent listens; it was found at its running process.
scgi_url                    = {url}
"""


@click.command(short_help="Write a first configuration.")
@click.pass_obj
def command(group: Group) -> int:
    """Write a first torque.ini, the guard file, supervisor.conf and the include for rTorrent; overwrite nothing."""
    group.config_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout = group.layout
    layout.prepare()
    _write(group.config_dir / "torque.ini", minimal)
    _write(group.config_dir / "torque.ini.default", packaged_text)
    _write(include_file(group.config_dir), lambda: include_text(group.config_dir))
    _write(supervision.stub_file(layout), lambda: supervision.stub(layout))
    _write(group.guard_file, str)
    click.echo("\nAdd this line to your rtorrent.rc, and start rTorrent again:\n")
    click.echo(f"  import = {include_file(group.config_dir)}\n")
    if not listens():
        click.echo("It seems to have no socket yet, through which it can be reached. Then it needs this line, too:\n")
        click.echo("  network.scgi.open_local = (cat,(session.path),rpc.socket)\n")
    click.echo(
        "Then: `pyrotorque check` looks whether all is well, `pyrotorque` starts it, `pyrotorque status` shows it."
    )
    return EX_OK


def listens() -> bool:
    """Whether rTorrent's configuration names an address, or a running rTorrent has one."""
    from pyrotorque.settings.locate import address_in_files, listening_rtorrents

    return address_in_files(None)[0] is not None or any(listening_rtorrents())


def minimal() -> str:
    """A torque.ini that runs; with rTorrent's address where only its process tells it."""
    from pyrotorque.settings.locate import address_in_files, listening_rtorrents

    if address_in_files(None)[0] is not None:
        return MINIMAL
    sockets = [found.url for found in listening_rtorrents() if found.url.startswith("scgi:///")]
    return MINIMAL + _ADDRESS.format(url=sockets[0].replace("%", "%%")) if len(sockets) == 1 else MINIMAL


def _write(path: Path, content: Callable[[], str]) -> None:
    shown = printable(str(path))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(content())
    except FileExistsError:
        click.echo(f"kept     {shown}")
    except OSError as error:
        raise LayoutError(f"cannot write {shown}: {error.strerror}") from error
    else:
        click.echo(f"written  {shown}")
