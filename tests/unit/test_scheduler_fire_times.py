"""Fire times: each passed one runs its job once, late ones are missed, and a system clock that is set changes them."""

import os
import time
from collections.abc import Iterator

import pytest

from pyrotorque.schedule import parse_schedule
from pyrotorque_scheduler.fire_times import FiredJobs, FireTimes

BEGIN = 1_800_000_000.0  # a full hour
NOTHING = FiredJobs()


class Clocks:
    """Fire times with the clocks of a machine, which runs, sleeps, and has its system clock set."""

    def __init__(self, **schedules: str) -> None:
        self.now, self.monotonic = BEGIN, 500.0
        parsed = {name: parse_schedule(text) for name, text in schedules.items()}
        self.fire_times = FireTimes(parsed, self.now, self.monotonic)

    def after(self, seconds: float) -> FiredJobs:
        """A step of a loop that ran or was busy for so long."""
        self.monotonic += seconds
        return self.after_sleep(seconds)

    def after_sleep(self, seconds: float) -> FiredJobs:
        """The same for a machine that slept, or whose system clock was set."""
        self.now += seconds
        return self.fire_times.step(self.now, self.monotonic)

    def wait(self) -> float:
        return self.fire_times.wait(self.now)


def test_a_job_fires_once_at_its_time() -> None:
    clocks = Clocks(queue="minute=*")
    assert [clocks.after(59.9), clocks.after(0.1), clocks.after(1)] == [NOTHING, FiredJobs(due=("queue",)), NOTHING]


def test_the_loop_waits_for_the_first_fire_time() -> None:
    clocks = Clocks(queue="minute=*", stats="second=*/15")
    clocks.after(5)
    assert clocks.wait() == 10


def test_without_schedules_there_is_nothing_to_wait_for() -> None:
    assert Clocks().wait() == float("inf")


def test_fire_times_that_passed_together_are_one_run() -> None:
    assert Clocks(queue="second=*").after(30).due == ("queue",)


def test_a_schedule_that_ended_never_fires() -> None:
    clocks = Clocks(old="year=2020")
    clocks.fire_times.recompute(clocks.now)
    assert clocks.fire_times.next_fires() == {}
    assert clocks.after(1e6) == NOTHING


def test_a_busy_loop_delays_a_job_and_misses_none() -> None:
    assert Clocks(queue="hour=*").after(3600 + 280).due == ("queue",)


@pytest.mark.parametrize(
    ("late", "fired"), [(55, FiredJobs(due=("queue",))), (70, FiredJobs(missed=("queue",), missed_at=(BEGIN + 3600,)))]
)
def test_a_fire_time_that_passed_while_the_machine_slept_is_missed_after_a_minute(
    late: float, fired: FiredJobs
) -> None:
    clocks = Clocks(queue="hour=*")
    assert clocks.after_sleep(3600 + late) == fired
    assert clocks.fire_times.next_fires() == {"queue": BEGIN + 7200}


def test_after_a_sleep_over_many_fire_times_the_last_one_counts() -> None:
    clocks = Clocks(often="minute=*", rarely="hour=*")
    assert clocks.after_sleep(100_000) == FiredJobs(due=("often",), missed=("rarely",), missed_at=(BEGIN + 3600,))


def test_fire_times_are_recomputed_after_the_clock_was_set_back() -> None:
    clocks = Clocks(queue="minute=*")
    assert clocks.after_sleep(-86_400) == NOTHING
    clocks.fire_times.recompute(clocks.now)
    assert clocks.wait() == 60


def test_a_clock_set_forward_over_a_fire_time_does_not_lose_it() -> None:
    clocks = Clocks(queue="hour=*")
    clocks.now += 3610
    clocks.fire_times.recompute(clocks.now)
    assert clocks.after(0).due == ("queue",)


@pytest.mark.parametrize(
    ("late", "fired"),
    [(0, NOTHING), (30, FiredJobs(due=("queue",))), (600, FiredJobs(missed=("queue",), missed_at=(BEGIN,)))],
)
def test_fire_times_between_two_services_are_not_lost(late: float, fired: FiredJobs) -> None:
    """The first ended a second before the hour, the next one begins so many seconds after."""
    begun = BEGIN + late if late else BEGIN - 0.5
    fire_times = FireTimes({"queue": parse_schedule("hour=*")}, begun, 5.0, BEGIN - 1)
    assert fire_times.step(begun, 5.0) == fired
    assert fire_times.step(begun, 5.1) == NOTHING


def test_an_end_in_the_future_is_of_another_clock() -> None:
    fire_times = FireTimes({"queue": parse_schedule("hour=*")}, BEGIN + 1, 5.0, BEGIN + 86_400)
    assert fire_times.next_fires() == {"queue": BEGIN + 3600}


def test_runs_are_shifted_by_the_jitter() -> None:
    fires = {Clocks(queue="minute=* jitter=10").fire_times.next_fires()["queue"] for _ in range(20)}
    assert len(fires) > 1
    assert all(BEGIN + 60 <= fire <= BEGIN + 70 for fire in fires)


def test_a_missed_minute_is_not_confused_by_the_jitter() -> None:
    assert Clocks(queue="minute=* jitter=10").after_sleep(100_000).due == ("queue",)


@pytest.fixture
def _in_london(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.setdefault("TZ", "UTC")
    time.tzset()


@pytest.mark.usefixtures("_in_london")
def test_it_fires_in_both_hours_that_occur_twice_in_autumn() -> None:
    clocks = Clocks(queue="minute=*/30")
    clocks.after_sleep(1_792_886_400 - BEGIN)  # 2026-10-25 00:00 UTC
    clocks.fire_times.recompute(clocks.now)
    assert [clocks.after(1800).due for _ in range(6)] == [("queue",)] * 6
