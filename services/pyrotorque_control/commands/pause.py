"""`pyrotorque pause`."""

import click

from pyrotorque.requests import PauseJob
from pyrotorque_control.client import tell
from pyrotorque_control.group import Group


@click.command(short_help="Run a job no more until it is resumed.")
@click.argument("job")
@click.pass_obj
def command(group: Group, job: str) -> None:
    """Run a job no more until `pyrotorque resume JOB`; this survives restarts. A run that has begun goes on.

    JOB is one of those that the scheduler runs: a queue, the statistics, a job of yours. Items that were started go on,
    too; a paused queue starts no others. `pyrotorque status` shows what is paused.
    """
    tell(group, "scheduler", PauseJob(job=job))
