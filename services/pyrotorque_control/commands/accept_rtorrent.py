"""`pyrotorque accept-rtorrent`."""

import click

from pyrotorque.actions import accept_rtorrent
from pyrotorque_control.client import act
from pyrotorque_control.group import Group


@click.command(short_help="Take the rTorrent that answers now as the known one.")
@click.pass_obj
def command(group: Group) -> None:
    """Take the rTorrent that answers now as the known one. Its items are recorded without events.

    Needed only after a warning that another rTorrent answers: while one does, pyrotorque reports nothing as completed
    or erased, disposes of no metafile, and continues no move. It accepts another rTorrent by itself after 24 hours.
    """
    act(group, accept_rtorrent)
