"""Shows how far a command is: a bar on a terminal, lines in a pipe, both on standard error; and in `status`."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

import click

from pyrotorque.long_work import Unit, WorkReport

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_LINE_EVERY: Final = 5.0


class ShownProgress:
    """`with ShownProgress(run_dir, what, total) as progress: … progress.advance()`.

    Work that ends within five seconds has no line in a pipe.
    """

    def __init__(self, run_dir: Path | None, what: str, total: int, unit: Unit = "item") -> None:
        self._report = WorkReport(run_dir, what, total, unit)
        self._bar: ProgressBar[int] | None = None
        self._due = time.monotonic() + _LINE_EVERY
        if sys.stderr is not None and sys.stderr.isatty() and total:
            self._bar = click.progressbar(length=total, label=what, show_pos=unit == "item", file=sys.stderr)

    def __enter__(self) -> "ShownProgress":
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._report.__exit__(kind, error, trace)
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self._report.advance(count)
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_EVERY
            click.echo(f"{self._report.work.sentence(time.time())}", err=True)
