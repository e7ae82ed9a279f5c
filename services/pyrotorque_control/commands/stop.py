"""`pyrotorque stop`."""

import click

from pyrotorque.actions import stop_item
from pyrotorque_control.client import act
from pyrotorque_control.completion import complete_job
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group
from pyrotorque_control.item_choice import chosen_item


@click.command(short_help="Stop one item until it is started.")
@click.argument("item", callback=given_word, metavar="HASH|NAME")
@click.option(
    "--job",
    shell_complete=complete_job,
    help="The queue that would start it again; by default the one that started it.",
)
@click.pass_obj
def command(group: Group, item: str, job: str | None) -> None:
    """Stop one item. No queue starts it again; `pyrotorque start HASH` does. (`pyrotorque --stop` stops the group.)

    The item is named by its info-hash, 40 hexadecimal digits as `pyrotorque select` shows it, by its name, or by a part
    of the name that no other item has.
    """
    chosen = chosen_item(group, item)
    act(group, lambda actor: stop_item(actor, chosen, job))
