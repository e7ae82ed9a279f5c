"""The scheduler as a process whose machine is suspended, whose clock is set, and whose time zone changes.

Neither a container nor a time namespace can suspend its machine or set its clock while a process runs: the process gets
clocks that a file moves (an injected `sitecustomize`), everything else is real.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.group import environment
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.requests import ExplainQueue, RunJob
from tests import scheduler_process
from tests.scheduler_process import Scheduler, scheduler_beside
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.either_rtorrent(reason="it is about our clocks: starts are tested with both"),
]

HOUR = 3600.0
CLOCKS = """
import os, time

_time, _clock_gettime, _file = time.time, time.clock_gettime, os.environ["TEST_CLOCKS"]

def _off(place):
    try:
        return float(open(_file).read().split()[place])
    except (OSError, IndexError, ValueError):
        return 0.0

time.time = lambda: _time() + _off(0)
time.clock_gettime = lambda clock: _clock_gettime(clock) + (_off(1) if clock == time.CLOCK_BOOTTIME else 0.0)
"""


@dataclass
class Clocks:
    """How far the wall clock and the boot clock of the process are ahead."""

    file: Path
    wall: float = 0.0
    boot: float = 0.0

    def suspend(self, seconds: float) -> None:
        self.wall += seconds
        self.boot += seconds
        self._write()

    def set(self, seconds: float) -> None:
        self.wall += seconds
        self._write()

    def now(self) -> float:
        return time.time() + self.wall

    def _write(self) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{self.wall} {self.boot}")
        os.replace(fresh, self.file)


@pytest.fixture
def clocks(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Clocks:
    folder = short_folder / "clocks"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CLOCKS)
    monkeypatch.setenv("TEST_CLOCKS", str(folder / "offsets"))
    monkeypatch.setattr(scheduler_process, "environment", lambda: environment(folder))
    return Clocks(folder / "offsets")


@pytest.fixture
def make(real: PrivateRTorrent, short_folder: Path) -> Iterator[Callable[..., Scheduler]]:
    opened = []

    def build(**settings: object) -> Scheduler:
        scene = scheduler_beside(real, short_folder, **settings)
        opened.append(scene)
        return scene.__enter__()

    yield build
    for scene in opened:
        scene.__exit__(None, None, None)


def other_hour(now: float) -> str:
    """A schedule that fires once a day, an hour and a half from now, at a full quarter."""
    local = time.localtime((now + 1.5 * HOUR) // 900 * 900)
    return f"hour={local.tm_hour} minute={local.tm_min}"


def add_daily(scheduler: Scheduler, schedule: str) -> None:
    """A job that runs once a day, and a program that leaves a trace."""
    jobs = scheduler.config / "jobs"
    jobs.mkdir(exist_ok=True)
    (jobs / "daily.py").write_text("class Daily:\n    def __init__(self, config): pass\n    def run(self): pass\n")
    with (scheduler.config / "torque.ini").open("a") as file:
        file.write(f"\njob.daily.handler = daily:Daily\njob.daily.schedule = {schedule}\n")


def test_a_run_that_was_missed_in_suspension_is_logged_once(clocks: Clocks, make: Callable[..., Scheduler]) -> None:
    scheduler = make(schedule="second=*")
    add_daily(scheduler, other_hour(clocks.now()))
    scheduler.start()
    first = scheduler.load("before")
    eventually(lambda: first in scheduler.running(), 20)
    clocks.suspend(7 * HOUR)
    eventually(lambda: "the machine was suspended for 7 h" in scheduler.log(), 20)
    second = scheduler.load("after")
    eventually(lambda: second in scheduler.running(), 20, why="the queue continues")
    log = scheduler.log()
    assert log.count("missed runs: daily (") == 1
    assert "clock was set" not in log


def test_a_clock_that_is_set_is_named_as_such_and_starts_continue(
    clocks: Clocks, make: Callable[..., Scheduler]
) -> None:
    scheduler = make(schedule="second=*", start_at_once=1, intermission=2)
    scheduler.start()
    for by, text in ((26 * HOUR, "set forward by 93600 s"), (-50 * HOUR, "set back by 180000 s")):
        clocks.set(by)
        eventually(lambda text=text: text in scheduler.log(), 20)  # type: ignore[misc]
        item = scheduler.load(f"after {by}")
        eventually(lambda item=item: item in scheduler.running(), 20)  # type: ignore[misc]
    assert "suspended" not in scheduler.log()


def test_nothing_gives_up_its_slot_because_the_machine_was_suspended(
    clocks: Clocks, make: Callable[..., Scheduler]
) -> None:
    scheduler = make(schedule="second=*", downloading_max=1, stall_after="1h", stall_grace=0)
    scheduler.start()
    running = scheduler.load("running")
    eventually(lambda: running in scheduler.running(), 20)
    scheduler.load("waits")
    for _ in range(2):
        assert scheduler.ask(RunJob(job="queue")).ok  # it is seen running before
    clocks.suspend(9 * HOUR)
    eventually(lambda: "the machine was suspended for 9 h" in scheduler.log(), 20)
    for _ in range(5):
        assert scheduler.ask(RunJob(job="queue")).ok  # a look at the running items, beside those of the schedule
    assert scheduler.running() == {running}
    assert "no progress" not in scheduler.log()


def test_hours_follow_a_time_zone_that_changes(
    make: Callable[..., Scheduler], short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones, zone = Path("/usr/share/zoneinfo/Etc"), short_folder / "zone"
    shutil.copy(zones / "UTC", zone)
    monkeypatch.setenv("TZ", f":{zone}")
    there = time.gmtime(time.time() + 12 * HOUR)
    scheduler = make(schedule="second=*", hours=f"{(there.tm_hour - 1) % 24}-{(there.tm_hour + 3) % 24}")
    scheduler.start()
    item = scheduler.load("at night")
    eventually(lambda: "hours" in scheduler.ask(ExplainQueue()).text, 20)
    assert item not in scheduler.running()
    fresh = short_folder / "fresh"
    shutil.copy(zones / "GMT-12", fresh)
    os.replace(fresh, zone)
    eventually(lambda: "the time zone changed" in scheduler.log(), 30)
    assert scheduler.end(signal.SIGTERM) == 0
    scheduler.start()  # as supervisord does
    eventually(lambda: item in scheduler.running(), 20)


def test_a_run_that_was_due_between_two_services_is_logged_or_done(
    clocks: Clocks, make: Callable[..., Scheduler]
) -> None:
    scheduler = make(schedule="second=*")
    add_daily(scheduler, other_hour(clocks.now()))
    scheduler.start()
    assert scheduler.end(signal.SIGTERM) == 0
    clocks.suspend(7 * HOUR)
    scheduler.start()
    eventually(lambda: "the scheduler did not run since" in scheduler.log(), 20)
    assert scheduler.log().count("missed runs: daily (") == 1
    assert scheduler.end(signal.SIGTERM) == 0
    scheduler.start()
    assert scheduler.log().count("missed runs") == 1
