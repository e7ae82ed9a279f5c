"""The clock hands fire times to the loop, wakes it, and is computed anew after the wall clock was set."""

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


def test_a_fire_time_wakes_the_loop_and_is_told_once(clock: FireTimes, woken: threading.Event) -> None:
    clock.set_schedules({"queue": EVERY_SECOND})
    assert woken.wait(3)
    assert clock.due() == ["queue"]


def test_fire_times_that_nobody_took_are_one(clock: FireTimes) -> None:
    clock.set_schedules({"queue": EVERY_SECOND})
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 2.2)
    assert clock.due() == ["queue"]


def test_what_is_kept_no_more_fires_no_more(clock: FireTimes) -> None:
    clock.set_schedules({"queue": EVERY_SECOND, "other": HOURLY})
    clock.set_schedules({"other": HOURLY})
    assert set(clock.next_fires()) == {"other"}


def test_after_the_wall_clock_was_set_fire_times_are_computed_from_now(clock: FireTimes) -> None:
    clock.set_schedules({"other": HOURLY})
    clock.recompute()
    assert clock.next_fires()["other"] == HOURLY.next_fire(time.time())
