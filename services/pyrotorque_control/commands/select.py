"""`pyrotorque select`: the items that match a condition."""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pyrotorque import humanize
from pyrotorque.errors import UserError
from pyrotorque.humanize import date_time
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import QueueSettings, Settings
from pyrotorque.suggestions import suggestion
from pyrotorque.text import counted, printable
from pyrotorque_control import terminal
from pyrotorque_control.exit_codes import EX_OK
from pyrotorque_control.group import Group
from pyrotorque_control.rtorrent import rtorrent_of, settings_of

if TYPE_CHECKING:
    from pyrotorque.fields import Field, Kind

# Fields shown for each item, followed by those of the condition and of `--fields`.
_SHOWN = ("name", "prio", "done", "size")
_OPTION: Final = re.compile(r"-[A-Za-z?]|--[A-Za-z][A-Za-z0-9_-]*(?:=.*)?", re.DOTALL)
# Options of rtcontrol.
_EARLIER: Final = {"-o": "--fields", "--output-format": "--fields", "-s": "--sort", "--sort-fields": "--sort"}


class _SelectCommand(click.Command):
    """A condition may begin with a dash, as in `-dash*`, but what is written as an option must be one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        before = args[: args.index("--")] if "--" in args else list(args)
        left = super().parse_args(ctx, args)
        for word in ctx.params["words"] or ():
            if word in before and _OPTION.fullmatch(word):
                raise click.UsageError(_no_such_option(word), ctx)
        return left


def _no_such_option(word: str) -> str:
    option = word.partition("=")[0]
    known = ("--fields", "--sort", "--view", "--json")
    meant = f", did you mean {_EARLIER[option]}?" if option in _EARLIER else suggestion(option, known)
    return f"No such option: {option}{meant} ({', '.join(known)}); for an item of that name: name={word}"


@click.command(
    cls=_SelectCommand,
    short_help="Show the items that match a condition.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", nargs=-1, required=True, metavar="EXPR…")
@click.option("--view", default="main", show_default=True, help="A view of rTorrent.")
@click.option("--sort", default="", metavar="FIELDS", help="For example -prio,loaded,name; `-` is descending.")
@click.option("--fields", default="", metavar="FIELDS", help="Also show these fields.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, with at least hash and name.")
@click.pass_obj
def command(group: Group, words: tuple[str, ...], view: str, sort: str, fields: str, as_json: bool) -> int:
    """Show the items of rTorrent that match a condition, written as in job.queue.startable. Quote characters that are
    special to your shell.

    \b
      pyrotorque select 'done<100 loaded>1w'       loaded more than a week ago
      pyrotorque select 'ratio<1' --sort=-size     large ones first
      pyrotorque select 'alias=example.org' --fields alias,ratio,custom_1
      pyrotorque select 'message=/./' --json       JSON, for programs

    Spaces separate terms, even inside the shell's quotes: 'message="timed out"' needs both pairs of quotes.
    The exit code is 0 even if no item matches, 64 when the condition is invalid, 69 when rTorrent does not answer.
    """
    from pyrotorque.conditions import parse, parse_sort
    from pyrotorque.customfields import ConfigFields
    from pyrotorque.foreign_code import refuse_foreign_config_py
    from pyrotorque.items import ItemReader, field_of

    refuse_foreign_config_py(group.layout)
    settings = settings_of(group)
    rtorrent = rtorrent_of(settings)
    known = _configured(settings, group.layout.state_dir, rtorrent)
    with closing(ConfigFields(group.config_dir / "config.py", known)) as table:
        condition = parse(" ".join(words), custom=table)
        order = parse_sort(sort, custom=table) if sort else None
        extra = fields.replace(",", " ").split()
        names = list(dict.fromkeys((*_SHOWN, *sorted(condition.fields), *extra)))
        wanted = {"hash", *names, *(order.fields if order else ())}
        _check_view(rtorrent, view)
        reader = ItemReader(rtorrent, table.worker)
        items = reader.read(view, condition, wanted, time.time(), table=table)
        kinds: dict[str, Kind] = {name: field_of(name, table).kind for name in names}
    ordered = order.sorted(items) if order else items
    if as_json:
        for item in ordered:
            click.echo(terminal.json_line({name: item[name] for name in ("hash", *names)}))
    else:
        _show(ordered, kinds)
    return EX_OK


def _configured(settings: Settings, state_dir: Path, rtorrent: RTorrent) -> "dict[str, Field]":
    """The fields for these settings; `has_room` uses the largest `min_free` of all queues."""
    from pyrotorque.fields import configured
    from pyrotorque.housekeeping import FOLDER
    from pyrotorque.housekeeping.activity import activity_fields
    from pyrotorque.housekeeping.inventory import InventoryReader
    from pyrotorque.housekeeping.link_fields import link_fields, read_once
    from pyrotorque.housekeeping.other_clients import OtherClients
    from pyrotorque.room import use_limits_of

    use_limits_of(state_dir / FOLDER)
    min_free = max((job.min_free for job in settings.jobs if isinstance(job, QueueSettings)), default=0)
    examined = activity_fields(state_dir / FOLDER) | link_fields(read_once(InventoryReader(rtorrent, OtherClients())))
    return configured(settings.aliases, settings.traits_by_alias, min_free) | examined


def _check_view(rtorrent: RTorrent, view: str) -> None:
    """Raise UserError for an unknown view; the fault of rTorrent does not name it."""
    if view == "main":
        return
    known = rtorrent.call("view.list")
    if isinstance(known, list) and view not in known:
        names = sorted(map(str, known))
        raise UserError(f"rTorrent has no view {view!r}{suggestion(view, names)} ({printable(', '.join(names))})")


def _show(items: Sequence[Any], fields: "Mapping[str, Kind]") -> None:
    # Names are long, so they are the last column.
    columns = [*(name for name in fields if name != "name"), "name"]
    for_people = terminal.width() is not None
    rows = [
        (
            terminal.hash_text(item["hash"]),
            *(shown(item[name], fields[name], for_people=for_people) for name in columns),
        )
        for item in items
    ]
    for line in terminal.aligned([("hash", *columns), *rows], is_cut=True) if rows else ():
        click.echo(line)
    click.echo(counted(len(items), "item"))


def shown(value: object, kind: "Kind", *, for_people: bool = False) -> str:
    """A value as shown in a table; sizes, rates and durations `for_people` have units."""
    if for_people and isinstance(value, int | float) and kind in ("size", "duration"):
        return humanize.size(value) if kind == "size" else humanize.duration(value)
    if kind in ("time", "time or never") and isinstance(value, int | float):
        return date_time(value) if value else "never"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(map(str, value)))
    return "" if value is None else str(value)
