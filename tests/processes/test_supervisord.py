"""The group under a real supervisord: started, killed, hung, given up on and stopped; the services are stand-ins."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pyrotorque.errors import AlreadyRunning
from pyrotorque.events import ServiceStateChanged, decode
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.outbox import stored_events
from pyrotorque.supervisord import Process, Supervisord, SupervisordError, config, launch
from tests.processes import standins
from tests.waiting import eventually, remove_tree

pytestmark = pytest.mark.process

SERVICES = ("scheduler", "watcher", "exporter", "guardian")


class Group:
    """A group in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout.below(folder / "my conf 100%")
        self.layout.config_dir.mkdir()
        self.supervisord = Supervisord(self.layout.supervisor_socket)

    def start(self) -> int:
        return launch.start(self.layout, Options())

    def process(self, name: str) -> Process:
        return next(process for process in self.supervisord.processes() if process.name == name)

    def runs(self, *names: str) -> bool:
        """Whether supervisord reports that, and each service holds its role."""
        processes = [self.process(name) for name in names]
        return all(
            process.state == "RUNNING" and (process.name not in SERVICES or self.holder(process.name) == process.pid)
            for process in processes
        )

    def holder(self, name: str) -> int:
        lock = self.layout.lock_file(name)
        return int(lock.read_text().strip() or 0) if lock.exists() else 0

    def pid(self, name: str) -> int:
        return self.process(name).pid

    def is_another(self, name: str, before: int) -> Callable[[], bool]:
        """Whether `name` lives again after the process `before`: another one holds its role."""
        return lambda: self.holder(name) not in (0, before)

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(config.control_file(self.layout))]
        return subprocess.run([*command, *words], capture_output=True, text=True, check=False)

    def state_changes(self) -> list[tuple[str, str, str]]:
        events = [decode(body).event for body in stored_events(self.layout.database("guardian"))]
        return [
            (event.service, event.state, event.reason) for event in events if isinstance(event, ServiceStateChanged)
        ]

    def stop(self) -> None:
        if self.supervisord.listens():
            pid = self.supervisord.pid()
            self.supervisord.shutdown()
            eventually(lambda: not _lives(pid), timeout=20)


