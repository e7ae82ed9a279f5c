"""`pyrotorque pause`."""

import click

from pyrotorque.requests import PauseJob
from pyrotorque_control.client import print_answer
from pyrotorque_control.group import Group


@click.command(short_help="Pause a job until it is resumed.")
@click.argument("job")
@click.pass_obj
def command(group: Group, job: str) -> None:
    """Pause a job until `pyrotorque resume JOB`, also across restarts. A run in progress continues.

    JOB is one that the scheduler runs: a queue, the statistics, or a job of your own. A paused queue starts no more
    items; those already started continue. `pyrotorque status` shows paused jobs.
    """
    print_answer(group, "scheduler", PauseJob(job=job))
