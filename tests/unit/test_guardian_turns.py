"""Single turns of the guardian's loop with a scripted supervisord."""

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pyrotorque import logs
from pyrotorque.bus import Bus, Wakeup
from pyrotorque.errors import SettingsError
from pyrotorque.events import Delivery, Envelope, ServiceStateChanged, decode
from pyrotorque.guard_file import GuardFiles
from pyrotorque.layout import Layout
from pyrotorque.outbox import Outbox
from pyrotorque.service.runtime import Runtime
from pyrotorque.store import open_store
from pyrotorque.supervisord import Process, Supervisord, SupervisordError, SupervisordFault
from pyrotorque.totals import Totals
from pyrotorque_guardian.run_files import Restorer, RunFiles
from pyrotorque_guardian.service import Guardian
from pyrotorque_guardian.supervisord_events import ProcessStateChange
from tests.heartbeats import heartbeat


@dataclass
class ScriptedSupervisord(Supervisord):
    """Returns the given states and records the calls."""

    states: dict[str, str] = field(default_factory=dict[str, str])
    done: list[str] = field(default_factory=list[str])
    away: bool = False
    refusal: str = ""
    signals: list[signal.Signals] = field(default_factory=list[signal.Signals])

    def processes(self) -> list[Process]:
        if self.away:
            raise SupervisordError("away")
        return [Process(name, name, state, 7, 0.0, "", "") for name, state in self.states.items()]

    def pid(self) -> int:
        if self.away:
            raise SupervisordError("away")
        return 1

    def call(self, method: str, *params: str | int) -> bool:
        self.done.append(" ".join([method.removeprefix("supervisor."), *map(str, params)]))
        if self.away:
            raise SupervisordError("away")
        if self.refusal:
            raise SupervisordFault(self.refusal, 20)
        return True


@pytest.fixture
def supervisord() -> ScriptedSupervisord:
    return ScriptedSupervisord()


@pytest.fixture
def guardian(layout: Layout, supervisord: ScriptedSupervisord) -> Iterator[Guardian]:
    store = open_store(layout.database("guardian"), [])
    outbox = Outbox(store, "guardian")
    with Bus(layout, "guardian", outbox) as bus:
        life: Any = None
        runtime = Runtime(life, store, outbox, bus)
        restorer = Restorer(RunFiles(layout, None, {}), lambda: None, lambda: supervisord.signals.append(signal.SIGHUP))
        shared_logs = (layout.log_dir / "torque.log",)
        layout.supervisor_socket.touch()
        layout.group_lock.touch()
        yield Guardian(
            runtime, ("scheduler", "watcher", "exporter"), supervisord, restorer, shared_logs,
            supervisord.signals.append, lambda: supervisord.done.append("replaced"), Totals(),
        )  # fmt: skip
    store.close()


def with_heartbeat() -> Wakeup:
    return Wakeup(deliveries=[Delivery(Envelope(source="watcher", epoch=""), heartbeat())])


def published(guardian: Guardian) -> list[tuple[str, str, str]]:
    events = [decode(body).event for body in guardian.runtime.outbox.since(0)]
    return [(event.before, event.state, event.reason) for event in events if isinstance(event, ServiceStateChanged)]


def test_a_service_that_was_fatal_before_the_guardian_started_is_restarted(
    guardian: Guardian, supervisord: ScriptedSupervisord
) -> None:
    supervisord.states = {"watcher": "FATAL", "exporter": "RUNNING", "mine": "FATAL"}
    guardian.turn(Wakeup(), 1.0)
    guardian.turn(Wakeup(), 2.1)
    assert supervisord.done == ["startProcess watcher 0"]


