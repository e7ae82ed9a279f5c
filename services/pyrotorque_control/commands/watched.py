"""`pyrotorque watched`: the state of each metafile in the watcher's ledger."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import click

from pyrotorque.humanize import date_time
from pyrotorque.text import counted, printable
from pyrotorque_control import terminal
from pyrotorque_control.exit_codes import EX_OK
from pyrotorque_control.group import Group

STATES: Final = ("seen", "sent", "visible", "loaded", "duplicate", "failed", "baseline", "offered", "placed")
PENDING: Final = ("seen", "sent")
"""What `status` and the metrics count as pending."""
_COLUMNS: Final = ("path", "state", "job", "info_hash", "name", "mode", "attempts", "kind", "reason", "changed", "size")


@click.command(short_help="List the metafiles and their states.")
@click.option("--state", metavar="STATE", type=click.Choice((*STATES, "pending")), help="Only metafiles in this state.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.pass_obj
def command(group: Group, state: str | None, as_json: bool) -> int:
    """Show the state of each metafile in the watched trees, from the watcher's ledger.

    \b
      seen, sent, visible   in progress; the reason shows what it waits for
      pending               seen or sent, as `pyrotorque status` counts them
      loaded                in rTorrent, and saved in its session
      duplicate             the item was in rTorrent already
      failed                not loaded; `pyrotorque retry` tries again
      baseline              existed before the first start; not loaded
      offered, placed       the fleet is to place it; a group of the fleet has it
    """
    found = list(metafiles(group, state))
    if as_json:
        for row in found:
            click.echo(terminal.json_line(row))
        return EX_OK
    rows = [(date_time(row["changed"]), row["state"], row["job"], row["path"]) for row in found]
    for row, line in zip(found, terminal.aligned(rows), strict=True):
        click.echo(line)
        if row["reason"]:
            click.echo(f"{'':19}  {printable(row['reason'])}")
    click.echo(counted(len(found), "metafile"))
    return EX_OK


def metafiles(group: Group, state: str | None) -> Iterator[dict[str, Any]]:
    """The ledger's rows in the order in which the files were seen, without removed files."""
    from pyrotorque.store import open_readonly

    wanted = PENDING if state == "pending" else (state or "",)
    chosen = f"'' IN ({', '.join('?' * len(wanted))}) OR state IN ({', '.join('?' * len(wanted))})"
    query = f"SELECT {', '.join(_COLUMNS)} FROM metafiles WHERE gone = 0 AND ({chosen}) ORDER BY turn"
    with closing(open_readonly(group.layout.database("watcher"))) as db:
        for row in db.execute(query, (*wanted, *wanted)):
            found: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
            yield found | {"path": printable(found["path"])}
