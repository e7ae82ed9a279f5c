"""Errors and hints: cause and cure apart and in colour on a terminal, one plain line in a pipe."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pyrotorque import errors
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.rtorrent import ExchangeFailed
from pyrotorque_control.exit_codes import EX_TEMPFAIL
from pyrotorque_control.group import CommandError, NotRunning
from pyrotorque_control.hints import general_hint


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "PYRO_CONFIG_DIR")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm"} | more


def command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(home), *words]


def on_terminal(home: Path, *words: str, **more: str) -> str:
    ours, theirs = pty.openpty()
    ended = subprocess.Popen(
        command(home, *words), env=environment(**more), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the end, on Linux
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    ended.wait()
    return shown.decode().replace("\r\n", "\n")


def test_cause_and_cure_are_lines_of_their_own_in_colour_on_a_terminal(tmp_path: Path) -> None:
    shown = on_terminal(tmp_path, "pause", "queue")
    assert f"\x1b[31mpyrotorque: error:\x1b[0m not running ({tmp_path})" in shown.replace("\n  ", " ")
    assert "\x1b[36mhint:\x1b[0m `pyrotorque` starts the group, `pyrotorque --fg` in this terminal\n" in shown


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_without_colours_gets_the_words(tmp_path: Path, more: dict[str, str]) -> None:
    shown = on_terminal(tmp_path, "pause", "queue", **more)
    assert "\x1b" not in shown
    assert "pyrotorque: error: not running" in shown
    assert "\nhint: `pyrotorque` starts" in shown


def test_an_empty_no_color_is_none(tmp_path: Path) -> None:
    assert "\x1b[31m" in on_terminal(tmp_path, "pause", "queue", NO_COLOR="")


def test_a_pipe_gets_one_plain_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        command(tmp_path, "pause", "queue"), env=environment(), capture_output=True, text=True, check=False
    )
    assert ended.stderr == f"pyrotorque: not running ({tmp_path})\n"


def test_wrong_usage_is_an_error_with_a_hint_too(tmp_path: Path) -> None:
    shown = on_terminal(tmp_path, "status", "--jsno")
    assert "error:\x1b[0m No such option" in shown
    assert "hint:\x1b[0m `pyrotorque status --help` shows the options" in shown
    misplaced = on_terminal(tmp_path, "status", "--debug")
    assert "hint:\x1b[0m --debug must precede the sub-command: pyrotorque --debug … COMMAND" in misplaced


def test_the_message_of_an_error_ends_with_its_hint() -> None:
    error = CommandError("already running, pid 7", EX_TEMPFAIL, hint="`pyrotorque --stop` stops it")
    assert str(error) == "already running, pid 7: `pyrotorque --stop` stops it"
    assert (error.without_hint, error.hint) == ("already running, pid 7", "`pyrotorque --stop` stops it")
    assert (errors.UserError("x").without_hint, errors.UserError("x").hint) == ("x", "")


def test_the_most_specific_class_decides_about_the_general_hint() -> None:
    assert "starts the group" in general_hint(NotRunning("not running", 69))
    assert general_hint(CommandError("x", 64)) == ""
    assert "fields" in general_hint(errors.ConditionError("x"))


def test_the_base_class_hides_no_attribute_of_an_error() -> None:
    assert MoveRefused("x", "full").cause == "full"
    assert ExchangeFailed("x", "connect").without_hint == "x"
