"""`pyrotorque fleet`: the groups of the fleet, and where an item is."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from pyrotorque import humanize
from pyrotorque.actions import release_claim, required_hash
from pyrotorque.errors import ActionRefused, RequestWrong, ServiceUnreachable
from pyrotorque.fleet_requests import FindInFleet, ListClaims, ListFleetEvents, WhyClaim
from pyrotorque.requests import Answer, DescribeService, Request
from pyrotorque.text import counted, printable
from pyrotorque_control import terminal
from pyrotorque_control.client import actor_of, require_service
from pyrotorque_control.exit_codes import EX_OK, EX_UNAVAILABLE
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import CommandError, Group
from pyrotorque_control.item_choice import looks_like_hash, matching_item

_SEARCH_TIMEOUT = 6.0  # seconds; groups have two to answer
_FOLLOW_EVERY = 1.0
_EVENTS_AT_A_TIME = 200
_CLAIMS_MAX = 500
_CLAIM_STATES = ("offered", "assigned", "granted", "done", "failed", "withdrawn")
_COLUMNS = ("group", "state", "items", "loading", "down", "up", "free", "rTorrent")
_NARROW = 110
"""Columns of a terminal; below, the last ones of the table share one."""


@click.group(invoke_without_command=True, short_help="Show the groups of the fleet.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per group.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> int:
    """Show all groups of the fleet: whether they are there, their items and slots, rates, free space and problems.

    \b
      pyrotorque fleet
      pyrotorque fleet --json | jq -r 'select(.state == "gone").name'
      pyrotorque fleet find debian
      pyrotorque fleet claims --state offered
      pyrotorque fleet why debian
      pyrotorque fleet events -f

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
        _show_groups(data["groups"])
    for text in data.get("refused", ()):
        terminal.print_error(printable(text))
    if data["connected"]:
        return EX_OK
    terminal.print_error(f"the fleet is unavailable: {printable(data['reason'] or 'connecting')}")
    return EX_UNAVAILABLE


@command.command(short_help="Find items in all groups.")
@click.argument("text", callback=given_word)
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


