"""`pyrotorque retrack`: replaces an announce address or a passkey in all items that have it."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pyrotorque.errors import RTorrentError
from pyrotorque.text import counted, printable
from pyrotorque_control import terminal
from pyrotorque_control.client import require_real_run
from pyrotorque_control.exit_codes import EX_OK, EX_TEMPFAIL, EX_USAGE
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.progress import ShownProgress
from pyrotorque_control.rtorrent import rtorrent_of, settings_of

if TYPE_CHECKING:
    from pyrotorque.rtorrent import RTorrent
    from pyrotorque.rtorrent.session import Session
    from pyrotorque.tracker_change import TrackerChange


@click.command(short_help="Replace an announce address or passkey.")
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option("--stdin", "from_stdin", is_flag=True, help="Read OLD and NEW as two lines from standard input.")
@click.option("--apply", "is_applied", is_flag=True, help="Change the items; otherwise they are only listed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per tracker of an item.")
@click.pass_obj
def command(group: Group, old: str | None, new: str | None, from_stdin: bool, is_applied: bool, as_json: bool) -> int:
    """Replace an announce address, or a passkey within addresses, in all items that have it. The new address is added,
    the old one disabled, and both are saved in rTorrent's session. Without --apply, only list the items.

    \b
      pyrotorque retrack OLDKEY NEWKEY
      pyrotorque retrack OLDKEY NEWKEY --apply
      pyrotorque retrack --stdin < keys    other users do not see them

    Addresses are shown without their paths, which may contain keys. The metafile in the session keeps the old address.
    A tracker that is disabled is not changed, and counted.
    """
    from pyrotorque.rtorrent.session import Session
    from pyrotorque.tracker_change import find_changes

    if from_stdin:
        lines = sys.stdin.read().splitlines()
        old, new = (lines[0].strip(), lines[1].strip()) if len(lines) > 1 else (None, None)
    if not old or not new:
        raise CommandError("the old and the new address or key are needed", EX_USAGE)
    if is_applied:
        require_real_run(group)
    rtorrent = rtorrent_of(settings_of(group))
    found = find_changes(rtorrent, old, new)
    changes = [each for each in found if each.is_used]
    session, failed = Session(), 0
    with ShownProgress(group.layout.run_dir, "retrack", len(changes) if is_applied else 0) as progress:
        for change in changes:
            state = "would change"
            if is_applied:
                state, has_failed = _applied(rtorrent, session, change)
                failed += has_failed
            progress.echo(_line(change, state, as_json))
            progress.advance()
    disabled = [each for each in found if not each.is_used]
    if as_json:
        for change in disabled:
            click.echo(_line(change, "disabled", as_json))
        return EX_TEMPFAIL if failed else EX_OK
    click.echo("\n".join(_summary(changes, disabled)))
    if changes and not is_applied:
        click.echo("nothing was changed; repeat it with --apply")
    return EX_TEMPFAIL if failed else EX_OK


def _line(change: "TrackerChange", state: str, as_json: bool) -> str:
    name = printable(change.name)
    if not as_json:
        return f"{state}: {name}  {change.shown}"
    return terminal.json_line({"hash": change.info_hash, "name": name, "change": change.shown, "state": state})


def _summary(changes: "Sequence[TrackerChange]", disabled: "Sequence[TrackerChange]") -> list[str]:
    """How many items have the old address, and how many only in trackers that are disabled."""
    changed = {each.info_hash for each in changes}
    left = {each.info_hash: each.is_added for each in disabled if each.info_hash not in changed}
    hosts = ", ".join(f"{text} ({number})" for text, number in Counter(each.shown for each in changes).items())
    rest = f": {hosts}" if hosts else " to change" if left else " with this address or key"
    lines = [f"{counted(len(changed), 'item')}{rest}"]
    if new := sum(left.values()):
        lines.append(f"disabled in {counted(new, 'item')}, beside the new one")
    if old := len(left) - new:
        lines.append(f"disabled in {counted(old, 'item')}, and not changed there")
    return lines


def _applied(rtorrent: "RTorrent", session: "Session", change: "TrackerChange") -> tuple[str, bool]:
    """Make a change; its state, and whether it has failed."""
    from pyrotorque.tracker_change import apply_change

    try:
        saved = apply_change(rtorrent, session, change)
    except RTorrentError as error:
        # A fault of rTorrent may contain the address.
        return f"failed ({type(error).__name__})", True
    return "changed" if saved else "changed, but not seen to be saved", saved is False
