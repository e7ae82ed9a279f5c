"""Restarts of one group happen one after another; those of other groups do not wait for each other."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyrotorque_control.group import CommandError
from pyrotorque_control.restart_lock import restart_lock

HOLDER = """
import signal, sys
from pathlib import Path
from pyrotorque_control.restart_lock import restart_lock
with restart_lock(Path(sys.argv[1])):
    print("held", flush=True)
    signal.pause()
"""


def test_a_second_restart_is_refused_while_the_first_does_not_end(tmp_path: Path) -> None:
    with (
        restart_lock(tmp_path),
        pytest.raises(CommandError, match="another command restarts the group") as refused,
        restart_lock(tmp_path, within=0.0),
    ):
        pass
    assert refused.value.exit_code == 75


def test_the_next_one_begins_when_the_first_has_ended_also_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), restart_lock(tmp_path):
        raise ZeroDivisionError
    with restart_lock(tmp_path, within=0.0):
        pass


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CommandError), restart_lock(tmp_path, within=0.0):
            pass
        holder.kill()
    with restart_lock(tmp_path, within=0.0):
        pass


def test_a_link_to_the_folder_is_the_same_group_and_another_folder_is_not(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with restart_lock(tmp_path / "real"):
        with restart_lock(tmp_path, within=0.0):
            pass
        with pytest.raises(CommandError), restart_lock(tmp_path / "link", within=0.0):
            pass


def test_a_folder_that_is_missing_has_no_lock(tmp_path: Path) -> None:
    with restart_lock(tmp_path / "missing", within=0.0), restart_lock(tmp_path / "missing", within=0.0):
        pass
