"""Who guards the guardian: when its silence is too long, and that supervisord is woken when it has died."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pyrotorque.layout import Layout
from pyrotorque.service.guardian_watch import SILENT_AFTER, GuardianWatch, SilenceDetector, is_alive
from tests.heartbeats import heartbeat
from tests.waiting import eventually

GUARDIAN, ANOTHER = 100, 200


def looked(*seconds: tuple[float, int, set[int]]) -> list[float]:
    """When somebody is found to be silent, for looks at (time, who holds the role, whose heartbeats came)."""
    silence = SilenceDetector()
    return [now for now, holder, beating in seconds if silence.is_silent(holder, beating, now)]


def every_second(holder: int, begin: int, end: int) -> list[tuple[float, int, set[int]]]:
    return [(float(now), holder, set()) for now in range(begin, end)]


def test_a_guardian_that_beats_is_let_be() -> None:
    assert looked(*((float(now), GUARDIAN, {GUARDIAN}) for now in range(60))) == []


def test_a_silent_one_is_killed_after_15_seconds_and_again_after_as_long() -> None:
    assert looked(*every_second(GUARDIAN, 0, 40)) == [SILENT_AFTER + 1, 2 * SILENT_AFTER + 2]


def test_nobody_is_killed_where_nobody_holds_the_role() -> None:
    assert looked(*every_second(0, 0, 60)) == []


def test_a_new_one_has_its_own_15_seconds() -> None:
    assert looked(*every_second(GUARDIAN, 0, 14), *every_second(ANOTHER, 14, 28)) == []


def test_a_strangers_heartbeats_do_not_count() -> None:
    assert looked(*((float(now), GUARDIAN, {ANOTHER}) for now in range(18))) == [SILENT_AFTER + 1]


def test_nobody_is_killed_because_we_slept_ourselves() -> None:
    assert looked((0.0, GUARDIAN, {GUARDIAN}), (60.0, GUARDIAN, set()), (61.0, GUARDIAN, set())) == []


@pytest.fixture
def backwatch(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardianWatch]:
    monkeypatch.setenv("SUPERVISOR_ENABLED", "1")
    made = GuardianWatch(layout, "watcher")
    yield made
    made.close()


def held(layout: Layout, pid: int) -> int:
    """The guardian's lock, held for `pid` as long as the descriptor is open."""
    fd = os.open(layout.lock_file("guardian"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.pwrite(fd, b"%d\n" % pid, 0)
    return fd


def test_supervisord_is_woken_for_a_while_after_the_guardian_died(layout: Layout, backwatch: GuardianWatch) -> None:
    with socket.socket(socket.AF_UNIX) as supervisord:
        supervisord.bind(str(layout.supervisor_socket))
        supervisord.listen(10)
        supervisord.settimeout(0.1)
        backwatch.check(0.0)
        lock = held(layout, GUARDIAN)
        backwatch.check(1.0)
        with pytest.raises(TimeoutError):
            supervisord.accept()
        os.close(lock)
        backwatch.check(2.0)
        supervisord.accept()[0].close()
        # Whoever stopped it on purpose is not to be woken for ever.
        backwatch.check(20.0)
        with pytest.raises(TimeoutError):
            supervisord.accept()


def test_a_guardian_that_holds_its_role_in_silence_is_killed(layout: Layout, backwatch: GuardianWatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as silent:
        lock = held(layout, silent.pid)
        for now in range(int(SILENT_AFTER) + 2):
            backwatch.check(float(now))
        assert eventually(silent.poll) == -signal.SIGKILL
        os.close(lock)


@pytest.mark.parametrize(("deadline", "shows"), [(0.0, True), (150.0, True), (99.5, True), (95.0, False)])
def test_a_heartbeat_past_its_own_deadline_is_no_sign_of_life(deadline: float, shows: bool) -> None:
    """A guardian whose loop is stuck beats on, from another thread."""
    beat = heartbeat(service="guardian", step_since=90.0, deadline=deadline)
    assert is_alive(beat, 100.0) is shows
