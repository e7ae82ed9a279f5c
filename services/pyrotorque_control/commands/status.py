"""`pyrotorque status`: the processes of the group and what each of them says."""

import time
from typing import TYPE_CHECKING

import click
import msgspec

from pyrotorque.errors import PyrotorqueError, SettingsError
from pyrotorque.text import counted, printable
from pyrotorque_control import sayings, terminal
from pyrotorque_control.exit_codes import EX_OK, EX_UNAVAILABLE
from pyrotorque_control.group import Group
from pyrotorque_control.overview import Overview, ServiceView, overview
from pyrotorque_control.rtorrent import reach
from pyrotorque_control.stopping import uptime

if TYPE_CHECKING:
    from rich.console import Group as Lines
    from rich.text import Text

_REFRESH = 1.0  # seconds
_STYLES = {"RUNNING": "green", "STARTING": "yellow", "BACKOFF": "yellow", "FATAL": "red bold", "STOPPED": "dim"}


@click.command(short_help="Show what runs and what it is doing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@click.pass_obj
def command(group: Group, as_json: bool, watch: bool) -> int:
    """Show the services, since when they run and what each is doing: the queues and why they wait, the watched trees
    and how many metafiles were loaded; and how much rTorrent transfers.

    `pyrotorque --status` is the short question for scripts: one line, and the exit code.

    The exit code is 0 when the group runs, 69 when it does not.
    """
    if watch and as_json:
        raise click.UsageError("--watch is for eyes, --json for programs: take one of them")
    if watch:
        return _watch(group)
    found = overview(group)
    if as_json:
        click.echo(terminal.json_line(msgspec.to_builtins(found)))
    else:
        terminal.show(shown(found, time.time(), rtorrent_said(group)))
    return EX_OK if found.running else EX_UNAVAILABLE


def rtorrent_said(group: Group) -> str:
    """One line about rTorrent: how much it transfers, or why it does not answer."""
    try:
        client = reach(group, patience=1.0).rtorrent
        down, up, items, active = (
            int(str(value))
            for value in client.multicall(
                [
                    ("throttle.global_down.rate", [""]),
                    ("throttle.global_up.rate", [""]),
                    ("view.size", ["", "main"]),
                    ("view.size", ["", "active"]),
                ]
            )
        )
    except SettingsError:
        return "rTorrent is not asked: torque.ini is wrong (`pyrotorque check` lists how)"
    except (PyrotorqueError, ValueError) as error:
        return f"rTorrent does not answer: {error}"
    return f"rTorrent: {counted(items, 'item')}, {active} active, {_rate(down)} down, {_rate(up)} up"


def _rate(rate: float) -> str:
    for unit in ("B/s", "KiB/s", "MiB/s"):
        if rate < 1024:
            return f"{rate:.0f} {unit}" if unit == "B/s" else f"{rate:.1f} {unit}"
        rate /= 1024
    return f"{rate:.1f} GiB/s"


def shown(found: Overview, now: float, rtorrent: str = "") -> "Lines":
    """The overview as a person reads it."""
    from rich.console import Group as Lines
    from rich.text import Text

    if not found.running:
        return Lines(Text(f"pyrotorque is not running ({found.config_dir})"))
    head = f"pyrotorque is running, pid {found.pid}, up {uptime(now - found.since)} ({found.config_dir})"
    if found.problem:
        return Lines(Text(head), Text(found.problem, style="red"))
    rows = [_row(service, now) for service in found.services]
    table = terminal.table(("service", "state", "pid", "up", "says"), rows)
    return Lines(Text(head), table, *([Text(printable(rtorrent))] if rtorrent else []))


def _row(service: ServiceView, now: float) -> "tuple[str, Text, str, str, Text]":
    from rich.text import Text

    state = Text(service.state, style=_STYLES.get(service.state, ""))
    up = uptime(now - service.since) if service.since else ""
    says = Text("\n".join(map(printable, sayings.lines(service))))
    return service.name, state, str(service.pid or ""), up, says


def _watch(group: Group) -> int:
    from rich.live import Live

    try:
        with Live(console=terminal.console(), screen=False, auto_refresh=False) as live:
            while True:
                live.update(shown(overview(group), time.time(), rtorrent_said(group)), refresh=True)
                time.sleep(_REFRESH)
    except KeyboardInterrupt:
        return EX_OK
