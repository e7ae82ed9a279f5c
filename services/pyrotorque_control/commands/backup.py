"""`pyrotorque backup`: one archive with the configuration, the state, and rTorrent's session."""

import os
import re
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

import click

from pyrotorque.home import expand_home
from pyrotorque.layout import Layout
from pyrotorque.local_time import local_text
from pyrotorque.text import counted, printable
from pyrotorque_control import terminal
from pyrotorque_control.backup.contents import ARCHIVE_PREFIX, ARCHIVE_SUFFIX
from pyrotorque_control.backup.create import as_json, layout_in_use, make_backup, remove_leftovers, summary
from pyrotorque_control.backup.manifest import Manifest
from pyrotorque_control.backup.origin import origin_mark, origin_of
from pyrotorque_control.backup.session_files import SessionSource, find_session
from pyrotorque_control.exit_codes import EX_OK, EX_USAGE
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import CommandError, Group

_NAME: Final = re.compile(rf"{ARCHIVE_PREFIX}\d{{8}}-\d{{6}}{re.escape(ARCHIVE_SUFFIX)}", re.ASCII)


@click.command(short_help="Back up configuration, state and rTorrent's session.")
@click.argument("archive", callback=given_word)
@click.option("--no-session", is_flag=True, help="Leave out rTorrent's session, as where it cannot be seen from here.")
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="Then remove all but the newest N archives of this group."
)
@click.option("--json", "as_json_", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(group: Group, archive: str, no_session: bool, keep: int | None, as_json_: bool) -> int:
    """Write one archive with the configuration directory, the state of the services, and rTorrent's session. The group
    and rTorrent may run meanwhile; the parts are consistent with each other.

    \b
      pyrotorque backup ~/backups             a file with the time in its name
      pyrotorque backup ~/backups --keep 14   and keep the newest 14 of this group
      pyrotorque backup /mnt/one.tar.gz       this file, which must not exist

    ARCHIVE is an existing folder, or a new file. It is private (0600), because metafiles contain passkeys, and written
    completely or not at all. Data of torrents, logs, and metafiles in watched folders are not in it.

    The exit code is 69 if rTorrent's session cannot be found or seen, 75 if another rTorrent than the known one
    answers, or files were restored meanwhile, 74 if something cannot be read or written.
    """
    target = _target(archive, is_numbered=keep is not None)
    if group.options.dry_run:
        raise CommandError("there is no dry run of a backup: it changes nothing but ARCHIVE", EX_USAGE)
    layout = layout_in_use(group)
    remove_leftovers(layout, target.parent)
    session = None if no_session else find_session(group, layout)
    target, manifest = _written(layout, target, session, is_ours=target != expand_home(archive).absolute())
    removed = _remove_old(target, keep, origin_mark(layout.config_dir)) if keep else []
    if as_json_:
        click.echo(terminal.json_line({"archive": str(target), "removed": removed, **as_json(manifest)}))
        return EX_OK
    click.echo(f"written {printable(str(target))}")
    for line in summary(manifest):
        click.echo(f"  {line}")
    if removed:
        click.echo(f"  removed {counted(len(removed), 'older archive')}")
    for line in manifest.left_out:
        click.echo(f"pyrotorque: warning: not in the archive: {line}", err=True)
    return EX_OK


def _written(layout: Layout, target: Path, session: SessionSource | None, *, is_ours: bool) -> tuple[Path, Manifest]:
    """The archive and its manifest. If the name is ours (`is_ours`) and another backup took it meanwhile, such as that
    of another group at the same time of its schedule, the next one is used."""
    while True:
        try:
            return target, make_backup(layout, target, session, terminal.show_progress)
        except FileExistsError as error:
            if str(error.filename) != str(target):
                raise
            if not is_ours:
                raise _taken(target) from error
            target = _free_name(target.parent)


def _taken(path: Path) -> CommandError:
    return CommandError(f"{printable(str(path))} exists already and is not overwritten", EX_USAGE)


def _target(archive: str, *, is_numbered: bool) -> Path:
    path = expand_home(archive).absolute()
    if path.is_dir():
        return _free_name(path)
    if is_numbered:
        raise CommandError(f"--keep needs a folder, and {printable(str(path))} is none", EX_USAGE)
    if archive.endswith(("/", "/.")):
        hint = "create it, mount its disk, or leave out the slash to write a file of that name"
        raise CommandError(f"there is no folder {printable(str(path))}", EX_USAGE, hint=hint)
    if os.path.lexists(path):
        raise _taken(path)
    if not path.parent.is_dir():
        raise CommandError(f"there is no folder {printable(str(path.parent))}", EX_USAGE)
    return path


def _free_name(folder: Path) -> Path:
    """A new archive, by the time: the next second whose name is free."""
    for at in count(int(time.time())):
        path = folder / f"{ARCHIVE_PREFIX}{local_text(at, '%Y%m%d-%H%M%S')}{ARCHIVE_SUFFIX}"
        if not os.path.lexists(path):
            return path
    raise AssertionError("count() ends")


def _remove_old(written: Path, keep: int, own: str) -> list[str]:
    """Keep `written` and the newest others with the mark `own`, `keep` in total, by the time in their names, which may
    be after it. Archives of other groups, and what is no archive, stay."""
    folder = written.parent
    found = (name for name in os.listdir(folder) if _NAME.fullmatch(name) and name != written.name)
    names = sorted((name for name in found if origin_of(folder / name) == own), reverse=True)
    removed: list[str] = []
    for name in names[keep - 1 :]:
        with suppress(FileNotFoundError):
            (folder / name).unlink()
            removed.append(name)
    return removed
