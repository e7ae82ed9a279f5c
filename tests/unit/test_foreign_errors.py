"""Errors of the machine are named with cause and cure; faults of this program are not hidden."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from pyrotorque.foreign_errors import explain, summary
from pyrotorque_control import cli


@pytest.fixture
def limited() -> Iterator[None]:
    """1,000 open files, and no limit of memory."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1000, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (
            OSError(errno.EMFILE, "Too many open files"),
            "no further file can be opened: raise the limit (`ulimit -n`",
            75,
        ),
        (zmq.ZMQError(errno.EMFILE), "no further file can be opened: raise the limit (`ulimit -n`", 75),
        (
            OSError(errno.ENFILE, ""),
            "no further file can be opened on this machine: the limit",
            75,
        ),
        (MemoryError(), "out of memory: ", 75),
        (RuntimeError("can't start new thread"), "no further process or thread can be started: ", 75),
        (BlockingIOError(errno.EAGAIN, ""), "no further process or thread can be started: ", 75),
        (OSError(errno.EFBIG, "", "/x/log"), "/x/log: the file is larger than allowed: ", 74),
        (OSError(errno.ENOSPC, "", "/x"), f"/x: {os.strerror(errno.ENOSPC)}", 74),
        (FileNotFoundError(errno.ENOENT, "", b"/\xff"), f"/\udcff: {os.strerror(errno.ENOENT)}", 74),
    ],
)
def test_cause_and_cure(limited: None, error: Exception, text: str, code: int) -> None:
    found = explain(error)
    assert found is not None
    assert found.text.startswith(text)
    assert found.exit_code == code


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), zmq.ZMQError(errno.ENOTSUP), KeyError(5)])
def test_faults_of_this_program_are_not_the_machine(error: Exception) -> None:
    assert explain(error) is None
    assert summary(error) == str(error)


def test_a_fault_is_one_line_and_70_with_a_traceback_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    error = ZeroDivisionError("by zero")
    assert cli.report_error(error) == 70
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "unexpected error, please report it (`pyrotorque --debug …` prints a traceback): ZeroDivisionError" in said
    assert cli.report_error(error, is_debug=True) == 70
    assert capsys.readouterr().err.startswith("ZeroDivisionError")


@pytest.mark.parametrize("words", [["--config-dir", "conf", "check"], ["--config-dir", "conf", "backup", "b.tar"]])
def test_relative_paths_in_a_folder_that_was_removed(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "gone").mkdir()
    script = 'cd gone && rmdir ../gone && exec "$@"'
    ended = subprocess.run(
        ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "pyrotorque_control", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    wanted = "pyrotorque: the current folder was removed: change to another one, or write absolute paths\n"
    assert (ended.returncode, ended.stderr) == (74, wanted)


def test_a_file_that_is_missing_is_not_the_current_folder() -> None:
    found = explain(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    assert found is not None
    assert found.text == "No such file or directory"
