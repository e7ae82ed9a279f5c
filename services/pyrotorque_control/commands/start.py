"""`pyrotorque start`."""

import click

from pyrotorque.requests import StartTorrent
from pyrotorque_control.client import tell
from pyrotorque_control.group import Group


@click.command(short_help="Start one item now, whatever the limits.")
@click.argument("info_hash", metavar="HASH")
@click.pass_obj
def command(group: Group, info_hash: str) -> None:
    """Start one item now, whatever the limits of the queue. It takes a slot like any other.

    HASH is its info-hash, as `pyrotorque select` shows it: 40 hexadecimal digits.
    """
    if len(info_hash) != 40 or not all(char in "0123456789abcdefABCDEF" for char in info_hash):
        raise click.BadParameter(
            f"{info_hash!r} is not an info-hash of 40 hexadecimal digits; `pyrotorque explain NAME` shows it",
            param_hint="HASH",
        )
    tell(group, "scheduler", StartTorrent(info_hash=info_hash.upper()))
