"""A group is identified by its lock file, else by its pid file, and never mistaken for another process or group."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque.errors import AlreadyRunning
from pyrotorque.group_lock import (
    GroupIdentity,
    conf_file,
    open_lock,
    read_identity,
    reads_file,
    running_group,
    write_identity,
)
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import boot_id, running_process
from pyrotorque.supervisord import launch
from pyrotorque.supervisord.running import find_running
from tests.waiting import bound, eventually


def process(*words: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """A process that waits for its input to end, with these words in its command line."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    started = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=cwd
    )
    assert started.stdout is not None
    started.stdout.readline()
    return started


def supervisord_of(config_dir: Path) -> subprocess.Popen[bytes]:
    # The first -c of the command line is that of Python.
    return process("-m", "supervisor.supervisord", "-c", str(config_dir / "run/programs.conf"))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout.below(tmp_path / "group")
    found.config_dir.mkdir()
    found.prepare()
    return found


@pytest.fixture
def supervisord(layout: Layout) -> Iterator[subprocess.Popen[bytes]]:
    with supervisord_of(layout.config_dir) as started:
        yield started
        started.kill()


def pid_file(layout: Layout, content: str, *, age: float = 0.0) -> Path:
    layout.pid_file.write_text(content)
    os.utime(layout.pid_file, (time.time() - age, time.time() - age))
    return layout.pid_file


def found_pid(layout: Layout) -> int | None:
    found = running_group(layout.group_lock, layout.config_dir, layout.pid_file)
    return found.pid if found else None


def record(layout: Layout, pid: int) -> None:
    write_identity(layout.group_lock, pid, (str(layout.config_dir), str(layout.supervisor_socket)))


def test_the_process_that_wrote_the_pid_file_is_found(layout: Layout, supervisord: subprocess.Popen[bytes]) -> None:
    pid_file(layout, f"{supervisord.pid}\n")
    assert found_pid(layout) == supervisord.pid


def test_the_process_that_the_lock_names_is_found_without_a_pid_file(
    layout: Layout, supervisord: subprocess.Popen[bytes]
) -> None:
    record(layout, supervisord.pid)
    assert found_pid(layout) == supervisord.pid
    found = read_identity(layout.group_lock)
    assert found is not None
    assert found.process == running_process(supervisord.pid)
    assert found.socket == str(layout.supervisor_socket)


@pytest.mark.parametrize("content", ["", "\n", "pid", "0", "-1", "99999999", "1e3"], ids=lambda content: repr(content))
def test_a_pid_file_without_a_pid_names_no_process(layout: Layout, content: str) -> None:
    pid_file(layout, content)
    assert found_pid(layout) is None


@pytest.mark.parametrize("content", ["", "7\n", "x\n1\nb\nc\ns\n", "7\n1\n"], ids=lambda content: repr(content))
def test_an_incomplete_lock_file_names_no_process(layout: Layout, content: str) -> None:
    layout.group_lock.write_text(content)
    assert found_pid(layout) is None


def test_no_file_means_that_nothing_runs(layout: Layout) -> None:
    assert found_pid(layout) is None


def test_another_process_with_that_pid_is_ignored(layout: Layout) -> None:
    pid_file(layout, str(os.getpid()))
    record(layout, os.getpid())
    assert found_pid(layout) is None


def test_the_supervisord_of_another_group_is_ignored(layout: Layout, tmp_path: Path) -> None:
    with supervisord_of(tmp_path / "other") as other:
        pid_file(layout, str(other.pid))
        record(layout, other.pid)
        assert found_pid(layout) is None
        other.kill()


@pytest.mark.parametrize("name", ["supervisord.conf", "supervisor.conf", "run/programs.conf", "./supervisor.conf"])
def test_a_foreign_supervisord_with_a_relative_path_is_never_ours(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(layout.config_dir)
    for folder in (tmp_path, layout.config_dir):  # supervisord changes to its `directory`, which may be any
        with process("-m", "supervisor.supervisord", "-c", name, cwd=folder) as foreign:
            pid_file(layout, str(foreign.pid))
            assert find_running(layout, layout.pid_file) is None
            assert conf_file(foreign.pid) is None
            assert not reads_file(foreign.pid, layout.config_dir / name)
            foreign.kill()


def test_a_supervisord_with_a_relative_path_is_ours_if_the_lock_names_it(layout: Layout, tmp_path: Path) -> None:
    with process("-m", "supervisor.supervisord", "-c", "supervisor.conf", cwd=layout.config_dir) as started:
        record(layout, started.pid)
        assert found_pid(layout) == started.pid
        write_identity(layout.group_lock, started.pid, (str(tmp_path / "other"), "socket"))
        assert found_pid(layout) is None
        started.kill()


def test_a_group_behind_a_symbolic_link_is_the_same_group(
    layout: Layout, tmp_path: Path, supervisord: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "link").symlink_to(layout.config_dir)
    record(layout, supervisord.pid)
    found = running_group(layout.group_lock, tmp_path / "link", layout.pid_file)
    assert found is not None


def test_another_supervisord_with_a_reused_pid_is_recognised_by_its_start(
    layout: Layout, supervisord: subprocess.Popen[bytes]
) -> None:
    pid_file(layout, str(supervisord.pid), age=3600)
    paths = (str(layout.config_dir), str(layout.supervisor_socket))
    layout.group_lock.write_bytes(GroupIdentity(supervisord.pid, 1, boot_id(), *paths).encode())
    assert found_pid(layout) is None
    started = running_process(supervisord.pid)
    assert started is not None
    layout.group_lock.write_bytes(GroupIdentity(supervisord.pid, started.start_ticks, "other boot", *paths).encode())
    assert found_pid(layout) is None


def test_a_process_that_has_ended_does_not_run(layout: Layout, supervisord: subprocess.Popen[bytes]) -> None:
    record(layout, supervisord.pid)
    assert found_pid(layout) == supervisord.pid
    supervisord.kill()
    eventually(lambda: found_pid(layout) is None, why="also while its parent has not reaped it")


def test_a_lock_has_one_holder_until_its_last_descriptor_is_closed(tmp_path: Path) -> None:
    lock = open_lock(tmp_path / "lock")
    assert lock is not None
    assert open_lock(tmp_path / "lock") is None
    inherited = os.dup(lock)
    os.close(lock)
    assert open_lock(tmp_path / "lock") is None
    os.close(inherited)
    again = open_lock(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_a_pipe_at_the_place_of_the_lock_is_not_waited_for(layout: Layout) -> None:
    os.mkfifo(layout.group_lock)
    assert read_identity(layout.group_lock) is None
    assert running_group(layout.group_lock, layout.config_dir, layout.pid_file) is None


def test_a_start_waits_for_a_short_use_of_the_lock(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--run-once` stores the configuration meanwhile: a start is not refused because of it."""
    monkeypatch.setattr(launch, "_LOCK_TIMEOUT", bound(60))
    release = threading.Timer(0.2, os.close, [launch.hold(layout)])
    release.start()
    os.close(launch.hold(layout))
    release.join()


def test_a_lock_that_is_not_released_refuses_a_start(layout: Layout) -> None:
    held = launch.hold(layout)
    with pytest.raises(AlreadyRunning, match="another process is starting the group"):
        launch.hold(layout)
    os.close(held)
