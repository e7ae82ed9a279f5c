"""Processes by /proc: hostile names, reused pids, start times that stay, umasks, and an end with the parent's."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyrotorque.linux import processes
from pyrotorque.linux.processes import (
    ProcessIdentity,
    boot_id,
    boot_time,
    current_umask,
    parent_death_signal,
    process_name,
    process_stat,
    running_process,
    runs_program,
    session_members,
    umask,
)
from tests.waiting import eventually


def write_process(proc: Path, pid: int, name: str, *, state: str = "S", session: int = 7, start: int = 500) -> None:
    """A /proc/PID as the kernel writes it."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    fields = [state, 1, pid, session, *[0] * 7, 150, 50, 0, 0, 20, 0, 1, 0, start, 4096, 3, *[0] * 20]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))}\n")
    (folder / "comm").write_text(f"{name}\n")


@pytest.mark.parametrize("name", ["rtorrent", "a b", "(x)", ") S 1 (", "x) R 1 2 3", "", "\n", "müsik"])
def test_the_fields_of_a_process_do_not_depend_on_its_name(tmp_path: Path, name: str) -> None:
    write_process(tmp_path, 12, name)
    found = process_stat(12, tmp_path)
    assert found is not None
    assert (found.state, found.session, found.start_ticks) == ("S", 7, 500)
    assert found.cpu_seconds == 200 / os.sysconf("SC_CLK_TCK")
    assert found.resident_bytes == 3 * os.sysconf("SC_PAGE_SIZE")
    assert process_name(12, tmp_path) == name


@pytest.mark.parametrize("content", ["", "12", "12 (x)", "12 (x) S 1", "12 (x) S 1 1 one" + " 0" * 30])
def test_a_stat_file_that_cannot_be_read_is_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "stat").write_text(content)
    assert process_stat(12, tmp_path) is None


@pytest.mark.parametrize("pid", [0, -1, 2**30, 10**30])
def test_there_is_no_process_without_a_proper_pid(pid: int) -> None:
    assert running_process(pid) is None
    assert process_name(2**30) == ""


@pytest.mark.parametrize("state", ["Z", "X"])
def test_the_remains_of_a_process_do_not_run(tmp_path: Path, state: str) -> None:
    write_process(tmp_path, 12, "x", state=state)
    assert running_process(12, tmp_path) is None
    assert process_stat(12, tmp_path) is not None


def test_a_reused_pid_is_another_process(tmp_path: Path) -> None:
    write_process(tmp_path, 12, "x", start=500)
    before = running_process(12, tmp_path)
    assert before is not None
    assert before == ProcessIdentity(12, 500)
    assert before.is_running(tmp_path)
    write_process(tmp_path, 12, "x", start=501)
    assert not before.is_running(tmp_path)


def test_a_process_stays_the_same_when_the_system_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    found = running_process(os.getpid())
    assert found is not None
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86_400)
    assert found.is_running()


def test_start_times_are_those_of_the_clock_and_the_same_at_each_reading() -> None:
    started = time.time()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found, stat = running_process(process.pid), process_stat(process.pid)
        assert found is not None
        assert stat is not None
        assert found.started == stat.started
        # Start times are rounded down to a tick, the time of the boot to the nearest one.
        assert started - 0.02 <= found.started <= time.time() + 0.02
        readings = {round(boot_time(), 2) for _ in range(200)}
        assert max(readings) - min(readings) < 0.02
        assert process.stdin is not None
        process.stdin.close()


def test_a_program_is_known_by_its_name(tmp_path: Path) -> None:
    for pid, name in enumerate(("rtorrent", "rtorrent main", ".rtorrent-wrapp", "rtorren", "bash"), 1):
        write_process(tmp_path, pid, name)
    assert [pid for pid in range(1, 7) if runs_program(pid, "rtorrent", tmp_path)] == [1, 2, 3]


def test_the_members_of_a_session_are_all_its_processes(tmp_path: Path) -> None:
    for pid, session in ((7, 7), (8, 7), (9, 70), (10, 1)):
        write_process(tmp_path, pid, "x) 7 7 7", session=session)
    (tmp_path / "self").mkdir()
    assert sorted(session_members(7, tmp_path)) == [7, 8]


def test_the_kernel_identifies_its_boot() -> None:
    assert len(boot_id()) == 36


def test_the_umask_is_read_and_put_back() -> None:
    with umask(0o027) as before:
        assert current_umask() == 0o027
        with umask(0o077) as outer:
            assert (outer, current_umask()) == (0o027, 0o077)
    assert current_umask() == before


def test_reading_the_umask_does_not_change_it_for_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(_mask: int) -> int:
        raise AssertionError("the umask was changed")

    monkeypatch.setattr(os, "umask", changed)
    assert 0 <= current_umask() <= 0o777


def test_without_proc_the_umask_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = current_umask()
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert current_umask() == before
    assert boot_id() == "unknown"


PARENT = """
import os, subprocess, sys
from pyrotorque.linux.processes import parent_death_signal
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE, {how})
print(child.pid, flush=True)
sys.stdin.read()
os._exit(0)
"""
PREPARED = (f"preexec_fn=parent_death_signal({int(signal.SIGKILL)})", "import time; time.sleep(60)")
BY_ITSELF = (
    "env=dict(os.environ, PARENT=str(os.getpid()))",
    "import os, time; from pyrotorque.linux.processes import die_with_parent;"
    " die_with_parent(int(os.environ['PARENT'])); time.sleep(60)",
)


@pytest.mark.parametrize(("how", "child"), [PREPARED, BY_ITSELF], ids=["between fork and exec", "by itself"])
def test_a_process_dies_with_its_parent(how: str, child: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(how=how, child=child)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    with parent:
        assert parent.stdout is not None
        found = running_process(int(parent.stdout.readline()))
        assert found is not None
        parent.kill()
        eventually(lambda: not found.is_running(), why="the kernel kills it")


def test_a_process_whose_parent_is_gone_already_leaves() -> None:
    code = "from pyrotorque.linux.processes import die_with_parent; die_with_parent(1); print('lives')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)
    assert (ended.returncode, ended.stdout) == (0, b"")


def test_a_request_can_be_prepared_in_any_thread() -> None:
    made: list[object] = []
    thread = threading.Thread(target=lambda: made.append(parent_death_signal(signal.SIGTERM)))
    thread.start()
    thread.join()
    assert callable(made[0])
