"""`pyrotorque resume`."""

import click

from pyrotorque.actions import resume_job
from pyrotorque_control.client import act
from pyrotorque_control.completion import complete_job
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group


@click.command(short_help="Resume a paused job.")
@click.argument("job", callback=given_word, shell_complete=complete_job)
@click.pass_obj
def command(group: Group, job: str) -> None:
    """Resume a paused job. It runs at its next fire time, and for the events published while it was paused."""
    act(group, lambda actor: resume_job(actor, job))
