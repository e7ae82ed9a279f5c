"""Grants of real schedules, and time on two clocks."""

import time
from datetime import datetime

import pytest

from pyrotorque.schedule import parse_schedule
from pyrotorque_scheduler.queue.model import (
    Candidate,
    Failure,
    Grant,
    GrantUse,
    Instant,
    Limits,
    current_instant,
    elapsed,
    grant,
    rebased,
)
from tests.histories import Every


def test_no_time_has_passed_since_now() -> None:
    now = Instant(100.0, 50.0, "boot")
    assert elapsed(now, now) == 0.0
    assert elapsed(now, Instant(100.5, 50.5, "boot")) == 0.5
    assert elapsed(now, Instant(90.0, 40.0, "boot")) == 0.0


def at(text: str) -> float:
    return datetime.fromisoformat(f"2026-11-23 {text}").timestamp()


def granted(schedule: str, when: str, spent: GrantUse | None = None, at_once: int = 1) -> Grant:
    return grant(parse_schedule(schedule), at_once, spent or GrantUse(), at(when))


@pytest.mark.parametrize(
    ("schedule", "when", "fire"),
    [
        ("second=*/15", "12:00:00", "12:00:00"),
        ("second=*/15", "12:00:14.999", "12:00:00"),
        ("second=*/15", "12:00:15", "12:00:15"),
        ("hour=1-6 second=*/15", "06:59:59.9", "06:59:45"),
        ("hour=1-6 second=*/15", "07:00:00", None),
        ("hour=1-6 second=*/15", "00:59:59", None),
        ("hour=1-6 second=*/15", "01:00:00.001", "01:00:00"),
        ("minute=*/5", "12:04:59", "12:00:00"),
    ],
)
def test_a_grant_is_valid_from_its_fire_time_for_the_smallest_gap(schedule: str, when: str, fire: str | None) -> None:
    assert granted(schedule, when).fire == (at(fire) if fire else None)


def test_used_starts_of_a_fire_time_are_not_granted_again() -> None:
    spent = GrantUse(at("12:00:00"), 2)
    assert granted("second=*/15", "12:00:10", spent, at_once=3).left == 1
    assert granted("second=*/15", "12:00:15", spent, at_once=3).left == 3


def test_outside_the_window_the_next_fire_time_is_known() -> None:
    assert granted("hour=13 minute=0 second=*/15", "12:30:00").next_fire == at("13:00:00")


def test_a_schedule_that_fires_once_grants_for_a_day() -> None:
    once = "year=2026 month=11 day=23 hour=6"
    assert granted(once, "23:59:59").left == 1
    assert granted(once, "05:59:59").left == 0


def test_elapsed_time_is_measured_by_the_boot_clock() -> None:
    assert elapsed(Instant(5000.0, 100.0, "a boot"), Instant(1000.0, 130.0, "a boot")) == 30.0


def test_across_a_reboot_the_wall_clock_counts_but_never_backwards() -> None:
    before = Instant(5000.0, 100.0, "a boot")
    assert elapsed(before, Instant(5060.0, 7.0, "another")) == 60.0
    assert elapsed(before, Instant(4000.0, 7.0, "another")) == 0.0


def test_a_time_of_an_earlier_boot_survives_a_clock_that_is_set_back() -> None:
    now = Instant(4000.0, 7.0, "another")
    moved = rebased(Instant(5000.0, 100.0, "a boot"), now)
    assert elapsed(moved, Instant(4060.0, 67.0, "another")) == 60.0


DAY = 86_400.0


@pytest.mark.parametrize(
    ("seconds", "gap"),
    [
        pytest.param(365 * DAY, 365 * DAY, id="each year"),
        pytest.param(366 * DAY - 1, 366 * DAY - 1, id="each leap year"),
        pytest.param(366 * DAY, DAY, id="once"),
    ],
)
def test_a_gap_of_a_leap_year_or_more_is_that_of_a_schedule_that_fires_once(seconds: float, gap: float) -> None:
    assert grant(Every(seconds), 1, GrantUse(), 1.0).gap == gap


def test_limits_candidates_and_instants_are_as_documented_by_default() -> None:
    assert Limits() == Limits(
        downloading_max=9, downloading_min=1, start_at_once=1, intermission=0.0, max_down_rate=0, min_free=0
    )
    assert Candidate("a", "a") == Candidate(
        "a", "a", loaded=0.0, need=0, free=None, disk=0, group="", rank=0, marked=False
    )
    assert Instant(1.0, 2.0, "boot").awake == 2.0
    assert GrantUse() == GrantUse(fire=0.0, starts=0)
    assert Failure(1.0, "no such folder").times == 1


def test_the_clock_that_stands_still_in_suspension() -> None:
    assert Instant(1.0, 10.0, "boot", slept=4.0).awake == 6.0
    before = time.monotonic()
    assert before <= round(current_instant("boot").awake, 3) + 0.01
    assert current_instant("boot").awake <= time.monotonic() + 0.01