def test_a_service_without_its_python_is_reported_with_that_and_not_with_a_log_that_it_never_wrote(
    guardian: Guardian, supervisord: ScriptedSupervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def owner_event(_event: str, text: str, subject: str = "") -> None:
        lines.append(text)

    monkeypatch.setattr(logs, "owner_event", owner_event)
    supervisord.states = {"watcher": "FATAL"}
    supervisord.refusal = "NO_FILE: can't find command '/moved/bin/python'"
    guardian.turn(Wakeup(), 0.0)
    guardian.turn(Wakeup(), 2.0)
    assert lines == [f"watcher cannot be started: {supervisord.refusal}; trying it again"]


def test_a_service_that_was_given_up_and_runs_again_is_reported_with_the_duration(
    guardian: Guardian, supervisord: ScriptedSupervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[tuple[str, str]] = []

    def owner_event(event: str, text: str, subject: str = "") -> None:
        lines.append((event, text))

    monkeypatch.setattr(logs, "owner_event", owner_event)
    supervisord.states = {"watcher": "FATAL", "exporter": "RUNNING"}
    guardian.turn(Wakeup(), 0.0)
    guardian.turn(Wakeup(), 2.0)
    guardian.turn(Wakeup(), 5.0)
    assert [event for event, _ in lines] == ["service gave up", "service gave up"]
    for state in ("STARTING", "RUNNING", "RUNNING"):
        guardian.state_changed(ProcessStateChange("watcher", state, "", expected=True, pid=0), 62.0)
    assert lines[2:] == [("service back", "watcher runs again after 1 min")]


def test_a_silent_service_is_killed_and_the_reason_published(
    guardian: Guardian, supervisord: ScriptedSupervisord
) -> None:
    supervisord.states = {"watcher": "RUNNING"}
    guardian.turn(with_heartbeat(), 1.0)
    guardian.turn(with_heartbeat(), 1.0)
    for second in range(2, 19):
        guardian.turn(Wakeup(), float(second))
    assert supervisord.done == ["signalProcess watcher KILL"]
    guardian.state_changed(ProcessStateChange("watcher", "EXITED", "RUNNING", expected=False, pid=7), 19.0)
    guardian.turn(Wakeup(), 19.0)
    assert published(guardian) == [("RUNNING", "EXITED", "killed by the guardian: no heartbeat for 16 s")]


def guarded(guardian: Guardian, *paths: Path) -> RunFiles:
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    layout = guardian.restorer.files.layout
    layout.pid_file.write_text("7\n")
    files = RunFiles(layout, GuardFiles(paths), {layout.pid_file: b"7\n"})
    guardian.restorer.files = files
    return files


def test_the_group_is_stopped_when_its_guard_file_is_removed_with_retries(
    guardian: Guardian, supervisord: ScriptedSupervisord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guard = tmp_path / "guard"
    guarded(guardian, guard)
    guardian.turn(Wakeup(), 1.0)
    guard.unlink()
    supervisord.away = True
    guardian.turn(Wakeup(), 2.0)
    assert supervisord.done == [], "the folder may be about to be removed"
    guardian.turn(Wakeup(), 3.0)
    supervisord.away = False
    guardian.turn(Wakeup(), 4.0)
    assert supervisord.done == ["shutdown", "shutdown"]
    assert supervisord.signals == [signal.SIGTERM]
    assert caplog.text.count("is gone: stopping the group") == 1, "logged once, however often the shutdown is retried"


@pytest.mark.parametrize("removed", [0, 1], ids=["the new one", "that of 1.0.0"])
def test_either_guard_file_stops_the_group_and_takes_the_other_with_it(
    guardian: Guardian, supervisord: ScriptedSupervisord, tmp_path: Path, removed: int
) -> None:
    paths = (tmp_path / "new" / "guard", tmp_path / "earlier" / "guard")
    guarded(guardian, *paths)
    paths[removed].unlink()
    guardian.turn(Wakeup(), 2.0)
    guardian.turn(Wakeup(), 3.0)
    assert supervisord.done == ["shutdown"]
    assert not any(path.exists() for path in paths), "else the watchdog would start the group again"


@pytest.mark.parametrize("how", ["folder", "contents", "socket", "pid file", "guard and pid file"])
def test_a_swept_run_folder_is_restored_and_stops_nothing(
    guardian: Guardian, supervisord: ScriptedSupervisord, how: str
) -> None:
    layout = guardian.restorer.files.layout
    guard = layout.guard_file
    guarded(guardian, guard)
    if how == "folder":
        shutil.rmtree(layout.run_dir)
    for path in list(layout.run_dir.iterdir()) if how == "contents" else []:
        path.unlink()
    for path, kinds in {
        layout.supervisor_socket: ("socket",),
        layout.pid_file: ("pid file", "guard and pid file"),
        guard: ("guard and pid file",),
    }.items():
        if how in kinds:
            path.unlink()
    guardian.turn(Wakeup(), 2.0)
    guardian.turn(Wakeup(), 3.0)
    assert supervisord.done == []
    assert guard.exists()
    assert layout.pid_file.read_text() == "7\n"
    assert supervisord.signals == ([signal.SIGHUP] if how in ("folder", "contents", "socket") else [])


def test_what_cannot_be_looked_at_is_not_missing(
    guardian: Guardian, supervisord: ScriptedSupervisord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while the process of a FUSE filesystem has ended, or a disk fails."""
    real, broken = os.stat, tmp_path / "mount"

    def stat(path: Any, *rest: Any, **more: Any) -> os.stat_result:
        if str(path).startswith(str(broken)):
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", str(path))
        return real(path, *rest, **more)

    files = guarded(guardian, broken / "guard")
    files.contents = {**files.contents, broken / "options.json": b"{}"}
    monkeypatch.setattr(os, "stat", stat)
    for second in (2.0, 3.0, 4.0):
        guardian.turn(Wakeup(), second)
    assert (supervisord.done, supervisord.signals) == ([], [])
    monkeypatch.undo()
    shutil.rmtree(broken)
    broken.mkdir()
    files.contents = {path: content for path, content in files.contents.items() if path.parent != broken}
    for second in (5.0, 6.1):
        guardian.turn(Wakeup(), second)
    assert supervisord.done == ["shutdown"], "now it is known to be gone"


def test_a_removed_database_restarts_the_services_once_it_is_gone_for_a_second(
    guardian: Guardian, supervisord: ScriptedSupervisord, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise a service writes on, to a file that has no name any more, and all of that is lost at its end."""
    layout = guardian.restorer.files.layout
    guarded(guardian, layout.guard_file)
    database = layout.database("watcher")
    database.touch()
    guardian.turn(Wakeup(), 2.0)
    database.rename(database.with_suffix(".damaged"))
    guardian.turn(Wakeup(), 3.0)
    database.touch()  # a service has replaced a damaged one
    guardian.turn(Wakeup(), 5.0)
    assert supervisord.signals == []
    database.unlink()
    guardian.turn(Wakeup(), 6.0)
    guardian.turn(Wakeup(), 7.1)
    assert supervisord.signals == [signal.SIGHUP]
    assert f"watcher.sqlite3 in {layout.state_dir} was removed" in caplog.text


def test_nothing_is_created_where_the_disk_of_the_state_was(
    guardian: Guardian, supervisord: ScriptedSupervisord, caplog: pytest.LogCaptureFixture
) -> None:
    layout = guardian.restorer.files.layout
    files = guarded(guardian, layout.guard_file)
    (layout.config_dir / "torque.ini").touch()
    files.state_problem = lambda: "its disk is not mounted any more: mount it again"
    layout.database("watcher").touch()
    guardian.turn(Wakeup(), 2.0)
    shutil.move(layout.state_dir, layout.config_dir / "away")
    for second in (3.0, 4.1, 5.0):
        guardian.turn(Wakeup(), second)
    assert (supervisord.signals, supervisord.done) == ([], [])
    assert not layout.state_dir.exists()
    assert caplog.text.count("is not mounted any more: mount it again") == 1


@pytest.mark.parametrize(("left", "stops"), [("torque.ini", False), ("", True)])
def test_without_the_lock_the_group_stops_only_if_its_folder_was_removed(
    guardian: Guardian, supervisord: ScriptedSupervisord, left: str, stops: bool
) -> None:
    layout = guardian.restorer.files.layout
    files = guarded(guardian, layout.guard_file)
    files.contents = {**files.contents, layout.group_lock: b"7\n"}
    if left:
        (layout.config_dir / left).touch()
    layout.group_lock.unlink()
    for second in (2.0, 3.0, 4.0):
        guardian.turn(Wakeup(), second)
    assert ("shutdown" in supervisord.done) is stops
    if not stops:
        assert layout.group_lock.read_bytes() == b"7\n"


def test_supervisord_is_not_restarted_with_a_broken_configuration(
    guardian: Guardian, supervisord: ScriptedSupervisord, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise SettingsError("supervisor.conf:7: no command")

    guarded(guardian, guardian.restorer.files.layout.guard_file)
    guardian.restorer.check = refuse
    guardian.restorer.files.layout.supervisor_socket.unlink()
    for second in (2.0, 3.0, 4.0):
        guardian.turn(Wakeup(), second)
    assert supervisord.signals == []
    assert caplog.text.count("supervisor.conf:7: no command") == 1


@pytest.mark.parametrize("is_link", [False, True], ids=["folder", "link to a folder"])
def test_a_removed_log_folder_is_created_again(
    guardian: Guardian, supervisord: ScriptedSupervisord, tmp_path: Path, is_link: bool
) -> None:
    layout = guardian.restorer.files.layout
    shutil.rmtree(layout.log_dir)
    if is_link:
        layout.log_dir.symlink_to(tmp_path / "disk" / "logs")  # on a disk in memory, after its boot
    guardian.turn(Wakeup(), 2.0)
    assert layout.log_dir.is_dir()
    assert supervisord.signals == [signal.SIGUSR2]


def test_a_supervisord_that_does_not_answer_is_continued_then_replaced(
    guardian: Guardian, supervisord: ScriptedSupervisord
) -> None:
    supervisord.away = True
    for second in range(1, 34, 2):
        guardian.turn(Wakeup(), float(second))
    assert set(supervisord.signals) == {signal.SIGCONT}
    assert supervisord.done == []
    for second in range(35, 60, 2):
        guardian.turn(Wakeup(), float(second))
    assert supervisord.done == ["replaced"]


def test_a_hung_service_is_killed_by_pid_when_supervisord_does_not_answer(
    guardian: Guardian, supervisord: ScriptedSupervisord
) -> None:
    with subprocess.Popen(["sleep", "60"]) as service:
        guardian.state_changed(
            ProcessStateChange("watcher", "RUNNING", "STARTING", expected=True, pid=service.pid), 1.0
        )
        supervisord.away = True
        for second in range(2, 31):
            guardian.turn(Wakeup(), float(second))
        assert service.wait() == -signal.SIGKILL


def test_while_the_disk_is_full_changes_are_queued_and_services_still_restarted(
    guardian: Guardian, supervisord: ScriptedSupervisord
) -> None:
    guardian.runtime.store.db.execute("PRAGMA query_only = on")
    guardian.state_changed(ProcessStateChange("watcher", "FATAL", "BACKOFF", expected=False, pid=0), 1.0)
    guardian.turn(Wakeup(), 1.5)
    guardian.turn(Wakeup(), 2.5)
    assert supervisord.done == ["startProcess watcher 0"]
    assert published(guardian) == []
    guardian.runtime.store.db.execute("PRAGMA query_only = off")
    guardian.turn(Wakeup(), 3.0)
    assert published(guardian) == [("BACKOFF", "FATAL", "")]


def test_exits_are_counted_with_their_events_also_if_the_disk_was_full(guardian: Guardian) -> None:
    guardian.runtime.store.db.execute("PRAGMA query_only = on")
    guardian.state_changed(ProcessStateChange("watcher", "EXITED", "RUNNING", expected=False, pid=0), 1.0)
    guardian.turn(Wakeup(), 1.5)
    guardian.runtime.store.db.execute("PRAGMA query_only = off")
    for second in (2.5, 3.5):
        guardian.turn(Wakeup(), second)
        assert len(published(guardian)) == 1
        families = {family.name: family for family in guardian.totals.families()}
        (exits,) = families["pyrotorque_process_exits_total"].samples
        assert (exits.labels, exits.value) == (("watcher", "error"), 1.0)


def test_an_unresponsive_supervisord_does_not_stop_the_guardian(
    guardian: Guardian, supervisord: ScriptedSupervisord
) -> None:
    supervisord.away = True
    guardian.turn(with_heartbeat(), 1.0)
    guardian.turn(Wakeup(), 40.0)
    assert supervisord.done == []
