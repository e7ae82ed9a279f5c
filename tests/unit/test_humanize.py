"""Sizes, rates, durations and times have one form wherever a person reads them."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.humanize import age, coming_time, date_time, duration, rate, short_time, size, time_of_day
from pyrotorque.templates.functions import iso, sz


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20, "1.0 MiB"),
        (5 * 2**40, "5.0 TiB"),
        (5 * 2**50, "5.0 PiB"),
        (2**70, "1024.0 EiB"),
        (-1536, "-1.5 KiB"),
        (0.4, "0 B"),
    ],
)
def test_a_size_has_the_largest_unit_that_leaves_at_least_one(number: float, text: str) -> None:
    assert size(number) == text
    assert rate(number) == f"{text}/s"


@pytest.mark.parametrize("number", [0, 1, 1023, 1024, 1536, 2**30, 2**62, 2**72])
def test_templates_keep_their_word_for_bytes(number: int) -> None:
    assert sz(number) == size(number).replace(" B", " bytes")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.0123, "12 ms"),
        (0.2, "200 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (3601, "1 h"),
        (3660, "1 h 1 min"),
        (86_399.9, "1 d"),
        (200_000, "2 d 7 h"),
        (86_400 * 1000, "1000 d"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(min_value=-1e6, max_value=1e9))
def test_a_duration_is_short(seconds: float) -> None:
    assert 3 <= len(duration(seconds)) <= 12


@pytest.mark.parametrize(
    ("at", "text"), [(100.0, "now"), (99.6, "now"), (200.0, "now"), (58.0, "42 s ago"), (-3500.0, "1 h ago")]
)
def test_an_age_counts_from_one_second_on(at: float, text: str) -> None:
    assert age(at, 100.0) == text


@pytest.mark.usefixtures("berlin")
def test_times_are_local() -> None:
    summer, winter = 1_782_000_000.0, 1_767_300_000.0
    assert (date_time(summer), date_time(winter)) == ("2026-06-21 02:00:00", "2026-01-01 21:40:00")
    assert time_of_day(winter) == "21:40:00"
    assert iso(winter) == date_time(winter)


@pytest.mark.usefixtures("berlin")
def test_a_time_of_another_day_has_its_date() -> None:
    now = 1_767_300_000.0
    assert short_time(now + 60, now) == "21:41:00"
    assert short_time(now + 86_400, now) == "2026-01-02 21:40:00"
    assert coming_time(now + 75, now) == "21:41:15 (in 1 min 15 s)"


@pytest.mark.parametrize("at", [1e30, -1e30, float("inf"), float("nan")])
def test_a_number_that_is_no_time_is_shown_as_it_is(at: float) -> None:
    assert date_time(at) == f"{at:g}, which is not a time"
