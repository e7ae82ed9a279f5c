"""`pyrotorque ctl`: supervisorctl with the group's configuration file."""

import os
import sys
from typing import Final

import click

from pyrotorque.interpreter import import_path, module_command
from pyrotorque.supervisord import Supervisord, config
from pyrotorque.text import printable
from pyrotorque_control.client import require_real_run
from pyrotorque_control.exit_codes import EX_UNAVAILABLE
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.terminal import print_error

_READS: Final = frozenset(("avail", "help", "maintail", "pid", "status", "tail", "version"))
"""The commands of supervisorctl that change nothing."""


@click.command(
    short_help="Run supervisorctl for this group.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(group: Group, words: tuple[str, ...]) -> None:
    """Run supervisorctl for this group; without arguments it is interactive.

    \b
      pyrotorque ctl status                 states: RUNNING, FATAL, …
      pyrotorque ctl tail -f watcher        follow the log of a service
      pyrotorque ctl restart exporter       restart one service
      pyrotorque ctl signal HUP scheduler   reload the configuration
      pyrotorque ctl help                   all commands of supervisorctl

    The services are exporter, guardian, scheduler and watcher. Exit codes are supervisorctl's, and 78 if `reload`,
    `reread` or `update` is refused because supervisor.conf is broken. All other commands work nevertheless.
    """
    if group.options.dry_run and (not words or words[0] not in _READS):
        require_real_run(group)
    conf = config.control_file(group.layout)
    if not conf.exists():
        raise CommandError(
            f"the group in {printable(str(group.config_dir))} was never started: there is no {printable(str(conf))}",
            EX_UNAVAILABLE,
        )
    if not Supervisord(group.layout.supervisor_socket).listens():
        print_error(*_why_not_reachable(group))
    sys.stdout.flush()
    environment = {**os.environ, "PYTHONPATH": import_path(), "PYTHONIOENCODING": "utf-8:backslashreplace"}
    command = module_command("pyrotorque_control.supervisorctl", str(group.config_dir), *words)
    os.execve(sys.executable, command, environment)


def _why_not_reachable(group: Group) -> tuple[str, str]:
    """The cause and the cure."""
    if found := group.running():
        return (
            f"pid {found.pid} runs, but its socket was removed",
            "the guardian opens it again, or `pyrotorque --restart`",
        )
    return f"the group in {printable(str(group.config_dir))} is not running", "`pyrotorque` starts it"
