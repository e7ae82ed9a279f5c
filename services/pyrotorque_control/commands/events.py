"""`pyrotorque events`: stored events from the services' databases, then new ones as they are published."""

import re
import time
from datetime import datetime
from typing import Any, Final

import click
import msgspec

from pyrotorque.errors import UserError
from pyrotorque.events import Delivery
from pyrotorque.humanize import date_time
from pyrotorque.layout import ALL_SERVICES, SERVICES
from pyrotorque.text import printable
from pyrotorque_control import terminal
from pyrotorque_control.given_words import given_word
from pyrotorque_control.group import Group

_AGO: Final = re.compile(r"(\d+)\s*([smhdw]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LINES_MAX: Final = 1_000_000
_FIRST: Final = ("name", "metafile", "job", "service", "state", "reason", "kind")


@click.command(short_help="Show events, past or live.")
@click.option("--follow", "-f", is_flag=True, help="Continue with new events, until Ctrl-C.")
@click.option(
    "--lines", "-n", type=click.IntRange(1, _LINES_MAX), metavar="N", help="Of the stored events, the newest so many."
)
@click.option(
    "--since",
    callback=given_word,
    metavar="TIME",
    help="Start time: 10m, 2h, 3d (ago), a date and time, or Unix seconds.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object per line: source, seq, at, type, and its fields."
)
@click.pass_obj
def command(group: Group, follow: bool, lines: int | None, since: str | None, as_json: bool) -> None:
    """Show events: loads, starts, failures, completed items, states of services.

    \b
      pyrotorque events --since 1h                       the last hour
      pyrotorque events -n 20 -f                         20, then new ones
      pyrotorque events --since '2026-11-24 20:00' -f    since then
      pyrotorque events --json | jq -c 'select(.type == "LoadFailed")'

    Stored events are read from the services' databases, so this also works while the group is not running.
    """
    from pyrotorque.bus.client import follow as deliveries

    begin = moment(since, time.time()) if since else 0.0
    layout = group.layout
    services = [name for name in ALL_SERVICES if name in SERVICES or layout.database(name).exists()]
    for delivery in deliveries(layout, services, begin, newest=lines, forever=follow):
        if delivery is not None:
            click.echo(terminal.json_line(fields(delivery)) if as_json else line(delivery))


def moment(text: str, now: float) -> float:
    """`text` in Unix seconds; raises UserError if it is not a time."""
    if found := _AGO.fullmatch(text.strip()):
        number, unit = float(found[1]), found[2]
        return number if not unit and number > _SECONDS["w"] else now - number * _SECONDS[unit]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        raise UserError(f"{text!r} is not a time: use 10m, 2h, 3d, 2026-11-23 22:40, or Unix seconds") from None


def fields(delivery: Delivery) -> dict[str, Any]:
    """The event as a flat mapping: source, seq, at, type, and its own fields."""
    event: dict[str, Any] = msgspec.to_builtins(delivery.event)
    head = {"source": delivery.envelope.source, "seq": delivery.envelope.seq, "at": event.pop("at")}
    return head | {"type": event.pop("type")} | event


def line(delivery: Delivery) -> str:
    """The event as one line of text."""
    values = terminal.plain(fields(delivery))
    at = date_time(values.pop("at"))
    source, kind = values.pop("source"), values.pop("type")
    del values["seq"]
    first = [str(values.pop(name)) for name in _FIRST if values.get(name)]
    rest = [
        f"{name}={round(value, 3) if isinstance(value, float) else value}" for name, value in values.items() if value
    ]
    return printable(" ".join([f"{at} {source:<9} {kind}:", ", ".join(first), *rest]))
