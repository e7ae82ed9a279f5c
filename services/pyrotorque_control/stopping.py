"""Is the group running, and its end: asked for politely, waited for, and said honestly."""

import os
import signal
import time
from contextlib import suppress
from datetime import timedelta

import click

from pyrotorque.linux.processes import ProcessIdentity
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL, EX_UNAVAILABLE
from pyrotorque_control.group import Group

# supervisord gives a service 10 seconds before it kills it.
_PATIENCE = 20.0  # seconds
_LOOK_EVERY = 0.05  # seconds


def say_status(group: Group) -> int:
    """One line for people, the exit code for programs."""
    found = group.running()
    if found is None:
        click.echo(f"pyrotorque is not running ({group.config_dir})")
        return EX_UNAVAILABLE
    click.echo(f"pyrotorque is running, pid {found.pid}, up {uptime(time.time() - found.started)}")
    return EX_OK


def uptime(seconds: float) -> str:
    """As people read it: `1 day, 2:03:04`."""
    return str(timedelta(seconds=max(0, int(seconds))))


def stop(group: Group) -> int:
    """End the group and wait for it."""
    found = group.must_run()
    if not end(found):
        click.echo(f"pyrotorque: pid {found.pid} still runs after {_PATIENCE:.0f} s", err=True)
        return EX_TEMPFAIL
    from pyrotorque_control.rtorrent_include import include_file

    click.echo("pyrotorque has stopped")
    if group.guard_file.exists() and include_file(group.config_dir).exists():
        click.echo(f"while {group.guard_file} is there, rTorrent's include starts it again within 300 s")
    return EX_OK


def end(supervisord: ProcessIdentity) -> bool:
    """Ask supervisord to stop everything; True when it has ended in time."""
    with suppress(ProcessLookupError):
        os.kill(supervisord.pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while supervisord.is_running():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY)
    return True
