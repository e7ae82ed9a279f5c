"""A service's life: one holder of its role, a prompt end, heartbeats whatever its loop does."""

import os
import re
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from pyrotorque.bus import wire
from pyrotorque.errors import AlreadyRunning
from pyrotorque.events import Heartbeat, decode
from pyrotorque.layout import Layout
from pyrotorque.service.lifecycle import Lifecycle, running
from tests.waiting import bound, eventually

BODY = """
import os, select, sys, time
from pathlib import Path
from pyrotorque import logs
from pyrotorque.layout import Layout
from pyrotorque.service.lifecycle import running
layout = Layout.below(Path(sys.argv[1]))
logs.configure("INFO", "watcher", layout)
with running("watcher", layout, config_digest=lambda: "d", outbox=None) as life:
    print("up", flush=True)
    {loop}
print("done", flush=True)
"""

POLITE = "woken = os.eventfd(0); life.on_wake(lambda: os.eventfd_write(woken, 1)); select.select([woken], [], [])"
BUSY = """
    with life.step("digging", time.monotonic() + 60):
        while True:
            time.sleep(0.01)
"""
DEEP_IN_C = """
    import contextlib, sqlite3
    with life.step("deep in C", time.monotonic() + 60), contextlib.closing(sqlite3.connect(":memory:")) as db:
        endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
        db.execute(endless)
"""


class Child:
    """A process that runs one of the loops above."""

    def __init__(self, folder: Path, loop: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", BODY.format(loop=loop), str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self.output = self._process.stdout
        assert self.output.readline() == b"up\n"
        self.pid = self._process.pid

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float) -> tuple[int, str]:
        return self._process.wait(timeout), self.output.read().decode()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.output.close()


@pytest.fixture
def child(short_folder: Path) -> Iterator[Callable[..., Child]]:
    made: list[Child] = []

    def make(loop: str, **environment: str) -> Child:
        made.append(Child(short_folder, loop, **environment))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def layout(short_folder: Path) -> Layout:
    return Layout.below(short_folder)


@pytest.fixture
def life(layout: Layout) -> Iterator[Lifecycle]:
    with running("watcher", layout, config_digest=lambda: "d", outbox=None) as found:
        yield found


def beats(layout: Layout, count: int) -> list[Heartbeat]:
    context = zmq.Context[zmq.Socket[bytes]]()
    socket = wire.socket(context, zmq.SUB)
    try:
        socket.subscribe(b"Heartbeat")
        socket.connect(layout.heartbeat_endpoint("watcher"))
        found: list[Heartbeat] = []
        while len(found) < count:
            assert socket.poll(20_000), "no heartbeat"
            event = decode(socket.recv_multipart()[1]).event
            assert isinstance(event, Heartbeat)
            found.append(event)
        return found
    finally:
        socket.close()
        context.term()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_loop_ends_at_once_with_exit_code_0(child: Callable[..., Child], number: signal.Signals) -> None:
    one = child(POLITE)
    one.send(number)
    assert one.wait(bound(1.0)) == (0, "done\n")


@pytest.mark.parametrize("loop", [BUSY, DEEP_IN_C], ids=["busy in Python", "waiting in C"])
def test_a_loop_that_does_not_listen_is_ended_within_a_second_all_the_same(
    child: Callable[..., Child], loop: str
) -> None:
    one = child(loop)
    one.send(signal.SIGTERM)
    # supervisord kills it after 5 s, with what it has started.
    code, said = one.wait(bound(4.5))
    assert code == 0
    assert re.search(r"exiting during step '(digging|deep in C)', which the next start continues", said)


def test_the_role_has_one_holder_who_is_named(child: Callable[..., Child], layout: Layout) -> None:
    one = child(POLITE)
    with (
        pytest.raises(AlreadyRunning, match=rf"watcher runs already \(pid {one.pid} holds"),
        running("watcher", layout, config_digest=lambda: "", outbox=None),
    ):
        pass


def test_a_role_is_free_again_after_a_kill(child: Callable[..., Child], layout: Layout) -> None:
    child(POLITE).kill()
    with running("watcher", layout, config_digest=lambda: "", outbox=None):
        assert layout.lock_file("watcher").read_text().strip() == str(os.getpid())


def test_a_reload_is_requested_once_and_wakes_the_loop(life: Lifecycle) -> None:
    woken: list[bool] = []
    life.on_wake(lambda: woken.append(True))
    assert not life.take_reload()
    os.kill(os.getpid(), signal.SIGHUP)
    assert eventually(lambda: woken) == [True]
    assert (life.take_reload(), life.take_reload(), life.stopping) == (True, False, False)


def test_term_asks_the_loop_to_stop_and_wakes_it(life: Lifecycle) -> None:
    woken: list[bool] = []
    life.on_wake(lambda: woken.append(True))
    os.kill(os.getpid(), signal.SIGTERM)
    assert eventually(lambda: woken) == [True]
    assert life.stopping


def test_signals_are_as_before_afterwards(layout: Layout) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    umask = os.umask(0o027)
    try:
        with running("watcher", layout, config_digest=lambda: "", outbox=None):
            pass
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == before
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(umask)


def test_what_is_made_is_private_except_what_is_made_for_the_user(layout: Layout, short_folder: Path) -> None:
    umask = os.umask(0o022)
    try:
        with running("watcher", layout, config_digest=lambda: "", outbox=None) as life:
            (short_folder / "ours").touch()
            with life.as_user():
                (short_folder / "theirs").touch()
    finally:
        os.umask(umask)
    modes = [stat.S_IMODE((short_folder / name).stat().st_mode) for name in ("ours", "theirs")]
    assert modes == [0o600, 0o644]


def test_heartbeats_say_what_the_loop_does_and_until_when(life: Lifecycle, layout: Layout) -> None:
    (idle,) = beats(layout, 1)
    assert (idle.service, idle.pid, idle.step, idle.deadline, idle.config) == (
        "watcher",
        os.getpid(),
        "waiting",
        0.0,
        "d",
    )
    with life.step("loading", 12345.0):
        (busy,) = beats(layout, 1)
        assert (busy.step, busy.deadline) == ("loading", 12345.0)
    assert beats(layout, 1)[0].step == "waiting"


def test_a_hanging_loop_still_beats_with_its_old_deadline(child: Callable[..., Child], layout: Layout) -> None:
    one = child(BUSY)
    first, second = beats(layout, 2)
    assert (first.pid, first.step, first.deadline) == (one.pid, "digging", second.deadline)
    assert 0.5 < second.at - first.at < bound(3.0)


PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {body!r}, sys.argv[1]], stdout=sys.stdout)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("loop", [POLITE, BUSY], ids=["polite", "busy"])
def test_a_service_goes_when_its_parent_is_killed(short_folder: Path, loop: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(body=BODY.format(loop=loop)), str(short_folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert parent.stdout.readline() == b"up\n"
    parent.kill()
    parent.wait()
    eventually(
        lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes(), timeout=20
    )
    parent.stdout.close()


def test_a_signal_that_came_right_before_the_loop_waits_wakes_it_all_the_same(life: Lifecycle) -> None:
    woken = os.eventfd(0)
    life.on_wake(lambda: os.eventfd_write(woken, 1))
    # What the kernel side of a handler does while the Python side has not run yet.
    os.write(life._heartbeat.signal_fd, bytes([signal.SIGHUP]))  # pyright: ignore[reportPrivateUsage]
    assert eventually(lambda: select.select([woken], [], [], 0)[0])
    os.close(woken)
