"""What `pyrotorque status` shows of a service that does not answer: its step, from its heartbeat."""

import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager

import pytest

from pyrotorque.bus.heartbeats import HeartbeatPublisher
from pyrotorque.events import Heartbeat
from pyrotorque.layout import Layout
from pyrotorque.supervisord import Process
from pyrotorque_control import overview

PROCESS = Process("scheduler", "pyrotorque", "RUNNING", 42, 1.0, "", "")


@contextmanager
def beating(layout: Layout, *, pid: int, since: float, deadline: float) -> Generator[None]:
    """Heartbeats of a scheduler that is in a step."""
    done = threading.Event()

    def publish() -> None:
        with closing(HeartbeatPublisher(layout, "scheduler")) as publisher:
            while not done.wait(0.05):
                now = time.monotonic()
                publisher.publish(
                    Heartbeat(
                        at=time.time(), service="scheduler", pid=pid, started=1.0, step="job queue",
                        step_since=now - since, deadline=now + deadline, epoch="e", head=0, config="c",
                    )
                )  # fmt: skip

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("deadline", "text"),
    [(30.0, "is busy: job queue, for 12 s"), (-2.0, "is busy and hangs: job queue, for 12 s")],
)
def test_a_busy_service_is_shown_with_its_step(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, deadline: float, text: str
) -> None:
    monkeypatch.setattr(overview, "_HEARTBEAT_TIMEOUT", 20.0)
    with beating(layout, pid=42, since=12.0, deadline=deadline):
        assert overview._step(layout, PROCESS) == text  # pyright: ignore[reportPrivateUsage]


def test_heartbeats_of_an_earlier_process_do_not_count(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_HEARTBEAT_TIMEOUT", 0.5)
    with beating(layout, pid=41, since=12.0, deadline=30.0):
        assert overview._step(layout, PROCESS) == ""  # pyright: ignore[reportPrivateUsage]
