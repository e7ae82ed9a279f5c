"""`pyrotorque status`: the services of the group and what each is doing, and rTorrent's transfer rates."""

import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from pyrotorque import humanize
from pyrotorque.errors import PyrotorqueError, SettingsError
from pyrotorque.long_work import running_work
from pyrotorque.text import counted, printable
from pyrotorque_control import terminal
from pyrotorque_control.cleanup_problems import cleanup_results, problem_lines
from pyrotorque_control.exit_codes import EX_OK, EX_UNAVAILABLE
from pyrotorque_control.failed_moves import failed_moves, failure_lines
from pyrotorque_control.group import Group
from pyrotorque_control.job_rows import job_rows
from pyrotorque_control.load_progress import progress_line
from pyrotorque_control.overview import Overview, ServiceView, overview
from pyrotorque_control.rtorrent import rtorrent_of, settings_of

if TYPE_CHECKING:
    from rich.console import Group as Lines
    from rich.table import Table
    from rich.text import Text

_REFRESH = 1.0  # seconds
_RTORRENT_TIMEOUT = 1.0  # seconds
_STYLES = {"RUNNING": "green", "STARTING": "yellow", "BACKOFF": "yellow", "FATAL": "red bold", "STOPPED": "dim"}


@click.command(short_help="Show the services and what they do.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--watch", is_flag=True, help="Refresh every second, until Ctrl-C; in a pipe, print again.")
@click.pass_obj
def command(group: Group, as_json: bool, watch: bool) -> int:
    """Show each service, its uptime and what it is doing: queues and why they wait, watched trees, number of loaded
    metafiles and the progress of many; each job with its last result and next run, failing ones first, as they are
    stored while the scheduler is busy; rTorrent's transfer rates; long work, such as a copy to another disk, a backup
    or a clean-up; moves that failed, with their reason and next attempt; and why a clean-up removes nothing.

    For scripts, `pyrotorque --status` prints one line and sets the exit code.

    The exit code is 0 when the group runs, 69 when it does not.
    """
    if watch and as_json:
        raise click.UsageError("--watch and --json exclude each other: use one of them")
    if watch:
        return _watch(group)
    found = overview(group)
    if as_json:
        moves = msgspec.to_builtins(failed_moves(group.layout))
        cleanups = [{"job": each.job, **msgspec.to_builtins(each.run)} for each in cleanup_results(group.layout)]
        work = msgspec.to_builtins(running_work(group.layout.run_dir))
        click.echo(
            terminal.json_line(
                {**msgspec.to_builtins(found), "failed_moves": moves, "cleanups": cleanups, "running_work": work}
            )
        )
    else:
        terminal.show(shown(found, time.time(), rtorrent_line(group)))
        for work in running_work(group.layout.run_dir):
            terminal.echo(work.sentence(time.time()))
        for line in failure_lines(failed_moves(group.layout), time.time()):
            terminal.echo(line)
        for line in problem_lines(cleanup_results(group.layout), time.time()):
            terminal.echo(line)
    return EX_OK if found.running else EX_UNAVAILABLE


def rtorrent_line(group: Group) -> str:
    """rTorrent's number of items and transfer rates, or why they are not known."""
    try:
        settings = settings_of(group)
    except SettingsError:
        return "rTorrent was not queried: torque.ini is wrong (`pyrotorque check` lists the errors)"
    try:
        client = rtorrent_of(settings, timeout=_RTORRENT_TIMEOUT)
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
    except SettingsError as error:
        return f"rTorrent was not queried: {error}"
    except (PyrotorqueError, ValueError) as error:
        return f"rTorrent does not answer: {error}"
    return f"rTorrent: {counted(items, 'item')}, {active} active, {humanize.rate(down)} down, {humanize.rate(up)} up"


def shown(found: Overview, now: float, rtorrent: str = "") -> "Lines":
    """The overview as text and a table."""
    from rich.console import Group as Lines
    from rich.text import Text

    folder = printable(str(found.config_dir))
    if not found.running:
        return Lines(Text(f"pyrotorque is not running ({folder})"))
    head = f"pyrotorque is running, pid {found.pid}, up {humanize.duration(now - found.since)} ({folder})"
    if found.problem:
        return Lines(Text(head), Text(found.problem, style="red"))
    rows = [_row(service, now) for service in found.services]
    table = terminal.table(("service", "state", "pid", "up", "activity"), rows)
    more = [rtorrent, *_address_lines(found)]
    return Lines(Text(head), table, *_jobs_table(found, now), *(Text(printable(line)) for line in more if line))


