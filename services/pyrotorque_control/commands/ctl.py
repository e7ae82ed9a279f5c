"""`pyrotorque ctl`: supervisorctl with the right file."""

import os
import sys

import click

from pyrotorque import supervision
from pyrotorque_control.exits import EX_UNAVAILABLE
from pyrotorque_control.group import Group, Refused


@click.command(
    short_help="supervisorctl with the right file.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def command(group: Group, words: tuple[str, ...]) -> None:
    """supervisorctl with the right file: `ctl status`, `ctl tail -f watcher`, `ctl restart exporter`, …

    Without words it asks you for them. Exit codes are supervisorctl's.
    """
    conf = supervision.control_file(group.layout)
    if not conf.exists():
        raise Refused(f"the group in {group.config_dir} was never started: there is no {conf}", EX_UNAVAILABLE)
    sys.stdout.flush()
    program = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(conf)]
    os.execv(sys.executable, [*program, *words])
