"""Single turns of the guardian's loop with a scripted supervisord."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.bus import Bus, Wakeup
from pyrotorque.events import Delivery, Envelope, ServiceStateChanged, decode
from pyrotorque.layout import Layout
from pyrotorque.outbox import Outbox
from pyrotorque.service.runtime import Runtime
from pyrotorque.store import open_store
from pyrotorque.supervisord import Process, Supervisord, SupervisordError
from pyrotorque.totals import Totals
from pyrotorque_guardian.service import Guardian
from pyrotorque_guardian.supervisord_events import ProcessStateChange
from tests.heartbeats import heartbeat


@dataclass
class ScriptedSupervisord(Supervisord):
    """Returns the given states and records the calls."""

    states: dict[str, str] = field(default_factory=dict[str, str])
    done: list[str] = field(default_factory=list[str])
    away: bool = False
    signals: list[signal.Signals] = field(default_factory=list[signal.Signals])

    def processes(self) -> list[Process]:
        if self.away:
            raise SupervisordError("away")
        return [Process(name, name, state, 7, 0.0, "", "") for name, state in self.states.items()]

    def call(self, method: str, *params: str | int) -> bool:
        self.done.append(" ".join([method.removeprefix("supervisor."), *map(str, params)]))
        if self.away:
            raise SupervisordError("away")
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
        yield Guardian(runtime, supervisord, None, (), supervisord.signals.append, Totals())
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


def test_the_group_is_stopped_when_its_guard_file_is_removed_with_retries(
    guardian: Guardian, supervisord: ScriptedSupervisord, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guardian.guard_file = tmp_path / "guard"
    guardian.guard_file.touch()
    guardian.turn(Wakeup(), 1.0)
    guardian.guard_file.unlink()
    supervisord.away = True
    guardian.turn(Wakeup(), 2.0)
    supervisord.away = False
    guardian.turn(Wakeup(), 3.0)
    assert supervisord.done == ["shutdown", "shutdown"]
    assert supervisord.signals == [signal.SIGTERM]
    assert caplog.text.count("is gone: stopping the group") == 1, "logged once, however often the shutdown is retried"


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


def test_an_unresponsive_supervisord_does_not_stop_the_guardian(
    guardian: Guardian, supervisord: ScriptedSupervisord
) -> None:
    supervisord.away = True
    guardian.turn(with_heartbeat(), 1.0)
    guardian.turn(Wakeup(), 40.0)
    assert supervisord.done == []
