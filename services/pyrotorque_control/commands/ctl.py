"""`pyrotorque ctl`: supervisorctl with the right file."""

import os
import sys

import click

from pyrotorque.supervisord import Supervisord, config
from pyrotorque_control.exit_codes import EX_UNAVAILABLE
from pyrotorque_control.group import Group, Refused
from pyrotorque_control.terminal import complain


@click.command(
    short_help="supervisorctl with the right file.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(group: Group, words: tuple[str, ...]) -> None:
    """supervisorctl with the right file; without words it asks you for them.

    \b
      pyrotorque ctl status                 its states: RUNNING, FATAL, …
      pyrotorque ctl tail -f watcher        the log of a service, as it grows
      pyrotorque ctl restart exporter       one service anew
      pyrotorque ctl signal HUP scheduler   let it read its configuration again
      pyrotorque ctl help                   all that supervisorctl can do

    The services are exporter, guardian, scheduler and watcher. Exit codes are supervisorctl's.
    """
    conf = config.control_file(group.layout)
    if not conf.exists():
        raise Refused(f"the group in {group.config_dir} was never started: there is no {conf}", EX_UNAVAILABLE)
    if not Supervisord(group.layout.supervisor_socket).listens():
        complain(_silence(group))
    sys.stdout.flush()
    program = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(conf)]
    os.execv(sys.executable, [*program, *words])


def _silence(group: Group) -> str:
    if found := group.running():
        return f"pid {found.pid} runs, but its socket is gone: `pyrotorque --restart` starts it anew"
    return f"the group in {group.config_dir} is not running: `pyrotorque` starts it"
