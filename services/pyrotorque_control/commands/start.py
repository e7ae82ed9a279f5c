"""`pyrotorque start`."""

import click

from pyrotorque.requests import StartTorrent
from pyrotorque_control.client import print_answer
from pyrotorque_control.group import Group


@click.command(short_help="Start one item now, regardless of limits.")
@click.argument("info_hash", metavar="HASH")
@click.pass_obj
def command(group: Group, info_hash: str) -> None:
    """Start one item now, regardless of the limits of the queue. It occupies a slot like any other item.

    HASH is its info-hash, 40 hexadecimal digits, as `pyrotorque select` shows it.
    """
    if len(info_hash) != 40 or not all(char in "0123456789abcdefABCDEF" for char in info_hash):
        raise click.BadParameter(
            f"{info_hash!r} is not an info-hash of 40 hexadecimal digits; `pyrotorque explain NAME` shows it",
            param_hint="HASH",
        )
    print_answer(group, "scheduler", StartTorrent(info_hash=info_hash.upper()))