def _jobs_table(found: Overview, now: float) -> "Iterator[Table | Text]":
    """The jobs with their last results; what is stored of them if the scheduler does not answer."""
    from rich.text import Text

    data = next((service.data for service in found.services if service.name == "scheduler"), None)
    jobs = data.get("jobs", ()) if isinstance(data, Mapping) else found.stored_jobs
    if rows := job_rows(jobs, now):
        if jobs is found.stored_jobs:
            yield Text("The scheduler does not answer: stored results of its jobs, and next runs as scheduled:")
        yield terminal.table(("job", "last result", "when", "next run"), rows)


def _address_lines(found: Overview) -> Iterator[str]:
    """Where the panel and the metrics of each exporter job are, if they listen."""
    data = {service.name: service.data for service in found.services if isinstance(service.data, Mapping)}
    if (panel := data.get("panel", {})).get("open"):
        yield f"panel: {panel['url']}/"
    for job in data.get("exporter", {}).values():
        if job.get("open"):
            address = str(job["address"]).strip("[]")
            shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)
            yield f"metrics: http://{shown}:{job['port']}/metrics"


def _row(service: ServiceView, now: float) -> "tuple[str, Text, str, str, Text]":
    from rich.text import Text

    state = Text(service.state, style=_STYLES.get(service.state, ""))
    up = humanize.duration(now - service.since) if service.since else ""
    activity = Text("\n".join(map(printable, activity_lines(service))))
    return service.name, state, str(service.pid or ""), up, activity


def activity_lines(service: ServiceView) -> list[str]:
    """What the service is doing, in one or more lines; a line for each queue and tree watch."""
    if service.state == "STARTING" and service.data is None:
        return [""]
    lines = _ACTIVITY.get(service.name)
    if lines is None or not isinstance(service.data, Mapping):
        return [service.says]
    return list(lines(service.says, service.data)) or [service.says]


def _scheduler_lines(summary: str, data: Mapping[str, Any]) -> Iterator[str]:
    yield summary
    for job in data.get("jobs", ()):
        name = printable(str(job.get("job")))
        if job.get("paused"):
            yield f"{name}: paused (`pyrotorque resume {name}`){_queued(job)}"
        elif job.get("last"):
            yield f"{name}: {job['last']}{_next_tick(job.get('next_fire'))}"
        elif job.get("after") or job.get("events"):
            yield f"{name}: {_event_state(job)}"


def _event_state(job: Mapping[str, Any]) -> str:
    """The events that a job runs on, the jobs that it waits for, and the events that are queued for it."""
    after = f", after {', '.join(map(printable, job['after']))}" if job.get("after") else ""
    return f"runs on {', '.join(job.get('on', ()))}{after}{_queued(job)}"


def _queued(job: Mapping[str, Any]) -> str:
    return f"; {counted(job['events'], 'event')} queued" if job.get("events") else ""


def _next_tick(moment: float | None) -> str:
    return "" if moment is None else f" (next tick {humanize.time_of_day(moment)})"


def _watcher_lines(summary: str, data: Mapping[str, Any]) -> Iterator[str]:
    jobs: Mapping[str, Any] = data.get("jobs", {})
    if summary:
        yield summary
    if not jobs:
        yield "no tree watch is active"
    for name, job in jobs.items():
        yield f"{name}: {_folders(job)}"
    counts: Mapping[str, int] = data.get("metafiles", {})
    if counts:
        if progress := data.get("progress"):
            yield progress_line(progress, time.time())
        yield "metafiles: " + ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    if data.get("rtorrent") == "away":
        yield "rTorrent is unavailable: new metafiles are loaded when it is back"


def _folders(job: Mapping[str, Any]) -> str:
    text = f"watches {', '.join(job.get('roots', ()))}"
    if missing := job.get("missing"):
        text += f"; missing: {', '.join(missing)}"
    if polled := job.get("polled"):
        text += "; polled: " + ", ".join(f"{root} ({why})" for root, why in polled.items())
    return text


_ACTIVITY = {"scheduler": _scheduler_lines, "watcher": _watcher_lines}


def _watch(group: Group) -> int:
    try:
        if terminal.is_terminal(sys.stdout):
            _refresh(group)
        _repeat(group)
    except KeyboardInterrupt:
        return EX_OK


def _refresh(group: Group) -> NoReturn:
    from rich.live import Live

    with Live(console=terminal.console(), screen=False, auto_refresh=False) as live:
        while True:
            live.update(shown(overview(group), time.time(), rtorrent_line(group)), refresh=True)
            time.sleep(_REFRESH)


def _repeat(group: Group) -> NoReturn:
    """For a pipe or a file, which shows nothing in place: one text after another, until the reader has left."""
    while True:
        terminal.show(shown(overview(group), time.time(), rtorrent_line(group)))
        sys.stdout.flush()
        time.sleep(_REFRESH)
