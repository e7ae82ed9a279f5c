"""Commands in pipes: what they print arrives at once, and a reader that leaves, such as `head`, ends them with 0."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import bound


@contextmanager
def piped(home: Path, *words: str) -> Generator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(home), *words]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "torque.ini").write_text("[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\njob.queue.active = True\n")
    return tmp_path


@pytest.mark.parametrize(
    "words", [["status", "--watch"], ["status"], ["check"], ["fields"], ["check", "--json"], ["--help"], ["--version"]]
)
def test_a_reader_that_leaves_ends_a_command_with_0(home: Path, words: list[str]) -> None:
    with piped(home, *words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=bound(20)) == 0
        assert process.stderr.read() == b""


def test_a_reader_of_errors_that_leaves_does_so_too(home: Path) -> None:
    with piped(home, "status", "--nonsense") as process:
        assert process.stderr is not None
        process.stderr.close()
        assert process.wait(timeout=bound(20)) in (0, 64)


def test_watching_in_a_pipe_prints_again_and_again(home: Path) -> None:
    with piped(home, "status", "--watch") as process:
        assert process.stdout is not None
        found = [line for line in (process.stdout.readline() for _ in range(3)) if b"is not running" in line]
        assert found
        process.stdout.close()
        assert process.wait(timeout=bound(20)) == 0
