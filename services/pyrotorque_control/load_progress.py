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
from pyrotorque.long_work import share_text
from pyrotorque.requests import DescribeService
from pyrotorque_control.progress import ProgressDisplay

_POLL = 0.5  # seconds
_APPEARS_WITHIN = 3.0
_DESCRIBE_TIMEOUT = 5.0

Progress = Mapping[str, float]


def progress_line(progress: Progress, now: float) -> str:
    """`loading 1,234 of 5,000 metafiles (24 %), about 40 s left`."""
    done, total = int(progress["done"]), int(progress["total"])
    return f"loading {done:,} of {total:,} metafiles{share_text(done, total, now - progress['began'])}"


def read_progress(layout: Layout) -> Progress | None:
    """The watcher's progress; None if it has little to do."""
    data: Any = ask(layout, "watcher", DescribeService(), timeout=_DESCRIBE_TIMEOUT).data
    return data.get("progress") if isinstance(data, Mapping) else None


def follow(layout: Layout, *, read: Callable[[Layout], Progress | None] = read_progress) -> None:
    """Show the progress until all metafiles are loaded or refused, or the watcher ends."""
    first = _first(layout, read)
    if first is None:
        return
    display = ProgressDisplay("loading", int(first["total"]), sys.stdout)
    last = first
    is_complete = False
    try:
        found: Progress | None = first
        while found is not None:
            last = found
            line = progress_line(found, time.time())
            display.show(int(found["done"]), int(found["total"]), line.__str__, at_once=found is first)
            time.sleep(_POLL)
            found = read(layout)
        is_complete = True
    except PyrotorqueError as error:
        click.echo(f"the progress cannot be read any more: {error}", err=True)
    finally:
        is_bar = display.is_bar
        display.close(is_complete=is_complete)
    if is_complete and not is_bar:
        click.echo(f"finished {int(last['total']):,} metafiles in {humanize.duration(time.time() - last['began'])}")


def _first(layout: Layout, read: Callable[[Layout], Progress | None]) -> Progress | None:
    deadline = time.monotonic() + _APPEARS_WITHIN
    while time.monotonic() < deadline:
        if (found := read(layout)) is not None:
            return found
        time.sleep(_POLL)
    return None
