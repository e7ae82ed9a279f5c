"""`pyrotorque ctl` ends as every other command when its output cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def ctl(home: Path, output: int, *words: str) -> tuple[int, str]:
    (home / "run").mkdir(exist_ok=True)
    (home / "run/programs.conf").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pyrotorque_control.supervisorctl", str(home), *words]
    done = subprocess.run(
        command,
        stdout=output,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=environment,
        text=True,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
    return done.returncode, "\n".join(lines)


@pytest.mark.parametrize("words", [["help"], ["status"], ["help", "tail"], []], ids=" ".join)
def test_output_that_cannot_be_written(short_folder: Path, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        assert ctl(short_folder, full.fileno(), *words) == (74, "pyrotorque: No space left on device")
    reading, writing = os.pipe()
    os.close(reading)
    assert ctl(short_folder, writing, *words) == (0, "")
    os.close(writing)
