"""`pyrotorque retry`."""

from pathlib import Path

import click

from pyrotorque.requests import RetryMetafiles
from pyrotorque_control.client import tell
from pyrotorque_control.group import Group


@click.command(short_help="Load failed or old metafiles.")
@click.argument("paths", nargs=-1, metavar="PATH…")
@click.option(
    "--all", "everything", is_flag=True, help="Every metafile that failed or was there before the first start."
)
@click.pass_obj
def command(group: Group, paths: tuple[str, ...], everything: bool) -> None:
    """Load metafiles that failed, or that were there before the first start (baseline).

    \b
      pyrotorque retry ~/rtorrent/watch/tv/some.torrent
      pyrotorque retry ~/rtorrent/watch/tv              all of them below a folder
      pyrotorque retry --all

    `pyrotorque watched` lists them. To `touch` a file does the same.
    """
    if bool(paths) == everything:
        raise click.UsageError("say which metafiles, or --all")
    absolute = tuple(str(Path(path).expanduser().absolute()) for path in paths)
    tell(group, "watcher", RetryMetafiles(paths=absolute))
