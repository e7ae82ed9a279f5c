"""Starts, restarts and stops the group, after the whole configuration has been checked."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import click
import msgspec

from pyrotorque import configuration
from pyrotorque.configuration import Configuration
from pyrotorque.errors import PyrotorqueError, StateError
from pyrotorque.layout import SERVICES
from pyrotorque.linux.processes import ProcessIdentity
from pyrotorque.options import read_options, write_atomically, write_options
from pyrotorque.settings import packaged_text
from pyrotorque.supervisord import Supervisord, SupervisordError, launch
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.rtorrent_include import include_file, include_text

_RESTART_TIMEOUT = 30.0  # seconds
# supervisord waits 10 seconds for a service before it kills it.
_STOP_TIMEOUT = 20.0  # seconds
_POLL_INTERVAL = 0.1  # seconds


def start(group: Group, *, quiet: bool) -> int:
    """Start the group in the background; `quiet` prints nothing and accepts a group that runs already."""
    if found := group.running():
        if quiet:
            return EX_OK
        raise CommandError(
            f"already running, pid {found.pid}: `pyrotorque --restart` applies a changed configuration", EX_TEMPFAIL
        )
    if not group.guard_file.exists() and group.config_dir.is_dir():
        raise CommandError(
            f"the guard file {group.guard_file} is missing: "
            "`touch` it to let the group run in the background, or use --fg",
            EX_TEMPFAIL,
        )
    # The guardian stops the group when this file is removed.
    guarded = msgspec.structs.replace(group.options, guard_file=str(group.guard_file))
    prepared = prepare(Group(group.config_dir, guarded))
    pid = launch.start(prepared.layout, prepared.options)
    if not quiet:
        click.echo(f"pyrotorque has started, pid {pid}; its log is {prepared.layout.log_dir / 'torque.log'}")
    return EX_OK


def run_in_foreground(group: Group) -> int:
    """Run the group in this terminal until it is stopped."""
    from pyrotorque_control.foreground import run

    if found := group.running():
        raise CommandError(f"already running, pid {found.pid}: `pyrotorque --stop` stops it", EX_TEMPFAIL)
    return run(prepare(group))


def restart(group: Group) -> int:
    """Restart all services with the current configuration; when that is wrong, the group keeps running as it is."""
    found = group.running()
    if found is None:
        return start(group, quiet=False)
    requested = time.time()
    before = read_options(group.layout)
    options = msgspec.structs.replace(
        group.options,
        foreground=before.foreground,
        guard_file=group.options.guard_file or before.guard_file,
        pid_file=str(group.pid_file),
    )
    prepared = prepare(Group(group.config_dir, options))
    supervisord = Supervisord(prepared.layout.supervisor_socket)
    if supervisord.listens():
        launch.restart(prepared.layout, prepared.options)
        _wait_until_restarted(supervisord, requested)
    else:
        # Its socket was removed, so supervisord can no longer be controlled through it.
        terminate(found)
        launch.start(prepared.layout, prepared.options)
    click.echo("pyrotorque has restarted")
    return EX_OK


def stop(group: Group) -> int:
    """Stop the group and wait until it has stopped."""
    found = group.must_run()
    if not terminate(found):
        click.echo(f"pyrotorque: pid {found.pid} still runs after {_STOP_TIMEOUT:.0f} s", err=True)
        return EX_TEMPFAIL
    click.echo("pyrotorque has stopped")
    if group.guard_file.exists() and include_file(group.config_dir).exists():
        click.echo(f"while {group.guard_file} exists, rTorrent's include starts it again within 300 s")
    return EX_OK


def terminate(supervisord: ProcessIdentity) -> bool:
    """Send TERM to supervisord, which then stops all services; False when it still runs after the timeout."""
    with suppress(ProcessLookupError):
        os.kill(supervisord.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT
    while supervisord.is_running():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_INTERVAL / 2)
    return True


def _wait_until_restarted(supervisord: Supervisord, requested: float) -> None:
    deadline = time.monotonic() + _RESTART_TIMEOUT
    while time.monotonic() < deadline:
        try:
            # supervisord reports start times in whole seconds.
            started = {process.name for process in supervisord.processes() if process.started >= int(requested)}
        except SupervisordError:
            started = set()
        if started.issuperset(SERVICES):
            return
        time.sleep(_POLL_INTERVAL)
    raise PyrotorqueError(f"some services have not restarted within {_RESTART_TIMEOUT:.0f} s: see `pyrotorque status`")


def prepare(group: Group) -> Configuration:
    """Check the configuration, store it for the services together with the options of this command line, and return it.

    Raises SettingsProblems and changes nothing when it is wrong.
    """
    found = configuration.read(group.config_dir, group.options)
    for warning in found.warnings:
        click.echo(f"pyrotorque: warning: {warning}", err=True)
    if os.geteuid() == 0:
        click.echo("pyrotorque: warning: running as root; run it as the user that rTorrent runs as", err=True)
    found.layout.prepare()
    write_options(found.layout, group.options)
    configuration.adopt(found)
    update_generated_files(group.config_dir)
    return found


def update_generated_files(config_dir: Path) -> None:
    """Rewrite the files of `init` that users do not edit, as after an upgrade; a failure does not prevent the start."""
    _update(config_dir / "torque.ini.default", packaged_text())
    if include_file(config_dir).exists():
        _update(include_file(config_dir), include_text(config_dir))


def _update(path: Path, text: str) -> None:
    content = text.encode("utf-8", "surrogateescape")
    try:
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)
    except (OSError, StateError):
        return
