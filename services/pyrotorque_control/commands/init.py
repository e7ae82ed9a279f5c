"""`pyrotorque init`: a configuration directory to begin with; what is already there is left alone."""

import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

import pyrotorque
from pyrotorque.errors import LayoutError
from pyrotorque.settings import packaged_text
from pyrotorque.settings.rtorrent_rc import usual_files
from pyrotorque.supervisord import config
from pyrotorque.text import printable
from pyrotorque_control.exit_codes import EX_OK
from pyrotorque_control.findings import OPEN_LOCAL, unknown_address
from pyrotorque_control.group import Group
from pyrotorque_control.rtorrent_include import import_path, include_file, include_text

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
    """Write what a first start needs into ~/.pyroscope, or the folder that --config-dir names; overwrite nothing.

    \b
      torque.ini                     to begin with: queue and exporter are active
      torque.ini.default             all settings with their defaults, to read
      rtorrent.d/torque.rc.default   for rTorrent: timestamps, bell, watchdog
      supervisor.conf                for supervisorctl; yours to extend
      run/pyrotorque                 the guard file: lets it run in the background

    It says which rTorrent it has found, and prints the line that your rtorrent.rc gets. Run it again whenever you like.
    """
    group.config_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout = group.layout
    layout.prepare()
    address = _address()
    _write(group.config_dir / "torque.ini", lambda: minimal(address))
    _write(group.config_dir / "torque.ini.default", packaged_text)
    _write(include_file(group.config_dir), lambda: include_text(group.config_dir))
    _write(config.stub_file(layout), lambda: config.stub(layout))
    _write(group.guard_file, str)
    click.echo(f"\nrTorrent: {printable(address.said)}")
    click.echo(f"\nAdd this line to {_rtorrent_rc()}, and start rTorrent again:\n")
    click.echo(f"  import = {import_path(group.config_dir)}\n")
    if not address.known:
        click.echo("And this one, if there is none like it: through that socket rTorrent can be reached.\n")
        click.echo(f"  {OPEN_LOCAL}\n")
    click.echo(
        "Then: `pyrotorque check` looks whether all is well, `pyrotorque` starts it, `pyrotorque status` shows it."
    )
    if (pages := documentation()) is not None:
        click.echo(f"All pages, and what deploy/ has for systemd and others, are in {printable(str(pages))}")
    return EX_OK


def documentation() -> Path | None:
    """Where this installation has README.md, docs/ and deploy/: in its environment, or in the checkout."""
    places = (Path(sysconfig.get_path("data")) / "share/doc/pyrotorque", Path(pyrotorque.__file__).parents[2])
    return next((place for place in places if (place / "docs/quickstart.md").is_file()), None)


@dataclass(frozen=True)
class Address:
    """What can be known of rTorrent's address before anything is configured; `write` is what torque.ini has to say."""

    said: str
    known: bool
    write: str = ""


def _address() -> Address:
    """From rTorrent's configuration, else from a running rTorrent."""
    from pyrotorque.settings.discovery import address_in_files, listening_rtorrents

    url, name = address_in_files(None)
    if url is not None:
        return Address(f"listens at {url}, says {name}", known=True)
    found = list(listening_rtorrents())
    sockets = [each for each in found if each.url.startswith("scgi:///")]
    if len(sockets) == 1:
        (one,) = sockets
        return Address(f"listens at {one.url}, seen at process {one.pid}", known=True, write=one.url)
    return Address(unknown_address(), known=bool(found))


def minimal(address: Address) -> str:
    """A torque.ini that runs; with rTorrent's address where only its process tells it."""
    return MINIMAL + (_ADDRESS.format(url=address.write.replace("%", "%%")) if address.write else "")


def _rtorrent_rc() -> str:
    """The file that is there, or the usual one."""
    names = list(usual_files(str(Path.home()), None))
    return printable(next((name for name in names if Path(name).is_file()), names[0]))


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
