"""How far a command is: a bar on a terminal, lines in a pipe, results in their order, and never a reason to fail."""

import io
import sys
from pathlib import Path

import pytest

from pyrotorque.long_work import Unit, running_work
from pyrotorque_control import progress
from pyrotorque_control.progress import ProgressDisplay, ShownProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class GoneTerminal(Terminal):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


class GonePipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LINE_EVERY", "_BAR_EVERY", "_LATE"):
        monkeypatch.setattr(progress, name, 0.0)


def last_line(output: io.StringIO) -> str:
    return output.getvalue().rstrip("\n").replace("\x1b[?25h", "").split("\r")[-1].split("\n")[-1]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("unit", "shown"),
    [("item", "3/3"), ("file", "3/3"), ("bytes", "100%")],
)
def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch, unit: Unit, shown: str) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with ShownProgress(None, "restoring files", 3, unit) as work:
        assert "restoring files" in terminal.getvalue()
        for _ in work.each(range(3)):
            pass
    assert shown in last_line(terminal)


@pytest.mark.usefixtures("at_once")
def test_in_a_pipe_there_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    with ShownProgress(None, "restoring files", 3, "file") as work:
        for _ in work.each(range(3)):
            pass
    assert [line.partition(" (")[0] for line in pipe.getvalue().splitlines()][-3:] == [
        "restoring files: 1 of 3 files",
        "restoring files: 2 of 3 files",
        "restoring files: 3 of 3 files",
    ]


def test_short_work_has_no_line_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    with ShownProgress(None, "backup", 3, "bytes") as work:
        work.advance(3)
    assert pipe.getvalue() == ""


def test_late_work_that_ends_at_once_has_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with ShownProgress(None, "files on the disks", 3, "file", is_late=True) as work:
        work.advance(3)
    assert terminal.getvalue() == ""


@pytest.mark.usefixtures("at_once")
def test_work_of_unknown_size_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with ShownProgress(None, "looking for files", 0, "file", is_late=True) as work:
        for _ in range(1000):
            work.advance()
    assert terminal.getvalue() == "looking for files …\n"


@pytest.mark.usefixtures("at_once")
def test_results_follow_a_bar_and_are_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setattr(sys, "stdout", screen)

    def interrupted() -> None:
        with ShownProgress(None, "retrack", 3) as work:
            work.echo("first")
            work.echo("second failed", is_error=True)
            work.advance(2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert screen.getvalue().endswith("\nfirst\nsecond failed\n")
    assert "2/3" in screen.getvalue()


@pytest.mark.usefixtures("at_once")
def test_results_in_a_pipe_do_not_wait_for_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", pipe := io.StringIO())
    with ShownProgress(None, "retrack", 3) as work:
        work.echo("first")
        assert pipe.getvalue() == "first\n"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("output", [GoneTerminal(), GonePipe(), None])
def test_an_output_that_is_gone_ends_the_display_and_not_the_work(
    monkeypatch: pytest.MonkeyPatch, output: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stderr", output)
    with ShownProgress(None, "replacing files", 3, "file") as work:
        for _ in work.each(range(3)):
            pass
    assert work.done == 3


@pytest.mark.usefixtures("at_once")
def test_a_closed_output_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with ShownProgress(None, "replacing files", 3, "file") as work:
        work.advance()


@pytest.mark.usefixtures("at_once")
def test_a_long_label_and_control_characters_do_not_break_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    display = ProgressDisplay("a job with a long name\x1b[31m\n" * 9, 10, terminal)
    display.show(5, 10, str)
    display.close(is_complete=True)
    lines = [line.replace("\x1b[?25l", "").replace("\x1b[?25h", "") for line in terminal.getvalue().split("\r")]
    assert all(len(line.strip("\n")) <= 80 for line in lines)
    assert "\x1b[31m" not in terminal.getvalue()


def test_status_shows_the_work_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrotorque.long_work._SHOWN_AFTER", 0.0)
    with ShownProgress(tmp_path, "restoring files", 8, "file") as work:
        work.advance(2)
        assert [each.sentence(each.began) for each in running_work(tmp_path)] == [
            "restoring files: 2 of 8 files (25 %)"
        ]
    assert running_work(tmp_path) == []
