"""`pyrotorque pause`."""

import click

from pyrotorque.actions import pause_job
from pyrotorque_control.client import act
from pyrotorque_control.completion import complete_job
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group


@click.command(short_help="Pause a job until it is resumed.")
@click.argument("job", callback=given_word, shell_complete=complete_job)
@click.pass_obj
def command(group: Group, job: str) -> None:
    """Pause a job until `pyrotorque resume JOB`, also across restarts. A run in progress continues.

    JOB is one that the scheduler runs: a queue, the statistics, or a job of your own. A paused queue starts no more
    items; those already started continue. `pyrotorque status` shows paused jobs.
    """
    act(group, lambda actor: pause_job(actor, job))
