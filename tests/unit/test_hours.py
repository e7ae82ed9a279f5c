"""Hours of the day."""

import os
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from pyrotorque.errors import UserError
from pyrotorque.hours import parse_hours


@pytest.fixture(autouse=True)
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


def at(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(fold=fold).timestamp()


@pytest.mark.parametrize(
    ("hours", "clock", "inside"),
    [
        ("", "12:00", True),
        ("1-6", "00:59", False),
        ("1-6", "01:00", True),
        ("1-6", "06:00", False),
        ("22-6", "23:15", True),
        ("22-6", "05:59", True),
        ("22-6", "12:00", False),
        ("9:30-12, 13-17:45", "12:30", False),
        ("9:30-12, 13-17:45", "17:44", True),
        ("0-24", "00:00", True),
        ("18-24", "23:59", True),
        ("18-24", "00:00", False),
    ],
)
def test_a_time_of_day_is_inside_or_outside(hours: str, clock: str, inside: bool) -> None:
    assert parse_hours(hours).contain(at(f"2026-11-23 {clock}")) is inside


def test_hours_have_an_opening_time() -> None:
    assert parse_hours("22-6").opens(at("2026-11-23 12:00:30")) == at("2026-11-23 22:00")


def test_open_hours_open_now() -> None:
    assert parse_hours("22-6").opens(at("2026-11-23 23:00:30")) == at("2026-11-23 23:00:30")


def test_the_hour_that_comes_twice_in_autumn_counts_twice() -> None:
    hours = parse_hours("2-3")
    assert hours.contain(at("2026-10-25 02:30", fold=0))
    assert hours.contain(at("2026-10-25 02:30", fold=1))


def test_hours_that_do_not_exist_in_spring_open_a_day_later() -> None:
    assert parse_hours("2:10-2:50").opens(at("2026-03-29 01:00")) == at("2026-03-30 02:10")


def open_hours(hours: str, begin: str, count: int) -> list[str]:
    """Of so many hours that really pass from `begin`, those in which it is open, by the wall clock."""
    parsed, first = parse_hours(hours), at(begin)
    moments = [first + number * 3600 for number in range(count)]
    return [datetime.fromtimestamp(moment).strftime("%d %H") for moment in moments if parsed.contain(moment)]


def test_a_night_in_spring_is_an_hour_shorter() -> None:
    assert open_hours("23-5", "2026-03-28 20:00", 12) == ["28 23", "29 00", "29 01", "29 03", "29 04"]


def test_a_night_in_autumn_is_an_hour_longer() -> None:
    assert open_hours("23-5", "2026-10-24 20:00", 12) == ["24 23", "25 00", "25 01", "25 02", "25 02", "25 03", "25 04"]


def test_the_queue_looks_again_at_the_minute_when_the_hours_open_over_both_changes() -> None:
    assert parse_hours("4-5").opens(at("2026-03-28 12:00")) == at("2026-03-29 04:00")
    assert parse_hours("4-5").opens(at("2026-10-24 12:00")) == at("2026-10-25 04:00")
    assert at("2026-03-29 04:00") - at("2026-03-28 12:00") == 15 * 3600


@pytest.mark.parametrize("text", ["22", "22-", "25-3", "1:75-3", "night", "6-6", "24-0"])
def test_an_invalid_time_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(UserError, match=text):
        parse_hours(text)
