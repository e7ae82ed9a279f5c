"""The process table: filled in so that supervisord reads back exactly what was meant."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from pyrotorque.errors import LayoutError
from pyrotorque.layout import SERVICES, Layout
from pyrotorque.options import Options
from pyrotorque.supervisord import config

ODD = [
    "plain",
    "with blanks",
    "100%",
    "quo'te",
    'dou"ble',
    "a;b",
    "a#b",
    "dollar$HOME",
    "umläut",
    "{umask}",
    "back\\slash",
]


def read_back(conf: Path) -> Any:
    options = ServerOptions()
    options.realize(["-c", str(conf)])
    return options


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def prepared(folder: Path, name: str = "conf") -> Layout:
    (folder / name).mkdir()
    return Layout.below(folder / name)


@pytest.mark.parametrize("name", ODD)
def test_any_usable_path_comes_out_of_supervisord_as_it_went_in(short_folder: Path, name: str) -> None:
    layout = prepared(short_folder, name)
    found = read_back(config.write_programs(layout, Options(), guard_files=(layout.guard_file,)))
    processes = {group.name: group.process_configs[0] for group in found.process_group_configs}
    assert set(processes) == set(SERVICES)
    words = shlex.split(processes["watcher"].command)
    assert words[-2:] == ["--config-dir", str(layout.config_dir)]
    assert processes["watcher"].stdout_logfile == str(layout.log_dir / "watcher.log")
    assert shlex.split(processes["guardian"].command)[-2:] == ["--guard-file", str(layout.guard_file)]
    assert found.logfile == str(layout.log_dir / "supervisord.log")
    assert found.pidfile == str(layout.pid_file)
    assert found.umask == 0o027
    assert [server["file"] for server in found.server_configs] == [str(layout.supervisor_socket)]


@pytest.mark.parametrize("name", ["a ;b", "a #b", "new\nline", "byte\udcff", "end "])
def test_a_path_that_no_such_file_can_hold_is_refused(short_folder: Path, name: str) -> None:
    with pytest.raises(LayoutError, match="supervisord cannot use the path"):
        config.write_programs(prepared(short_folder, name), Options(), guard_files=())


def test_every_service_is_kept_running_and_ends_with_all_its_children(short_folder: Path) -> None:
    found = read_back(config.write_programs(prepared(short_folder), Options(), guard_files=()))
    for group in found.process_group_configs:
        (process,) = group.process_configs
        assert (process.stopasgroup, process.killasgroup) == (True, True)
        assert process.startsecs >= 3
        assert process.autorestart.__name__ == "RestartUnconditionally"
        assert process.redirect_stderr == (group.name != "guardian")


def test_all_logs_together_stay_below_100_mb(short_folder: Path) -> None:
    from pyrotorque_guardian.log_rotation import SHARED_BACKUPS, SHARED_MAX

    found = read_back(config.write_programs(prepared(short_folder), Options(), guard_files=()))
    most = 2 * SHARED_MAX * (SHARED_BACKUPS + 1)
    for group in found.process_group_configs:
        (process,) = group.process_configs
        most += process.stdout_logfile_maxbytes * (process.stdout_logfile_backups + 1)
        if process.stderr_logfile:
            most += process.stderr_logfile_maxbytes * (process.stderr_logfile_backups + 1)
    most += found.logfile_maxbytes * (found.logfile_backups + 1)
    assert found.logfile_maxbytes > 0
    assert most < 100_000_000


def test_the_users_stub_is_used_extended_and_left_alone(short_folder: Path) -> None:
    layout = prepared(short_folder)
    stub = config.stub_file(layout)
    text = config.stub(layout) + "\n[program:mine]\ncommand = /bin/true\n"
    stub.write_text(text)
    assert config.write_programs(layout, Options(), guard_files=()) == stub == config.control_file(layout)
    found = read_back(stub)
    assert {group.name for group in found.process_group_configs} == {*SERVICES, "mine"}
    assert stub.read_text() == text


def test_a_stub_without_our_include_is_refused(short_folder: Path) -> None:
    layout = prepared(short_folder)
    config.stub_file(layout).write_text("[supervisord]\n")
    with pytest.raises(LayoutError, match=r"does not include run/programs\.conf"):
        config.write_programs(layout, Options(), guard_files=())


def test_a_run_folder_elsewhere_is_found_by_the_stub_too(short_folder: Path) -> None:
    layout = Layout.below(short_folder / "conf", run_dir=short_folder / "r")
    layout.config_dir.mkdir()
    config.stub_file(layout).write_text(config.stub(layout))
    found = read_back(config.write_programs(layout, Options(), guard_files=()))
    assert [server["file"] for server in found.server_configs] == [str(short_folder / "r" / "supervisor.sock")]
    assert f"unix://{short_folder}/r/supervisor.sock" in config.stub(layout)


@pytest.mark.parametrize(
    ("there", "foreground", "guarded"),
    [(True, False, True), (False, False, False), (True, True, False)],
    ids=["background with the file", "background without it", "foreground ignores it"],
)
def test_a_guard_file_counts_if_it_exists_and_the_group_is_in_the_background(
    short_folder: Path, there: bool, foreground: bool, guarded: bool
) -> None:
    layout = prepared(short_folder)
    layout.prepare()
    if there:
        layout.guard_file.touch()
    assert bool(config.active_guard_files(layout, Options(foreground=foreground))) == guarded


def test_another_guard_file_and_pid_file_are_passed_on(short_folder: Path) -> None:
    layout = prepared(short_folder)
    guard, pid = short_folder / "guard", short_folder / "pid"
    guard.touch()
    options = Options(guard_file=str(guard), pid_file=str(pid))
    assert config.active_guard_files(layout, options) == (guard,)
    assert read_back(config.write_programs(layout, options, guard_files=(guard,))).pidfile == str(pid)
