"""`pyrotorque resume`."""

import click

from pyrotorque.requests import ResumeJob
from pyrotorque_control.client import tell
from pyrotorque_control.group import Group


@click.command(short_help="Let a paused job run again.")
@click.argument("job")
@click.pass_obj
def command(group: Group, job: str) -> None:
    """Let a paused job run again: from the next time of its schedule on, and for the events that came meanwhile."""
    tell(group, "scheduler", ResumeJob(job=job))
