"""`pyrotorque pause`."""

import click

from pyrotorque.requests import PauseJob
from pyrotorque_control.asking import tell
from pyrotorque_control.group import Group


@click.command(short_help="Run a job no more until it is resumed.")
@click.argument("job")
@click.pass_obj
def command(group: Group, job: str) -> None:
    """Run a job no more until it is resumed; this survives restarts."""
    tell(group, "scheduler", PauseJob(job=job))
