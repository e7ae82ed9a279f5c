"""A pid file is trusted only if its process is the supervisord that wrote it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque_control.supervisord_process import running_supervisord
from tests.waiting import eventually


def process(*words: str) -> subprocess.Popen[bytes]:
    """A process that waits for its input to end, with these words in its command line."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    started = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert started.stdout is not None
    started.stdout.readline()
    return started


@pytest.fixture
def supervisord() -> Iterator[subprocess.Popen[bytes]]:
    with process("-P", "-X", "utf8", "-m", "supervisor.supervisord", "-c", "x.conf") as started:
        yield started
        started.kill()


def pid_file(folder: Path, content: str, *, age: float = 0.0) -> Path:
    path = folder / "pyrotorque.pid"
    path.write_text(content)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_the_process_that_wrote_the_file_is_found(tmp_path: Path, supervisord: subprocess.Popen[bytes]) -> None:
    found = running_supervisord(pid_file(tmp_path, f"{supervisord.pid}\n"))
    assert found is not None
    assert found.pid == supervisord.pid
    assert abs(found.started - time.time()) < 60


@pytest.mark.parametrize("content", ["", "\n", "pid", "0", "-1", "99999999", "1e3"], ids=lambda content: repr(content))
def test_what_is_no_pid_means_that_nothing_runs(tmp_path: Path, content: str) -> None:
    assert running_supervisord(pid_file(tmp_path, content)) is None


def test_no_file_means_that_nothing_runs(tmp_path: Path) -> None:
    assert running_supervisord(tmp_path / "nowhere") is None


def test_another_process_with_that_pid_is_ignored(tmp_path: Path) -> None:
    assert running_supervisord(pid_file(tmp_path, str(os.getpid()))) is None


def test_another_supervisord_that_got_the_number_later_is_not_believed(
    tmp_path: Path, supervisord: subprocess.Popen[bytes]
) -> None:
    assert running_supervisord(pid_file(tmp_path, str(supervisord.pid), age=3600)) is None


def test_a_process_that_has_ended_does_not_run(tmp_path: Path, supervisord: subprocess.Popen[bytes]) -> None:
    path = pid_file(tmp_path, str(supervisord.pid))
    found = running_supervisord(path)
    assert found is not None
    supervisord.kill()
    eventually(lambda: not found.is_running(), why="also while its parent has not taken notice")
    assert running_supervisord(path) is None
