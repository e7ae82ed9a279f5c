"""`pyrotorque resume`."""

import click

from pyrotorque.requests import ResumeJob
from pyrotorque_control.client import print_answer
from pyrotorque_control.group import Group


@click.command(short_help="Resume a paused job.")
@click.argument("job")
@click.pass_obj
def command(group: Group, job: str) -> None:
    """Resume a paused job. It runs at its next fire time, and for the events published while it was paused."""
    print_answer(group, "scheduler", ResumeJob(job=job))
