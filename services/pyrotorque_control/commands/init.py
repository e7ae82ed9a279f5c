"""`pyrotorque init`: writes a first configuration directory and overwrites nothing."""

import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

import pyrotorque
from pyrotorque.errors import LayoutError, StateError
from pyrotorque.settings import packaged_text
from pyrotorque.supervisord import config
from pyrotorque.text import printable
from pyrotorque_control.checks.rtorrent import OPEN_LOCAL, unknown_address
from pyrotorque_control.exit_codes import EX_CONFIG, EX_OK
from pyrotorque_control.group import Group
from pyrotorque_control.panel_groups import panel_of_another
from pyrotorque_control.rtorrent_choice import configured_rtorrent, rc_choice
from pyrotorque_control.rtorrent_include import (
    IncludeState,
    check_include,
    import_path,
    include_difference,
    include_file,
    include_text,
    include_warning,
    write_include,
)

MINIMAL = """\
# Configuration of pyrotorque. Settings that are missing here have the defaults in torque.ini.default.
# `pyrotorque check` validates this file, `pyrotorque --restart` applies it.

[TORQUE]
# Queue: starts stopped items while slots are free.
job.queue.active            = True
job.queue.downloading_max   = 3

# Tree watch: loads metafiles that appear anywhere below this folder.
job.treewatch.active        = False
job.treewatch.path          = ~/rtorrent/watch
job.treewatch.load_mode     = start
job.treewatch.queued        = True

# Exporter: http://127.0.0.1:9135/metrics for Prometheus. Other users of this machine can read it.
job.exporter.active         = True
"""
_PANEL = """
# The panel: pages and a JSON API on http://127.0.0.1:9180, behind a login; `pyrotorque panel` prints a login link.
panel.active                = True
"""
_OTHER_PANEL = """
# The panel of {other} can show this group, too: add this folder to its panel.groups.
# panel.active              = True
"""
_ADDRESS = """
# rTorrent's address, detected from its running process.
scgi_url                    = {url}
"""


@click.command(short_help="Write a first configuration.")
@click.option("--refresh-include", is_flag=True, help="Only update rtorrent.d/torque.rc.default, unless it was edited.")
@click.pass_obj
def command(group: Group, refresh_include: bool) -> int:
    """Write a first configuration to ~/.pyroscope, or to the folder given with --config-dir. Existing files are kept.

    \b
      torque.ini                     settings: queue, exporter, panel are active
      torque.ini.default             all settings and their defaults, to read
      rtorrent.d/torque.rc.default   for rTorrent: timestamps, bell, watchdog
      supervisor.conf                for supervisorctl and programs of your own
      run/pyrotorque                 guard file: required in the background

    It also shows the rTorrent that it found, and the line to add to your rtorrent.rc. It can be run again at any time.

    With --refresh-include it only updates rtorrent.d/torque.rc.default, as after an upgrade or a move of the
    installation. A file that was edited is not changed: the command shows the difference, and the exit code is 78.
    A start of the group replaces that file in any case, so keep your own changes in rtorrent.rc.
    """
    if refresh_include:
        return _refresh_include(group.config_dir)
    layout = group.layout
    config.require_usable(layout)
    group.config_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    address = _detect_address(group.config_dir)
    # Before the other folders: what they need may have to be set in this file.
    _write(group.config_dir / "torque.ini", lambda: minimal(address, panel_of_another(group.config_dir)))
    layout.prepare()
    _write(group.config_dir / "torque.ini.default", packaged_text)
    _write(include_file(group.config_dir), lambda: include_text(group.config_dir))
    _write(config.stub_file(layout), lambda: config.stub(layout))
    _write(group.guard_file, str)
    if outdated := include_warning(group.config_dir):
        click.echo(f"pyrotorque: warning: {outdated}", err=True)
    click.echo(f"\nrTorrent: {printable(address.description)}")
    choice = rc_choice(group.config_dir, address.url, several=address.several)
    click.echo(f"\nAdd this line to {choice.file}, and restart rTorrent:\n")
    click.echo(f"  import = {import_path(group.config_dir)}\n")
    if note := choice.note or _note_of_others(address.others):
        click.echo(f"{note}.\n")
    if not address.known:
        click.echo("Also add this one, unless there is a similar line; pyrotorque connects to that socket:\n")
        click.echo(f"  {OPEN_LOCAL}\n")
    click.echo(
        "Then run `pyrotorque check` to validate the settings, `pyrotorque` to start the group, and "
        "`pyrotorque status` to see its state."
    )
    if (pages := documentation()) is not None:
        click.echo(f"Documentation, and deploy/ with files for systemd and others: {printable(str(pages))}")
    return EX_OK


