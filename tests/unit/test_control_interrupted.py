"""Ctrl-C while the command imports its modules ends it quietly, as at any later time."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys

interrupted = sys.argv.pop(1)

class Interrupting:
    def find_spec(self, name, *_):
        if name == interrupted:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from pyrotorque_control.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("pyrotorque.interpreter", ["status"]),
        ("pyrotorque_control.cli", ["status"]),
        ("click", ["status"]),
        ("pyrotorque.layout", ["status"]),
        ("pyrotorque_control.commands.status", ["status"]),
        ("pyrotorque_control.cron", ["--cron"]),
        ("pyrotorque.group_lock", ["--cron"]),
    ],
)
def test_an_interrupted_import_ends_the_command_quietly(module: str, words: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, module, "--config-dir", "/nonexistent", *words],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")
