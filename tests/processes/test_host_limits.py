"""The group runs on hosts with small limits of files and processes; where they are too small, a start names them."""

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from demo.group import Group, environment
from pyrotorque.process_limits import FILES
from tests.environments import limits
from tests.waiting import eventually

pytestmark = pytest.mark.process

TORQUE = "[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\njob.queue.active = True\n"
# The kernel does not count the processes of root; those of another user are not only ours.
FEW: Mapping[str, int] = {"NOFILE": FILES} | ({"NPROC": 60} if os.geteuid() == 0 else {})


def made(folder: Path, conf: str) -> Group:
    group = Group(folder / "c", TORQUE)
    if conf != "no supervisor.conf":
        assert group.command("init").returncode == 0
    if conf == "a section of the owner":
        with (group.config_dir / "supervisor.conf").open("a") as file:
            file.write("[supervisord]\nloglevel = info\n")
    return group


def limited(group: Group, small: Mapping[str, int], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir), *words],
        capture_output=True, text=True, check=False, env=environment(), preexec_fn=limits(**small),
    )  # fmt: skip


def services(group: Group) -> set[str]:
    """The pids of those that run."""
    lines = group.command("ctl", "status").stdout.splitlines()
    return {line.split()[3] for line in lines if " RUNNING " in line}


def new_services(group: Group, before: set[str]) -> set[str]:
    """The pids of the four services, if none of them ran `before`; else nothing."""
    found = services(group)
    return found if len(found - before) == 4 else set()


@pytest.mark.parametrize(
    ("conf", "small"),
    [("supervisor.conf of init", FEW), ("a section of the owner", FEW), ("no supervisor.conf", {"NOFILE": 1023})],
)
def test_the_group_runs_with_small_limits_and_survives_its_restarts(
    short_folder: Path, conf: str, small: Mapping[str, int]
) -> None:
    group = made(short_folder, conf)
    try:
        for line in ("check", ""):
            done = limited(group, small, *line.split())
            assert done.returncode == 0, done.stderr
        pid = group.supervisord_pid()
        assert pid is not None
        before = eventually(partial(new_services, group, set()), 60, interval=0.1)
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == small["NOFILE"]
        # From processes with other limits than supervisord has.
        others: dict[str, Mapping[str, int]] = {"ctl reload": {}, "--restart": {"NOFILE": 300}}
        for line, other in others.items():
            assert limited(group, other, *line.split()).returncode == 0
            before = eventually(partial(new_services, group, before), 60, interval=0.1)
        assert group.supervisord_pid() == pid
    finally:
        group.stop()


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ("supervisor.conf of init", ()),
        ("supervisor.conf of init", ("--fg",)),
        ("a section of the owner", ("--cron",)),
        ("no supervisor.conf", ()),
    ],
)
def test_limits_that_are_too_small_are_named_and_nothing_is_left(
    short_folder: Path, conf: str, words: tuple[str, ...]
) -> None:
    group = made(short_folder, conf)
    done = limited(group, {"NOFILE": FILES - 1}, *words)
    text = f"a process may open {FILES - 1} files, and the group needs {FILES}: raise the limit (`ulimit -Hn` is"
    if words == ("--cron",):
        eventually(lambda: text in (group.config_dir / "log/torque.log").read_text(), 60)
    else:
        assert done.returncode == 75
        assert text in done.stdout + done.stderr
    assert "supervisor.conf" not in done.stderr
    assert not group.running()
    try:
        assert group.command().returncode == 0
    finally:
        group.stop()
