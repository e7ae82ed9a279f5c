"""`--fg` shows every line of every service once, marked with its name."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeAlias

import pytest

from pyrotorque_control.foreground import LinePrinter, LogTail, is_protocol

Tails: TypeAlias = Callable[[Path], LogTail]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "watcher.log"


@pytest.fixture
def tails() -> Iterator[Tails]:
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(closing(LogTail(path)))


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def test_what_was_there_before_is_not_shown(log: Path, tails: Tails) -> None:
    append(log, "old\n")
    tail = tails(log)
    append(log, "new\n")
    assert list(tail.lines()) == ["new"]
    assert list(tail.lines()) == []


def test_a_file_that_comes_later_is_shown_from_its_beginning(log: Path, tails: Tails) -> None:
    tail = tails(log)
    assert list(tail.lines()) == []
    append(log, "first\nsecond\n")
    assert list(tail.lines()) == ["first", "second"]


def test_half_a_line_waits_for_its_rest(log: Path, tails: Tails) -> None:
    tail = tails(log)
    append(log, "hal")
    assert list(tail.lines()) == []
    append(log, "f\n")
    assert list(tail.lines()) == ["half"]


def test_nothing_is_lost_when_the_log_is_rotated(log: Path, tails: Tails) -> None:
    append(log, "1\n")
    tail = tails(log)
    append(log, "2\n")
    log.rename(log.with_suffix(".1"))
    append(log, "3\n")
    assert list(tail.lines()) == ["2", "3"]
    append(log, "4\n")
    assert list(tail.lines()) == ["4"]


def test_a_truncated_log_is_read_from_its_beginning(log: Path, tails: Tails) -> None:
    append(log, "a long first line\n")
    tail = tails(log)
    log.write_text("x\n")
    assert list(tail.lines()) == ["x"]


def test_bytes_that_are_not_utf_8_are_shown(log: Path, tails: Tails) -> None:
    tail = tails(log)
    append(log, b"caf\xe9\n")
    assert list(tail.lines()) == ["caf\\xe9"]


def test_a_line_is_marked_with_its_service_and_has_no_colours_where_there_is_no_terminal() -> None:
    output = io.StringIO()
    LinePrinter(output).show("watcher", "loaded x")
    assert output.getvalue() == "watcher   | loaded x\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colours_unless_its_owner_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    LinePrinter(coloured).show("watcher", "x")
    monkeypatch.setenv("NO_COLOR", "1")
    LinePrinter(plain).show("watcher", "x")
    assert coloured.getvalue().startswith("\x1b[")
    assert "\x1b" not in plain.getvalue()


@pytest.mark.parametrize(
    ("line", "hidden"),
    [("READY", True), ("RESULT 2", True), ("OKREADY", True), ("", True), ("INFO guardian: READY", False)],
)
def test_the_protocol_of_event_listeners_is_not_shown(line: str, hidden: bool) -> None:
    assert is_protocol(line) is hidden
