"""A refused command changes nothing: neither the configuration nor the options of a group that runs meanwhile."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.group import Group, environment
from pyrotorque.layout import Layout
from pyrotorque.options import read_options
from pyrotorque.stored_configuration import last_good
from pyrotorque.supervisord import launch
from tests.waiting import eventually

pytestmark = pytest.mark.process

TORQUE = "[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\njob.queue.active = True\n"

Made = Callable[..., Group]


@pytest.fixture
def made(short_folder: Path) -> Iterator[Made]:
    groups: list[Group] = []

    def make(name: str, more: str = "") -> Group:
        groups.append(Group(short_folder / name, TORQUE + more))
        return groups[-1]

    yield make
    for group in groups:
        group.stop()


def command(group: Group, *words: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, sys.executable, "-m", "pyrotorque_control", "--config-dir", str(group.config_dir), *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip


def stored(layout: Layout) -> tuple[bool, bool]:
    """Whether the stored configuration and the stored options are those of a dry run."""
    settings = last_good(layout)
    assert settings is not None
    return settings.dry_run, read_options(layout).dry_run


@pytest.mark.parametrize(("first", "second"), [((), ("-n",)), (("-n",), ()), (("-n",), ("--cron",))])
def test_of_two_starts_at_the_same_moment_the_options_of_the_one_that_started_are_in_force(
    made: Made, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    group = made("c")
    layout = Layout.below(group.config_dir)
    running = {words: command(group, *words) for words in (first, second)}
    ends = {words: (process.communicate()[1], process.returncode) for words, process in running.items()}
    dry = ends["-n",][1] == 0
    assert stored(layout) == (dry, dry), ends
    eventually(group.running, 60)
    assert stored(layout) == (dry, dry)


@pytest.mark.parametrize("words", [("-n",), ("-n", "--fg"), ("-n", "--restart"), ("-n", "--run-once", "connstats")])
def test_a_command_in_another_container_changes_nothing(made: Made, words: tuple[str, ...]) -> None:
    namespace = ("unshare", "-p", "-f", "--mount-proc")
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("not tested: a process namespace is not permitted here")
    group = made("c")
    group.start()
    files = [group.config_dir / name for name in ("state/configuration.json", "state/options.json", "run/options.json")]
    before = [file.read_bytes() if file.exists() else b"" for file in files]
    with command(group, *words, before=namespace) as refused:
        errors = refused.communicate()[1]
    assert (refused.returncode, "it runs in another container" in errors) == (75, True), errors
    assert [file.read_bytes() if file.exists() else b"" for file in files] == before
    assert stored(Layout.below(group.config_dir)) == (False, False)


def test_one_job_is_not_run_while_the_group_starts(made: Made) -> None:
    group = made("c")
    layout = Layout.below(group.config_dir)
    layout.prepare()
    lock = launch.hold(layout)
    with command(group, "-n", "--run-once", "connstats") as refused:
        assert "another process is starting the group" in refused.communicate()[1]
    os.close(lock)
    assert refused.returncode == 75
    assert last_good(layout) is None
    group.command("-n", "--run-once", "connstats")
    assert stored(layout) == (True, True)


@pytest.mark.parametrize("setting", ["state_dir", "run_dir"])
def test_a_restart_with_the_folders_of_another_group_is_refused_and_both_run_on(made: Made, setting: str) -> None:
    group, other = made("c"), made("d")
    group.start()
    other.begin()
    layout, pid = Layout.below(other.config_dir), group.supervisord_pid()
    folder = {"state_dir": layout.state_dir, "run_dir": layout.run_dir}[setting]
    (group.config_dir / "torque.ini").write_text(f"{TORQUE}{setting} = {folder}\n")
    refused = group.command("-n", "--restart")
    assert (refused.returncode, f"set another {setting}" in refused.stderr) == (75, True), refused.stderr
    assert group.supervisord_pid() == pid
    assert group.running()
    assert stored(layout) == (False, False)
    assert stored(Layout.below(group.config_dir)) == (False, False)
