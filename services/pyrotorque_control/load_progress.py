"""Shows how far the watcher is with many metafiles: a bar on a terminal, lines in a pipe."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from pyrotorque import humanize
from pyrotorque.bus.client import ask
from pyrotorque.errors import PyrotorqueError
from pyrotorque.layout import Layout
from pyrotorque.requests import DescribeService

_POLL = 0.5  # seconds
_LINE_EVERY = 5.0
_APPEARS_WITHIN = 3.0
_DESCRIBE_TIMEOUT = 5.0

Progress = Mapping[str, float]


def progress_line(progress: Progress, now: float) -> str:
    """`loading 1,234 of 5,000 metafiles (24 %), about 40 s left`."""
    done, total = int(progress["done"]), int(progress["total"])
    share = 100 * done // total if total else 100
    text = f"loading {done:,} of {total:,} metafiles ({share} %)"
    elapsed = now - progress["began"]
    if done and elapsed > 1:
        text += f", about {humanize.duration(elapsed / done * (total - done))} left"
    return text


def read_progress(layout: Layout) -> Progress | None:
    """The watcher's progress; None if it has little to do."""
    data: Any = ask(layout, "watcher", DescribeService(), timeout=_DESCRIBE_TIMEOUT).data
    return data.get("progress") if isinstance(data, Mapping) else None


def follow(layout: Layout, *, read: Callable[[Layout], Progress | None] = read_progress) -> None:
    """Show the progress until all metafiles are loaded or refused, or the watcher ends."""
    first = _first(layout, read)
    if first is None:
        return
    try:
        _show_bar(layout, first, read) if sys.stdout.isatty() else _print_lines(layout, first, read)
    except PyrotorqueError as error:
        click.echo(f"the progress cannot be read any more: {error}", err=True)


def _first(layout: Layout, read: Callable[[Layout], Progress | None]) -> Progress | None:
    deadline = time.monotonic() + _APPEARS_WITHIN
    while time.monotonic() < deadline:
        if (found := read(layout)) is not None:
            return found
        time.sleep(_POLL)
    return None


def _show_bar(layout: Layout, first: Progress, read: Callable[[Layout], Progress | None]) -> None:
    with click.progressbar(length=int(first["total"]), label="loading", show_pos=True) as bar:
        found: Progress | None = first
        while found is not None:
            bar.length = int(found["total"])
            bar.update(int(found["done"]) - bar.pos)
            time.sleep(_POLL)
            found = read(layout)
        bar.update((bar.length or 0) - bar.pos)


def _print_lines(layout: Layout, first: Progress, read: Callable[[Layout], Progress | None]) -> None:
    found: Progress | None = first
    last = first
    printed = float("-inf")
    while found is not None:
        last = found
        if time.monotonic() - printed >= _LINE_EVERY:
            printed = time.monotonic()
            click.echo(progress_line(found, time.time()))
            sys.stdout.flush()
        time.sleep(_POLL)
        found = read(layout)
    click.echo(f"finished {int(last['total']):,} metafiles in {humanize.duration(time.time() - last['began'])}")