def _refresh_include(config_dir: Path) -> int:
    found = check_include(config_dir)
    name = printable(str(include_file(config_dir)))
    if found.state is IncludeState.CURRENT:
        click.echo(f"kept     {name}: it is current")
        return EX_OK
    if found.state is IncludeState.UNREADABLE:
        raise LayoutError(f"cannot read {name}: {found.problem}")
    if found.state is IncludeState.EDITED:
        for line in include_difference(config_dir, found.text):
            click.echo(printable(line))
        click.echo(
            f"pyrotorque: {name} was edited and is not changed. Apply the lines with + and -, or copy your changes "
            "to your rtorrent.rc, delete the file, and run this command again",
            err=True,
        )
        return EX_CONFIG
    try:
        write_include(config_dir)
    except StateError as error:
        raise LayoutError(str(error)) from error
    except OSError as error:
        raise LayoutError(f"cannot write {name}: {error.strerror}") from error
    click.echo(f"written  {name}\nRestart rTorrent to apply it.")
    return EX_OK


def documentation() -> Path | None:
    """The folder with README.md, docs/ and deploy/, in the environment or in the checkout."""
    places = (Path(sysconfig.get_path("data")) / "share/doc/pyrotorque", Path(pyrotorque.__file__).parents[2])
    return next((place for place in places if (place / "docs/quickstart.md").is_file()), None)


@dataclass(frozen=True)
class DetectedAddress:
    """rTorrent's address before anything is configured; `scgi_url` is set if torque.ini must contain it."""

    description: str
    known: bool
    scgi_url: str = ""
    url: str | None = None
    several: bool = False
    """Several run, and which one the group is for is not known."""
    others: tuple[str, ...] = ()
    """Sockets of other rTorrents of this user, which the group may be for unless torque.ini says otherwise."""


def _detect_address(config_dir: Path) -> DetectedAddress:
    """From an existing torque.ini, else from rTorrent's configuration, else from a running rTorrent."""
    from pyrotorque.settings.discovery import address_in_files, listening_rtorrents

    if (own := configured_rtorrent(config_dir)) is not None:
        return DetectedAddress(f"listens at {own.url} (from {own.origin})", known=True, url=own.url)
    url, name = address_in_files(None)
    found = list(listening_rtorrents())
    if url is not None:
        own_pids = {each.pid for each in found if each.url == url}
        others = [each.url for each in found if each.url.startswith("scgi:///") and each.pid not in own_pids]
        return DetectedAddress(f"listens at {url} (from {name})", known=True, url=url, others=tuple(others))
    sockets = [each for each in found if each.url.startswith("scgi:///")]
    if len(sockets) == 1:
        (one,) = sockets
        return DetectedAddress(f"listens at {one.url} (from process {one.pid})", known=True, scgi_url=one.url)
    several = len({each.pid for each in found}) > 1
    return DetectedAddress(unknown_address(), known=bool(found), several=several)


def _note_of_others(others: tuple[str, ...]) -> str:
    if not others:
        return ""
    return (
        f"Other rTorrents of this user listen at {', '.join(map(printable, others))}. If this group is for one of "
        "them, set scgi_url in torque.ini to its address, and add the line to its rtorrent.rc instead"
    )


def minimal(address: DetectedAddress, panel: Path | None = None) -> str:
    """A minimal torque.ini; with rTorrent's address if it is in no configuration file.

    `panel` is another group of this user that has a panel: one panel shows all of them.
    """
    shown = _OTHER_PANEL.format(other=printable(str(panel)).replace("%", "%%")) if panel else _PANEL
    return MINIMAL + shown + (_ADDRESS.format(url=address.scgi_url.replace("%", "%%")) if address.scgi_url else "")


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
