"""`pyrotorque forget`."""

import click

from pyrotorque.actions import forget_metafiles
from pyrotorque.home import expand_home
from pyrotorque_control.client import act
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group


@click.command(short_help="No longer list failed metafiles as failed.")
@click.argument("paths", nargs=-1, callback=given_word, required=True, metavar="PATH…")
@click.pass_obj
def command(group: Group, paths: tuple[str, ...]) -> None:
    """No longer list these failed metafiles, or those in these folders, as failed. The files stay; each is loaded when
    it changes, or by `pyrotorque retry`.
    """
    absolute = [str(expand_home(path).absolute()) for path in paths]
    act(group, lambda actor: forget_metafiles(actor, absolute))
