"""Services monitor the guardian: a silent one is killed, and supervisord is woken when it has died."""

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


def silent_at(*checks: tuple[float, int, set[int]]) -> list[float]:
    """The times of a silent guardian, for checks given as (time, pid that holds the role, pids with heartbeats)."""
    silence = SilenceDetector()
    return [now for now, holder, beating in checks if silence.is_silent(holder, beating, now)]


def every_second(holder: int, begin: int, end: int) -> list[tuple[float, int, set[int]]]:
    return [(float(now), holder, set()) for now in range(begin, end)]


def test_a_guardian_that_sends_heartbeats_is_not_killed() -> None:
    assert silent_at(*((float(now), GUARDIAN, {GUARDIAN}) for now in range(60))) == []


def test_a_silent_guardian_is_killed_every_15_seconds() -> None:
    assert silent_at(*every_second(GUARDIAN, 0, 40)) == [SILENT_AFTER + 1, 2 * SILENT_AFTER + 2]


def test_without_a_guardian_no_process_is_killed() -> None:
    assert silent_at(*every_second(0, 0, 60)) == []


def test_a_new_guardian_has_its_own_15_seconds() -> None:
    assert silent_at(*every_second(GUARDIAN, 0, 14), *every_second(ANOTHER, 14, 28)) == []


def test_heartbeats_of_another_process_do_not_count() -> None:
    assert silent_at(*((float(now), GUARDIAN, {ANOTHER}) for now in range(18))) == [SILENT_AFTER + 1]


def test_the_guardian_is_not_killed_after_a_pause_of_the_service_itself() -> None:
    assert silent_at((0.0, GUARDIAN, {GUARDIAN}), (60.0, GUARDIAN, set()), (61.0, GUARDIAN, set())) == []


@pytest.fixture
def watch(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuardianWatch]:
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


def test_supervisord_is_woken_for_a_while_after_the_guardian_died(layout: Layout, watch: GuardianWatch) -> None:
    with socket.socket(socket.AF_UNIX) as supervisord:
        supervisord.bind(str(layout.supervisor_socket))
        supervisord.listen(10)
        supervisord.settimeout(0.1)
        watch.check(0.0)
        lock = held(layout, GUARDIAN)
        watch.check(1.0)
        with pytest.raises(TimeoutError):
            supervisord.accept()
        os.close(lock)
        watch.check(2.0)
        supervisord.accept()[0].close()
        # A guardian that its owner stopped must not cause calls indefinitely.
        watch.check(20.0)
        with pytest.raises(TimeoutError):
            supervisord.accept()


def test_a_guardian_that_holds_its_role_without_heartbeats_is_killed(layout: Layout, watch: GuardianWatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as silent:
        lock = held(layout, silent.pid)
        for now in range(int(SILENT_AFTER) + 2):
            watch.check(float(now))
        assert eventually(silent.poll) == -signal.SIGKILL
        os.close(lock)


@pytest.mark.parametrize(("deadline", "shows"), [(0.0, True), (150.0, True), (99.5, True), (95.0, False)])
def test_a_heartbeat_past_its_deadline_does_not_count(deadline: float, shows: bool) -> None:
    """The heartbeats of a guardian whose loop hangs go on, from another thread."""
    beat = heartbeat(service="guardian", step_since=90.0, deadline=deadline)
    assert is_alive(beat, 100.0) is shows
