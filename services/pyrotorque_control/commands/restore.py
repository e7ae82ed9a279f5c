"""`pyrotorque restore`: puts a backup into the configuration directory and rTorrent's session folder."""

import time
from pathlib import Path

import click

from pyrotorque.guard_file import guard_command
from pyrotorque.home import expand_home
from pyrotorque.humanize import age, date_time
from pyrotorque.text import counted, printable
from pyrotorque_control import terminal
from pyrotorque_control.backup.create import as_json, summary
from pyrotorque_control.backup.manifest import Manifest
from pyrotorque_control.backup.moved_paths import parse_moves
from pyrotorque_control.backup.restore import RestoreReport, checked_archive, restore, undo_restore
from pyrotorque_control.backup.staged_files import RestoreRequest
from pyrotorque_control.exit_codes import EX_OK, EX_USAGE
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.rtorrent_include import include_warning

_LINES_SHOWN = 20


@click.command(short_help="Restore a backup.")
@click.argument("archive", callback=given_word, required=False)
@click.option("--list", "list_", is_flag=True, help="Check the archive, and show what it contains.")
@click.option("--dry-run", is_flag=True, help="Check everything, also while the group runs; show what would be done.")
@click.option(
    "--session",
    callback=given_word,
    metavar="DIR",
    help="Restore rTorrent's session to this folder; rTorrent must be stopped.",
)
@click.option("--no-session", is_flag=True, help="Restore no session: rTorrent continues with the one that it has.")
@click.option("--replace", is_flag=True, help="Replace existing files; they are kept in a folder beside.")
@click.option("--move", multiple=True, metavar="OLD=NEW", help="What was below OLD is below NEW now; may be repeated.")
@click.option("--undo", "undo_", is_flag=True, help="Put the old files back after a restore that was interrupted.")
@click.option("--json", "json_", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(
    group: Group, archive: str | None, list_: bool, dry_run: bool, session: str | None, no_session: bool, replace: bool,
    move: tuple[str, ...], undo_: bool, json_: bool,
) -> int:  # fmt: skip
    """Restore a backup to the configuration directory (~/.pyroscope, or that of --config-dir), and rTorrent's session
    to the folder of --session. The group must be stopped, and for --session rTorrent, too.

    \b
      pyrotorque restore one.tar.gz --list
      pyrotorque restore one.tar.gz --session ~/rtorrent/.session
      pyrotorque restore one.tar.gz --session ~/rtorrent/.session --replace
      pyrotorque restore one.tar.gz --session ~/rt --move /home/a=/home/b

    All of the archive is checked before the first file is replaced. With --move, paths are rewritten in *.ini and
    supervisor.conf, in the ledger of metafiles, in unfinished moves, and in the items of the session; other files that
    contain such a path are listed.

    Subscribers of events record a gap. Restore only archives that you made: the configuration contains commands.

    The exit code is 64 if files exist and --replace is missing, or a folder belongs to another user, 74 if the archive
    is damaged or something cannot be read or written, 75 if the group or rTorrent runs.
    """
    if undo_:
        undo_restore(group)
        click.echo("the files from before the interrupted restore are in place again")
        return EX_OK
    if archive is None:
        raise CommandError("which ARCHIVE?", EX_USAGE)
    if session and no_session:
        raise CommandError("either --session or --no-session", EX_USAGE)
    path = expand_home(archive).absolute()
    if list_:
        return _list(group, path, as_json_=json_)
    request = RestoreRequest(
        archive=path,
        session=expand_home(session).absolute() if session else None,
        without_session=no_session,
        replace=replace,
        moved=parse_moves(move),
        dry_run=dry_run or group.options.dry_run,
    )
    report = restore(group, request, terminal.show_progress)
    if json_:
        click.echo(terminal.json_line(_plain(report, request)))
    else:
        _print(report, request)
    return EX_OK


def _list(group: Group, path: Path, *, as_json_: bool) -> int:
    manifest = checked_archive(group, path)
    if as_json_:
        files = {name: file.size for name, file in manifest.files.items()}
        click.echo(terminal.json_line(as_json(manifest) | {"files": files}))
        return EX_OK
    _print_manifest(path, manifest)
    for name, file in manifest.files.items():
        if not name.startswith("session/"):
            click.echo(f"{file.size:>12}  {printable(name)}")
    return EX_OK


def _print_manifest(path: Path, manifest: Manifest) -> None:
    made = f"{date_time(manifest.created)}, {age(manifest.created, time.time())}"
    click.echo(f"{printable(str(path))}: complete, made by pyrotorque {printable(manifest.pyrotorque)} at {made}")
    for line in summary(manifest):
        click.echo(f"  {line}")
    for line in manifest.left_out:
        click.echo(f"  not in it: {printable(line)}")


def _plain(report: RestoreReport, request: RestoreRequest) -> dict[str, object]:
    return {
        "dry_run": request.dry_run,
        "config_dir": str(report.layout.config_dir),
        "state_dir": str(report.layout.state_dir),
        "session": str(report.session) if report.session else None,
        "replaced": [str(path) for path in report.aside],
        "rewritten": report.rewritten,
        "old_folders": report.old_folders,
        "mentioned": report.mentioned,
        "blocked_by": report.blocked_by,
        "backup": as_json(report.manifest),
    }


def _print(report: RestoreReport, request: RestoreRequest) -> None:
    _print_manifest(request.archive, report.manifest)
    done = "would be restored" if request.dry_run else "restored"
    click.echo(f"{done} to {printable(str(report.layout.config_dir))}")
    if report.layout.state_dir.parent != report.layout.config_dir:
        click.echo(f"{done} to {printable(str(report.layout.state_dir))} (the state)")
    if report.session is not None:
        click.echo(f"{done} to {printable(str(report.session))} (rTorrent's session)")
    for path in report.aside:
        click.echo(f"  replaced files: {printable(str(path))}")
    if request.moved or report.rewritten:
        click.echo(f"  {counted(report.rewritten, 'path')} rewritten")
    if report.mentioned:
        folders = ", ".join(report.old_folders)
        click.echo(f"still with a path below {folders}; change them, or restore with --move OLD=NEW:")
        for line in report.mentioned[:_LINES_SHOWN]:
            click.echo(f"  {line}")
        if len(report.mentioned) > _LINES_SHOWN:
            click.echo(f"  and {len(report.mentioned) - _LINES_SHOWN} more")
    for line in report.blocked_by:
        click.echo(f"a restore is not possible now: {line}")
    if not request.dry_run:
        if outdated := include_warning(report.layout.config_dir):
            click.echo(f"pyrotorque: warning: {outdated}", err=True)
        click.echo(_next_steps(report))


def _next_steps(report: RestoreReport) -> str:
    config_dir = report.layout.config_dir
    option = "" if config_dir == expand_home("~/.pyroscope") else f" --config-dir {printable(str(config_dir))}"
    guard_file = report.layout.guard_file
    guard = "" if guard_file.exists() else f"; `{guard_command(guard_file)}` permits a start"
    first = "Start rTorrent first. " if report.session is not None else ""
    return f"{first}`pyrotorque{option} check` validates the settings{guard}; `pyrotorque{option}` starts the group."