@command.command(short_help="List the claims on metafiles.")
@click.option("--state", type=click.Choice(_CLAIM_STATES), help="Only claims in this state.")
@click.option(
    "--limit", type=click.IntRange(1, _CLAIMS_MAX), default=100, show_default=True, help="The newest so many."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per claim.")
@click.pass_obj
def claims(group: Group, state: str | None, limit: int, as_json: bool) -> int:
    """Show which group has which metafile of the fleet, the newest change first, as this group knows it.

    \b
      offered     no group has taken it yet: `pyrotorque fleet why HASH`
      assigned    a group loads it, held
      granted     the group may start it; only `pyrotorque fleet release` takes it away
      done        the group has it
      failed      it cannot be loaded
      withdrawn   its file was removed before a group took it, or it was released
    """
    data = _ask(group, ListClaims(state=state or "", limit=limit), 5.0).data
    rows = [
        (claim["state"], claim["owner"] or "-", terminal.hash_text(claim["info_hash"]), claim["facts"]["name"])
        for claim in data["claims"]
    ]
    if as_json:
        for claim in data["claims"]:
            click.echo(terminal.json_line(claim))
        return EX_OK
    for claim, line in zip(data["claims"], terminal.aligned(rows, is_cut=True), strict=True):
        click.echo(line)
        if claim["reason"]:
            terminal.echo(f"    {printable(claim['reason'])}")
    counts = ", ".join(f"{count} {name}" for name, count in sorted(data["counts"].items()))
    click.echo(counts or "no claims")
    return EX_OK


@command.command(short_help="Explain why no group has taken a metafile.")
@click.argument("claim", callback=given_word, metavar="HASH|NAME")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def why(group: Group, claim: str, as_json: bool) -> int:
    """Ask all groups why they do not take this metafile, named by its info-hash, or by a part of its name.

    Groups that did not answer are listed on standard error; the exit code is 69 then.
    """
    answer = _ask(group, WhyClaim(info_hash=_chosen_claim(group, claim)), _SEARCH_TIMEOUT)
    if not answer.ok:
        raise CommandError(answer.text, EX_UNAVAILABLE)
    found, reasons, silent = answer.data["claim"], answer.data["reasons"], answer.data["silent"]
    if as_json:
        click.echo(terminal.json_line({"claim": found, "reasons": reasons, "silent": silent}))
    elif found is None:
        click.echo("this group knows no claim on it")
    else:
        owner = f" to {found['owner']}" if found["owner"] else ""
        terminal.echo(f"{printable(found['facts']['name'])}: {found['state']}{owner}, offered by {found['sender']}")
    if not as_json:
        for name, reason in sorted(reasons.items()):
            terminal.echo(printable(f"{name}: {reason or 'takes it when its turn has come'}"))
    for name in silent:
        terminal.print_error(f"{printable(name)} did not answer")
    return EX_OK if not silent else EX_UNAVAILABLE


@command.command(short_help="Take a metafile from a group, such as a dead host's.")
@click.argument("claim", callback=given_word, metavar="HASH|NAME")
@click.pass_obj
def release(group: Group, claim: str) -> int:
    """Offer a metafile again that a group was permitted to start, although that group may have started it.

    For a host that does not come back. If it does, the item runs in two groups; the one that came back reports that. A
    claim that is done or failed is withdrawn, so that the metafile can be dropped again.
    """
    require_service(group, "fleet", "fleet.servers")
    try:
        answer = release_claim(actor_of(group), _chosen_claim(group, claim))
    except RequestWrong:
        raise
    except ActionRefused as refused:
        raise CommandError(str(refused), EX_UNAVAILABLE) from refused
    click.echo(answer.text)
    return EX_OK


@command.command(short_help="Print the events of all groups.")
@click.option("--follow", "-f", is_flag=True, help="Wait for new events.")
@click.option("--lines", "-n", type=click.IntRange(1, 200), default=20, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event.")
@click.pass_obj
def events(group: Group, follow: bool, lines: int, as_json: bool) -> int:
    """Print the newest events of all groups of the fleet, from its stream, and with -f each new one."""
    after, count = -lines, lines
    while True:
        answer = _ask(group, ListFleetEvents(after=after, limit=count), _SEARCH_TIMEOUT)
        if not answer.ok and not follow:
            raise CommandError(answer.text, EX_UNAVAILABLE)
        data: dict[str, Any] = answer.data or {"events": [], "last": None}
        for event in data["events"]:
            click.echo(terminal.json_line(event)) if as_json else terminal.echo(_event_line(event))
        if data["last"] is not None:
            after = data["last"]
        count = _EVENTS_AT_A_TIME
        if not follow:
            return EX_OK
        if len(data["events"]) < count:
            time.sleep(_FOLLOW_EVERY)


def _chosen_claim(group: Group, text: str) -> str:
    """The info-hash of the claim that a user names, as in `pyrotorque fleet claims`."""
    if looks_like_hash(text):
        return required_hash(text)
    claims = _ask(group, ListClaims(limit=_CLAIMS_MAX), 5.0).data["claims"]
    items = [(claim["info_hash"], claim["facts"]["name"]) for claim in claims]
    return matching_item(items, text, hint="`pyrotorque fleet claims` lists the claims")


def _event_line(event: Mapping[str, Any]) -> str:
    hidden = ("v", "source", "epoch", "seq", "at", "type", "from")
    values = " ".join(f"{key}={printable(str(value))}" for key, value in event.items() if key not in hidden)
    at = event.get("at")
    shown = humanize.date_time(at) if isinstance(at, int | float) else ""
    where = f"{printable(str(event.get('from', '')))} {printable(str(event.get('source', '')))}".strip()
    return f"{shown}  {where}  {printable(str(event.get('type', '')))}  {values}"


def _ask(group: Group, request: Request, timeout: float) -> Answer:
    from pyrotorque.bus.client import ask

    require_service(group, "fleet", "fleet.servers")
    try:
        return ask(group.layout, "fleet", request, timeout=timeout)
    except ServiceUnreachable as error:
        raise CommandError(str(error), EX_UNAVAILABLE) from error


def _show_groups(groups: Sequence[Mapping[str, Any]]) -> None:
    """A table of the groups, and a line for each problem."""
    rows = [_row(each) for each in groups]
    width = terminal.width()
    if width is None or width >= _NARROW:
        terminal.show(terminal.table(_COLUMNS, rows))
    else:
        terminal.show(terminal.table((*_COLUMNS[:4], "activity"), [(*row[:4], _activity(row)) for row in rows]))
    for each in groups:
        for problem in each.get("problems", ()):
            terminal.echo(printable(f"{each['name']}: {problem}"))


def _activity(row: Sequence[str]) -> str:
    """The last columns in one."""
    down, up, free, rtorrent = row[4:]
    parts = (f"{down} down", f"{up} up", free and f"{free} free", rtorrent and f"rTorrent {rtorrent}")
    return ", ".join(part for part in parts if part)


def _row(group: Mapping[str, Any]) -> tuple[str, ...]:
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
        str(group.get("rtorrent", "")),
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
