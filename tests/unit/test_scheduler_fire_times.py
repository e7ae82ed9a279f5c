"""Fire times wake the loop and are recomputed after the system clock was set."""

import threading
import time
from collections.abc import Iterator

import pytest

from pyrotorque.schedule import parse_schedule
from pyrotorque_scheduler.fire_times import FireTimes
from tests.waiting import eventually

EVERY_SECOND, HOURLY = parse_schedule("second=*"), parse_schedule("hour=* minute=0 second=0")


@pytest.fixture
def woken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def clock(woken: threading.Event) -> Iterator[FireTimes]:
    made = FireTimes(woken.set)
    made.start()
    yield made
    made.stop()


def test_a_fire_time_wakes_the_loop_and_is_returned_once(clock: FireTimes, woken: threading.Event) -> None:
    clock.set_schedules({"queue": EVERY_SECOND})
    assert woken.wait(3)
    assert clock.due() == ["queue"]


def test_fire_times_that_were_not_taken_are_merged(clock: FireTimes) -> None:
    clock.set_schedules({"queue": EVERY_SECOND})
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 2.2)
    assert clock.due() == ["queue"]


def test_a_removed_schedule_does_not_fire(clock: FireTimes) -> None:
    clock.set_schedules({"queue": EVERY_SECOND, "other": HOURLY})
    clock.set_schedules({"other": HOURLY})
    assert set(clock.next_fires()) == {"other"}


def test_fire_times_are_recomputed_after_the_clock_was_set(clock: FireTimes) -> None:
    clock.set_schedules({"other": HOURLY})
    clock.recompute()
    assert clock.next_fires()["other"] == HOURLY.next_fire(time.time())
