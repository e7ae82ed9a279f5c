"""Shows how far a command is: a bar on a terminal, lines in a pipe, and for work of its own in `status`."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, TextIO

import click

from pyrotorque.long_work import Unit, WorkReport
from pyrotorque.text import printable
from pyrotorque_control import terminal
from pyrotorque_control.line_breaks import cut

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_LINE_EVERY: Final = 5.0
_BAR_EVERY: Final = 0.1
_LATE: Final = 0.5
_LABEL_MAX: Final = 30  # columns; a bar that is wider than the terminal would fill it


class ProgressDisplay:
    """A bar of `output` if that is a terminal, else a line every five seconds.

    `is_late`: what ends within half a second has no bar, and one whose `total` is not known (0) has a line instead. An
    output that fails ends the display, never the work.
    """

    def __init__(
        self, label: str, total: int, output: TextIO | None, *, has_counts: bool = True, is_late: bool = False
    ) -> None:
        self._label, self._output, self._has_counts = label, output, has_counts
        self._began = time.time()
        self._line_due = time.monotonic() + _LINE_EVERY
        self._is_late = is_late
        self._bar_due = time.monotonic() + (_LATE if is_late else 0.0)
        self._is_terminal = terminal.is_terminal(output)
        self._bar: ProgressBar[int] | None = None
        if self._is_terminal:
            self.show(0, total, str)

    @property
    def is_bar(self) -> bool:
        return self._bar is not None

    def show(self, done: int, total: int, sentence: Callable[[], str], *, at_once: bool = False) -> None:
        """So much is done; `at_once`: a line need not wait for its time."""
        try:
            if self._is_terminal:
                self._open(done, total)
                if self._bar is not None and (done != self._bar.pos or total != self._bar.length):
                    self._bar.length = total
                    self._bar.update(done - self._bar.pos)
            elif self._output is not None and (at_once or time.monotonic() >= self._line_due):
                self._line_due = time.monotonic() + _LINE_EVERY
                click.echo(sentence(), file=self._output)
        except (OSError, ValueError):  # the reader of the output has exited, or it was closed
            self._output, self._bar, self._is_terminal = None, None, False

    def close(self, *, is_complete: bool) -> None:
        """End the line of the bar, which is full if the work `is_complete`."""
        if self._bar is None:
            return
        try:
            if is_complete:
                self._bar.update((self._bar.length or 0) - self._bar.pos)
            self._bar.render_finish()
        except (OSError, ValueError):
            pass
        self._bar = None

    def _open(self, done: int, total: int) -> None:
        if self._bar is not None or not self._is_terminal or time.monotonic() < self._bar_due:
            return
        if not total:
            if self._is_late:  # how much it is is not known
                click.echo(f"{printable(self._label)} …", file=self._output)
                self._is_terminal, self._output = False, None
            return
        label = cut(printable(self._label), _LABEL_MAX)
        self._bar = click.progressbar(length=total, label=label, show_pos=self._has_counts, width=0, file=self._output)
        self._bar.start = self._bar.last_eta = self._began
        self._bar.__enter__()
        self._bar.update(done)


class ShownProgress(WorkReport):
    """`with ShownProgress(run_dir, what, total) as progress: … progress.advance()`, on standard error.

    Work that ends within five seconds has no line in a pipe; with `is_late`, what ends at once has no bar.
    """

    def __init__(
        self, run_dir: Path | None, what: str, total: int, unit: Unit = "item", *, is_late: bool = False
    ) -> None:
        super().__init__(run_dir, what, total, unit)
        self._display = ProgressDisplay(what, total, sys.stderr, has_counts=unit != "bytes", is_late=is_late)
        self._show_due = 0.0
        self._held: list[tuple[str, bool]] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._display.close(is_complete=kind is None)
        # Also when Ctrl-C ends it: this was done.
        for line, is_error in self._held:
            click.echo(line, err=is_error)

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        super().advance(count)
        if (now := time.monotonic()) >= self._show_due:
            self._show_due = now + _BAR_EVERY
            self._display.show(self.done, self.total, lambda: self.work.sentence(time.time()))

    @property
    def is_shown(self) -> bool:
        return True

    def echo(self, line: str, *, is_error: bool = False) -> None:
        """Print a result to standard output, an error to standard error; beside a bar, when that is complete."""
        if self._display.is_bar and (is_error or terminal.is_terminal(sys.stdout)):
            self._held.append((line, is_error))
        else:
            click.echo(line, err=is_error)
