"""`pyrotorque start`."""

import click

from pyrotorque.actions import start_item
from pyrotorque_control.client import act
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group
from pyrotorque_control.item_choice import chosen_item


@click.command(short_help="Start one item now, regardless of limits.")
@click.argument("item", callback=given_word, metavar="HASH|NAME")
@click.pass_obj
def command(group: Group, item: str) -> None:
    """Start one item now, regardless of the limits of the queue. It occupies a slot like any other item.

    The item is named by its info-hash, 40 hexadecimal digits as `pyrotorque select` shows it, by its name, or by a part
    of the name that no other item has.
    """
    chosen = chosen_item(group, item)
    act(group, lambda actor: start_item(actor, chosen))
