"""Start the group: in the background, in the foreground with all its logs, or anew with today's configuration."""

import time

import click
import msgspec

from pyrotorque.errors import PyrotorqueError
from pyrotorque.layout import SERVICES
from pyrotorque.options import read_options
from pyrotorque.supervisord import Supervisord, SupervisordError, launch
from pyrotorque_control import stopping
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL
from pyrotorque_control.group import Group, Refused
from pyrotorque_control.preparing import prepare

_RESTARTED_WITHIN = 30.0  # seconds
_LOOK_EVERY = 0.1  # seconds


def background(group: Group, *, quiet: bool) -> int:
    """Start the group and leave it alone; `quiet` finds nothing wrong with one that runs already."""
    if found := group.running():
        if quiet:
            return EX_OK
        said = f"already running, pid {found.pid}: `pyrotorque --restart` takes over a changed configuration"
        raise Refused(said, EX_TEMPFAIL)
    if not group.guard_file.exists() and group.config_dir.is_dir():
        said = f"the guard file {group.guard_file} is missing"
        raise Refused(f"{said}: `touch` it to let the group run in the background, or use --fg", EX_TEMPFAIL)
    # Its guardian ends the group when that file is gone.
    guarded = msgspec.structs.replace(group.options, guard_file=str(group.guard_file))
    prepared = prepare(Group(group.config_dir, guarded))
    pid = launch.start(prepared.layout, prepared.options)
    if not quiet:
        click.echo(f"pyrotorque has started, pid {pid}; its log is {prepared.layout.log_dir / 'torque.log'}")
    return EX_OK


def foreground(group: Group) -> int:
    """Run the group here until it is told to stop."""
    from pyrotorque_control.foreground import run

    if found := group.running():
        raise Refused(f"already running, pid {found.pid}: `pyrotorque --stop` ends it", EX_TEMPFAIL)
    return run(prepare(group))


def restart(group: Group) -> int:
    """Start everything anew on the configuration of now; a broken one leaves the group as it is."""
    found = group.running()
    if found is None:
        return background(group, quiet=False)
    asked = time.time()
    before = read_options(group.layout)
    kept = msgspec.structs.replace(
        group.options,
        foreground=before.foreground,
        guard_file=group.options.guard_file or before.guard_file,
        pid_file=str(group.pid_file),
    )
    prepared = prepare(Group(group.config_dir, kept))
    supervisord = Supervisord(prepared.layout.supervisor_socket)
    if supervisord.listens():
        launch.restart(prepared.layout, prepared.options)
        _wait_until_restarted(supervisord, asked)
    else:
        # Somebody removed its socket: nobody can ask it for anything any more.
        stopping.end(found)
        launch.start(prepared.layout, prepared.options)
    click.echo("pyrotorque has restarted")
    return EX_OK


def _wait_until_restarted(supervisord: Supervisord, asked: float) -> None:
    deadline = time.monotonic() + _RESTARTED_WITHIN
    while time.monotonic() < deadline:
        try:
            # supervisord tells whole seconds.
            started = {process.name for process in supervisord.processes() if process.started >= int(asked)}
        except SupervisordError:
            started = set()
        if started.issuperset(SERVICES):
            return
        time.sleep(_LOOK_EVERY)
    raise PyrotorqueError(f"not all services are back after {_RESTARTED_WITHIN:.0f} s: see `pyrotorque status`")


def run_once(group: Group, job: str) -> int:
    """Run one job now: by the scheduler when the group runs, else here."""
    from pyrotorque_control.single_run import once

    return once(group, job)
