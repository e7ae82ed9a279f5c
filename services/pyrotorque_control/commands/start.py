"""`pyrotorque start`."""

import click

from pyrotorque.actions import required_hash, start_item
from pyrotorque_control.client import act
from pyrotorque_control.group import Group


@click.command(short_help="Start one item now, regardless of limits.")
@click.argument("info_hash", metavar="HASH")
@click.pass_obj
def command(group: Group, info_hash: str) -> None:
    """Start one item now, regardless of the limits of the queue. It occupies a slot like any other item.

    HASH is its info-hash, 40 hexadecimal digits, as `pyrotorque select` shows it.
    """
    chosen = required_hash(info_hash)  # wrong usage, also while the group is not running
    act(group, lambda actor: start_item(actor, chosen))
