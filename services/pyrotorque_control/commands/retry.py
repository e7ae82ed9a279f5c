"""`pyrotorque retry`."""

import sys

import click

from pyrotorque.actions import retry_all_metafiles, retry_metafiles
from pyrotorque.home import expand_home
from pyrotorque_control.client import act
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group
from pyrotorque_control.load_progress import follow


@click.command(short_help="Load metafiles again: failed, baseline, or any one.")
@click.argument("paths", nargs=-1, callback=given_word, metavar="PATH…")
@click.option(
    "--all", "everything", is_flag=True, help="All failed metafiles, and those that existed before the first start."
)
@click.option(
    "--wait/--no-wait", "wait", default=None, help="Show the progress until all are loaded; the default on a terminal."
)
@click.pass_obj
def command(group: Group, paths: tuple[str, ...], everything: bool, wait: bool | None) -> None:
    """Load a metafile below a watched folder again, whatever its state; of a folder, those that failed, or that
    existed before the first start (baseline).

    \b
      pyrotorque retry ~/rtorrent/watch/tv/some.torrent
      pyrotorque retry ~/rtorrent/watch/tv              all below a folder
      pyrotorque retry --all

    `pyrotorque watched` lists them. `touch FILE` has the same effect.

    The progress is a bar on a terminal and lines in a pipe (`--wait`); Ctrl-C ends its display only.
    `pyrotorque status` shows it, too.
    """
    if bool(paths) == everything:
        raise click.UsageError("name the metafiles, or use --all")
    if everything:
        act(group, retry_all_metafiles)
    else:
        absolute = [str(expand_home(path).absolute()) for path in paths]
        act(group, lambda actor: retry_metafiles(actor, absolute))
    if wait if wait is not None else sys.stdout.isatty():
        follow(group.layout)