def change_table(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Start supervisord on a process table that differs in this."""
    table = config.packaged().replace(old, new)
    monkeypatch.setattr(config, "packaged", lambda: table)


@pytest.fixture
def group(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    monkeypatch.setenv("PYTHONPATH", standins.install(short_folder / "lib"))
    # The real figure is for services that die at once; `make chaos` goes by it.
    change_table(monkeypatch, "startsecs = 3", "startsecs = 1")
    found = Group(short_folder)
    yield found
    found.stop()


def test_the_group_starts_answers_by_plain_names_and_stops(group: Group) -> None:
    layout = group.layout
    layout.prepare()
    config.stub_file(layout).write_text(config.stub(layout) + "\n[program:mine]\ncommand = sleep 600\nstartsecs = 0\n")
    group.start()
    eventually(lambda: group.runs(*SERVICES, "mine"), timeout=20)
    shown = {line.split()[0] for line in group.ctl("status").stdout.splitlines()}
    assert shown == {*SERVICES, "mine"}
    assert "up" in group.ctl("tail", "watcher").stdout
    assert "watcher" in group.ctl("tail", "guardian").stdout
    with pytest.raises(AlreadyRunning, match="is already running"):
        group.start()
    assert "stopped" in group.ctl("stop", "watcher").stdout
    assert "stopped: watcher (exit status 0)" in (layout.log_dir / "supervisord.log").read_text()
    assert not (layout.log_dir / "torque.log").exists()
    assert oct(layout.supervisor_socket.stat().st_mode)[-3:] == "700"
    processes = [process.pid for process in group.supervisord.processes() if process.pid]
    group.stop()
    assert not any(psutil.pid_exists(pid) for pid in processes)


def test_a_killed_service_is_back_within_two_seconds_and_is_reported_as_is_a_terminated_one(group: Group) -> None:
    group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)
    for name in SERVICES:
        before = group.pid(name)
        os.kill(before, signal.SIGKILL)
        eventually(group.is_another(name, before), timeout=20, why=name)
    eventually(lambda: ("watcher", "EXITED", "ended unexpectedly") in group.state_changes())
    eventually(lambda: group.runs("exporter"), timeout=20)
    before = group.pid("exporter")
    os.kill(before, signal.SIGTERM)
    eventually(group.is_another("exporter", before), timeout=20)


def test_who_hangs_past_its_own_deadline_is_killed_and_comes_back(group: Group) -> None:
    group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)
    before = group.pid("scheduler")
    (group.layout.config_dir / "scheduler.hangs").touch()
    eventually(group.is_another("scheduler", before), timeout=20)
    reasons = eventually(
        lambda: [reason for name, state, reason in group.state_changes() if (name, state) == ("scheduler", "EXITED")]
    )
    assert "killed by the guardian: in step 'hanging'" in reasons[0]
    assert "scheduler hangs" in (group.layout.log_dir / "torque.log").read_text()


def test_who_is_stopped_in_its_tracks_is_killed_and_comes_back(group: Group, short_folder: Path) -> None:
    standins.short_deadlines(short_folder / "lib")
    group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)
    for name in ("watcher", "guardian"):
        before = group.pid(name)
        os.kill(before, signal.SIGSTOP)
        eventually(group.is_another(name, before), timeout=20, why=name)
    eventually(lambda: any("no heartbeat" in reason for name, _, reason in group.state_changes() if name == "watcher"))


def test_a_guardian_whose_loop_is_stuck_is_killed_though_it_beats(group: Group, short_folder: Path) -> None:
    trap = short_folder / "trap"
    standins.deadlocked_by(short_folder / "lib", trap)
    group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)
    before = group.pid("guardian")
    trap.touch()
    eventually(group.is_another("guardian", before), timeout=20.0)
    logs = [(group.layout.log_dir / f"{name}.log").read_text() for name in SERVICES[:3]]
    assert any("sent no heartbeat" in log for log in logs)


def test_who_was_given_up_on_is_revived_when_it_can_run_again(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    # Five retries would take 15 seconds before supervisord gives up.
    change_table(monkeypatch, "startretries = 5", "startretries = 0")
    refuses = group.layout.config_dir / "watcher.refuses"
    refuses.touch()
    group.start()
    eventually(lambda: group.process("watcher").state == "FATAL", timeout=20)
    refuses.unlink()
    eventually(lambda: group.process("watcher").state in ("STARTING", "RUNNING"), timeout=20)


def test_without_supervisord_no_service_stays_and_the_next_start_succeeds(group: Group) -> None:
    pid = group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)
    orphans = [group.pid(name) for name in SERVICES]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(_lives(orphan) for orphan in orphans), timeout=20)
    group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)


def test_the_group_ends_when_its_guard_file_is_gone(group: Group) -> None:
    guard_file = group.layout.guard_file
    group.layout.prepare()
    guard_file.touch()
    pid = group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)
    guard_file.unlink()
    eventually(lambda: not _lives(pid), timeout=20)
    with pytest.raises(SupervisordError, match="does not answer"):
        group.supervisord.processes()


def test_sockets_that_were_removed_are_there_again(group: Group) -> None:
    group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)
    before = group.pid("watcher")
    sockets = [group.layout.run_dir / f"watcher.{kind}" for kind in ("beat", "events", "requests")]
    eventually(lambda: all(path.exists() for path in sockets))
    for path in sockets:
        path.unlink()
    eventually(group.is_another("watcher", before), timeout=20)
    eventually(lambda: all(path.exists() for path in sockets))


def test_the_group_ends_when_its_configuration_directory_is_removed(group: Group) -> None:
    group.layout.prepare()
    group.layout.guard_file.touch()
    pid = group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)
    remove_tree(group.layout.config_dir)
    eventually(lambda: not _lives(pid), timeout=20)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_time_is_not_wasted(group: Group) -> None:
    """Idle, the guardian and a bare service take little of a core and of memory."""
    group.start()
    eventually(lambda: group.runs(*SERVICES), timeout=20)
    processes = [psutil.Process(group.pid(name)) for name in ("guardian", "watcher")]
    before = [sum(process.cpu_times()[:2]) for process in processes]
    end = time.monotonic() + 5.0
    eventually(lambda: time.monotonic() > end, timeout=20)
    used = [sum(process.cpu_times()[:2]) - then for process, then in zip(processes, before, strict=True)]
    assert max(used) < 0.15
    assert max(process.memory_full_info().pss for process in processes) < 24 << 20
