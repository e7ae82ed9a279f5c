"""`pyrotorque select`: the items that meet a condition."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pyrotorque.errors import UserError
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.problems import suggestion
from pyrotorque.settings.schema import QueueSettings, Settings
from pyrotorque.text import counted, printable
from pyrotorque_control import terminal
from pyrotorque_control.exit_codes import EX_OK
from pyrotorque_control.group import Group
from pyrotorque_control.rtorrent import reach

if TYPE_CHECKING:
    from pyrotorque.fields import Field, Kind

# What a person wants to see of any item; `fields` adds what the condition is about.
_SHOWN = ("name", "prio", "done", "size")


@click.command(short_help="Show the items that meet a condition.", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, metavar="EXPR…")
@click.option("--view", default="main", show_default=True, help="Look in this view of rTorrent.")
@click.option("--sort", default="", metavar="FIELDS", help="For example -prio,loaded,name; `-` sorts downwards.")
@click.option("--fields", default="", metavar="FIELDS", help="Show these fields, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with at least hash and name.")
@click.pass_obj
def command(group: Group, words: tuple[str, ...], view: str, sort: str, fields: str, as_json: bool) -> int:
    """Show the items of rTorrent that meet a condition. The language is that of job.queue.startable; quote what your
    shell would take for itself.

    \b
      pyrotorque select 'done<100 loaded>1w'       loaded more than a week ago
      pyrotorque select 'ratio<1' --sort=-size     large ones first
      pyrotorque select 'alias=example.org' --fields alias,ratio,custom_1
      pyrotorque select 'message=/./' --json       one object a line, for programs

    A blank separates terms, also where the shell's quotes are around it: 'message="timed out"' needs both.
    The exit code is 0 also when no item is found, 64 when the condition cannot be read, 69 when rTorrent does not
    answer.
    """
    from pyrotorque.conditions import parse, parse_sort
    from pyrotorque.customfields import ConfigFields
    from pyrotorque.items import ItemReader, field_of

    reached = reach(group)
    with closing(ConfigFields(group.config_dir / "config.py", _configured(reached.settings))) as table:
        condition = parse(" ".join(words), custom=table)
        order = parse_sort(sort, custom=table) if sort else None
        extra = fields.replace(",", " ").split()
        asked = list(dict.fromkeys((*_SHOWN, *sorted(condition.fields), *extra)))
        wanted = {"hash", *asked, *(order.fields if order else ())}
        _check_view(reached.rtorrent, view)
        reader = ItemReader(reached.rtorrent, table.worker)
        items = reader.read(view, condition, wanted, time.time(), table=table)
        kinds: dict[str, Kind] = {name: field_of(name, table).kind for name in asked}
    ordered = order.sorted(items) if order else items
    if as_json:
        for item in ordered:
            click.echo(terminal.json_line({name: item[name] for name in ("hash", *asked)}))
    else:
        _show(ordered, kinds)
    return EX_OK


def _configured(settings: Settings) -> "dict[str, Field]":
    """The fields as the settings have them; `has_room` is that of the queue which leaves most alone."""
    from pyrotorque.fields import configured

    min_free = max((job.min_free for job in settings.jobs if isinstance(job, QueueSettings)), default=0)
    return configured(settings.aliases, settings.traits_by_alias, min_free)


def _check_view(rtorrent: RTorrent, view: str) -> None:
    """Name a view that rTorrent does not have; its own answer does not."""
    if view == "main":
        return
    known = rtorrent.call("view.list")
    if isinstance(known, list) and view not in known:
        names = sorted(map(str, known))
        raise UserError(f"rTorrent has no view {view!r}{suggestion(view, names)} ({printable(', '.join(names))})")


def _show(items: Sequence[Any], fields: "Mapping[str, Kind]") -> None:
    # Names are long: behind them nothing has to be aligned.
    columns = [*(name for name in fields if name != "name"), "name"]
    rows = [(item["hash"], *(shown(item[name], fields[name]) for name in columns)) for item in items]
    for line in terminal.aligned([("hash", *columns), *rows]) if rows else ():
        click.echo(line)
    click.echo(counted(len(items), "item"))


def shown(value: object, kind: "Kind") -> str:
    """A value as a person reads it in a table."""
    if kind in ("time", "time or never") and isinstance(value, int | float):
        return datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M:%S") if value else "never"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(map(str, value)))
    return "" if value is None else str(value)
