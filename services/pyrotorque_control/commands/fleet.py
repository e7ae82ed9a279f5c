"""`pyrotorque fleet`: the groups of the fleet, and where an item is."""

from collections.abc import Mapping
from typing import Any

import click

from pyrotorque import humanize
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.requests import Answer, DescribeService, FindInFleet, Request
from pyrotorque.text import counted, printable
from pyrotorque_control import terminal
from pyrotorque_control.client import require_service
from pyrotorque_control.exit_codes import EX_OK, EX_UNAVAILABLE
from pyrotorque_control.group import CommandError, Group

_SEARCH_TIMEOUT = 6.0  # seconds; groups have two to answer
_COLUMNS = ("group", "state", "items", "loading", "down", "up", "free", "rTorrent", "problems")


@click.group(invoke_without_command=True, short_help="Show the groups of the fleet.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per group.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> int:
    """Show all groups of the fleet: whether they are there, their items and slots, rates, free space and problems.

    \b
      pyrotorque fleet
      pyrotorque fleet --json | jq -r 'select(.state == "gone").name'
      pyrotorque fleet find debian

    A group belongs to a fleet when fleet.servers is set. The exit code is 69 while the fleet is unavailable; then the
    groups are shown as they were last seen.
    """
    if context.invoked_subcommand is not None:
        return EX_OK
    data = _ask(context.obj, DescribeService(), 5.0).data
    if not data["configured"]:
        raise CommandError("this group belongs to no fleet: see fleet.servers", EX_UNAVAILABLE)
    if as_json:
        for each in data["groups"]:
            click.echo(terminal.json_line(each))
    else:
        terminal.show(terminal.table(_COLUMNS, [_row(each) for each in data["groups"]]))
    if data["connected"]:
        return EX_OK
    terminal.print_error(f"the fleet is unavailable: {printable(data['reason'] or 'connecting')}")
    return EX_UNAVAILABLE


@command.command(short_help="Find items in all groups.")
@click.argument("text")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per item.")
@click.pass_obj
def find(group: Group, text: str, as_json: bool) -> int:
    """Find items in all groups of the fleet by their info-hash, or by a part of their name.

    Groups that did not answer are listed on standard error.
    """
    answer = _ask(group, FindInFleet(text=text), _SEARCH_TIMEOUT)
    if not answer.ok:
        raise CommandError(answer.text, EX_UNAVAILABLE)
    rows: list[tuple[str, ...]] = []
    for found in sorted(answer.data["answers"], key=lambda each: str(each["group"])):
        if found.get("problem"):
            terminal.print_error(f"{printable(found['group'])} did not look: {printable(found['problem'])}")
        for item in found.get("items", ()):
            if as_json:
                click.echo(terminal.json_line({"group": found["group"], **item}))
            rows.append(
                (
                    found["group"],
                    terminal.hash_text(item["info_hash"]),
                    _state(item),
                    humanize.size(item["size"]),
                    item["name"],
                )
            )
        if found.get("more"):
            terminal.print_error(f"{printable(found['group'])} has {counted(found['more'], 'further item')}")
    if not as_json:
        for line in terminal.aligned(rows, is_cut=True) if rows else ("no group has such an item",):
            click.echo(line)
    for name in answer.data["silent"]:
        terminal.print_error(f"{printable(name)} did not answer")
    return EX_OK if not answer.data["silent"] else EX_UNAVAILABLE


def _ask(group: Group, request: Request, timeout: float) -> Answer:
    from pyrotorque.bus.client import ask

    require_service(group, "fleet", "fleet.servers")
    try:
        return ask(group.layout, "fleet", request, timeout=timeout)
    except ServiceUnreachable as error:
        raise CommandError(str(error), EX_UNAVAILABLE) from error


def _row(group: Mapping[str, Any]) -> tuple[object, ...]:
    seen = "" if group["state"] == "present" else f", seen {humanize.duration(group['seen'])} ago"
    slots = "" if group.get("slots") is None else f"/{group['slots']}"
    rooms = [f"{humanize.size(room['free'])}" for room in group.get("rooms", ())]
    return (
        f"{group['name']}{' (this)' if group['own'] else ''}",
        f"{group['state']}{seen}",
        _known(group.get("items")),
        f"{_known(group.get('downloading'))}{slots}",
        _rate(group.get("down_rate")),
        _rate(group.get("up_rate")),
        ", ".join(rooms),
        group.get("rtorrent", ""),
        "; ".join(group.get("problems", ())),
    )


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)


def _rate(value: int | None) -> str:
    return "?" if value is None else humanize.rate(value)


def _state(item: Mapping[str, Any]) -> str:
    left, size = item["left"], item["size"]
    if not left:
        return "seeding" if item["is_active"] else "complete"
    done = 100 * (size - left) // size if size else 0
    return f"{done} %{'' if item['is_active'] else ', stopped'}"
