"""`pyrotorque stop`."""

import click

from pyrotorque.actions import required_hash, stop_item
from pyrotorque_control.client import act
from pyrotorque_control.group import Group


@click.command(short_help="Stop one item until it is started.")
@click.argument("info_hash", metavar="HASH")
@click.option("--job", help="The queue that would start it again; by default the one that started it.")
@click.pass_obj
def command(group: Group, info_hash: str, job: str | None) -> None:
    """Stop one item. No queue starts it again; `pyrotorque start HASH` does. (`pyrotorque --stop` stops the group.)

    HASH is its info-hash, 40 hexadecimal digits, as `pyrotorque select` shows it.
    """
    chosen = required_hash(info_hash)
    act(group, lambda actor: stop_item(actor, chosen, job))
