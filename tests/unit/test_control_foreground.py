"""`--fg` shows every line of every service once, marked with its name."""

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeAlias

import pytest

from pyrotorque_control.foreground import LinePrinter, LogTail, is_protocol, line_style

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


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("2026-11-23 22:41:07 WARN  watcher: text", "<4>watcher: watcher: text"),
        ("2026-11-23 22:41:07,123 INFO spawned: 'watcher'", "<6>watcher: spawned: 'watcher'"),
        ("2026-11-23 22:41:07 ERROR x: failed", "<3>watcher: x: failed"),
        ("2026-11-23 22:41:07,123 CRIT Server running", "<2>watcher: Server running"),
        ("2026-11-23 22:41:07 DEBUG x: y", "<7>watcher: x: y"),
        ("printed by a job", "<6>watcher: printed by a job"),
    ],
)
def test_lines_for_the_journal_have_its_priority_and_no_time_of_their_own(line: str, shown: str) -> None:
    output = io.StringIO()
    LinePrinter(output, "journal").show("watcher", line)
    assert output.getvalue() == f"{shown}\n"


def test_a_traceback_in_the_journal_has_the_priority_of_its_line() -> None:
    output = io.StringIO()
    printer = LinePrinter(output, "journal")
    printer.show("watcher", "2026-11-23 22:41:07 ERROR x: failed")
    printer.show("scheduler", "2026-11-23 22:41:07 INFO  x: fine")
    printer.show("watcher", "    Traceback")
    assert output.getvalue().splitlines()[-1] == "<3>watcher:     Traceback"


def test_json_lines_stay_and_those_of_supervisord_become_json() -> None:
    output = io.StringIO()
    printer = LinePrinter(output, "json")
    printer.show("watcher", '{"level":"INFO","text":"a"}')
    printer.show("group", "2026-11-23 22:41:07,123 WARN exited: watcher")
    first, second = output.getvalue().splitlines()
    assert first == '{"level":"INFO","text":"a"}'
    found = json.loads(second)
    assert (found["level"], found["service"], found["text"]) == ("WARN", "group", "exited: watcher")


def test_the_stream_that_leads_to_the_journal_is_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "out").open("w") as output:
        found = os.fstat(output.fileno())
        assert line_style(output, "text") == "text"
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert line_style(output, "text") == "journal"
        assert line_style(output, "json") == "json"
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
        assert line_style(output, "text") == "text"
    assert line_style(io.StringIO(), "text") == "text"
