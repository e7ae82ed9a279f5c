"""`pyrotorque add`."""

from pathlib import Path

import click

from pyrotorque.actions import add_magnet, add_metafile
from pyrotorque.home import expand_home
from pyrotorque_control.client import act
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group


@click.command(short_help="Add a metafile or magnet link.")
@click.argument("what", callback=given_word, metavar="FILE|MAGNET")
@click.option(
    "--to", "folder", callback=given_word, metavar="FOLDER", help="A watched folder; by default the first root."
)
@click.pass_obj
def command(group: Group, what: str, folder: str | None) -> None:
    """Copy a metafile, or write a magnet link, into a watched folder, where the watcher loads it.

    \b
      pyrotorque add some.torrent
      pyrotorque add 'magnet:?xt=urn:btih:...' --to ~/watch/tv
    """
    to = str(expand_home(folder).absolute()) if folder else ""
    if what.lower().startswith("magnet:"):
        act(group, lambda actor: add_magnet(actor, what, to))
        return
    try:
        content = Path(expand_home(what)).read_bytes()
    except OSError as error:
        raise click.FileError(what, error.strerror or str(error)) from error
    act(group, lambda actor: add_metafile(actor, content, to))
