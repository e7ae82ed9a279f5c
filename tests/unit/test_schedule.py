"""Fire times and gaps of schedules."""

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from math import inf

import pytest

from pyrotorque.errors import UserError
from pyrotorque.schedule import parse_schedule


@pytest.fixture(autouse=True)
def _in_london(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.setdefault("TZ", "UTC")
    time.tzset()


def fire(text: str, after: str) -> str:
    found = parse_schedule(text).next_fire(datetime.fromisoformat(after).timestamp())
    return datetime.fromtimestamp(found).isoformat(" ") if found is not None else "never"


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("second=*/15", "2026-11-23 22:40:01", "2026-11-23 22:40:15"),
        ("second=*/5", "2026-11-23 22:40:05", "2026-11-23 22:40:10"),
        ("minute=*", "2026-11-23 22:40:01", "2026-11-23 22:41:00"),
        ("hour=*", "2026-11-23 22:40:01", "2026-11-23 23:00:00"),
        ('hour=12 "day=3rd sun"', "2026-11-23 22:40:01", "2026-12-20 12:00:00"),
        ('day="last fri"', "2026-11-23 22:40:01", "2026-11-27 00:00:00"),
        ("day=last hour=3", "2026-11-23 22:40:01", "2026-11-30 03:00:00"),
        ("day_of_week=mon-fri hour=8", "2026-11-27 09:00:00", "2026-11-30 08:00:00"),
        ("hour=1-6 second=*/15", "2026-11-23 06:59:45", "2026-11-24 01:00:00"),
        ("year=2020", "2026-11-23 22:40:01", "never"),
        ("week=53 day_of_week=0", "2026-11-23 00:00:00", "2026-12-28 00:00:00"),
    ],
)
def test_it_fires_next(text: str, after: str, expected: str) -> None:
    assert fire(text, after) == expected


def test_the_next_fire_time_is_later_than_a_fire_time() -> None:
    schedule = parse_schedule("second=*/15")
    assert schedule.next_fire(schedule.next_fire(0.0) or 0.0) == (schedule.next_fire(0.0) or 0.0) + 15


@pytest.mark.parametrize(
    ("text", "smallest", "largest"),
    [
        ("second=*/15", 15, 15),
        ("second=*/25", 10, 25),
        ("minute=*", 60, 60),
        ("hour=1-6 second=*/15", 15, 18 * 3600 + 15),
        ("hour=4 minute=0,5", 300, 24 * 3600 - 300),
        ("year=2020", inf, inf),
        ("year=2020 month=1 day=1", inf, inf),
    ],
)
def test_gaps(text: str, smallest: float, largest: float) -> None:
    schedule = parse_schedule(text)
    assert schedule.smallest_gap() == smallest
    assert schedule.largest_gap() == pytest.approx(largest, abs=1)


@pytest.mark.parametrize("text", ["month=4,6,9,11 day=31", "month=2 day=30 hour=*/2", "week=1 month=6 jitter=60"])
def test_a_schedule_that_never_fires_is_searched_once(text: str) -> None:
    schedule = parse_schedule(text)
    began = time.process_time()
    assert schedule.next_fire(0.0) is None
    once = time.process_time() - began
    began = time.process_time()
    assert (schedule.smallest_gap(), schedule.largest_gap()) == (inf, inf)
    assert schedule.next_run(1e9) is None
    assert schedule.next_fire(-86_400.0) is None
    assert time.process_time() - began < 4 * once + 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("day=3rd sun", "quotes around a field with a space"),
        ("foo=1", "'foo' is none of year, month"),
        ("second=60", "60"),
        ("second=*/0", "0"),
        ("second=*/70", "70"),
        ("hour=5-2", "is not a schedule"),
        ("second=1 second=2", "given twice"),
        ('hour="5', "quotation"),
        ("day=3rd xyz", "is not a schedule"),
        ("second=", "is not a schedule"),
        ("second=0 jitter=1000000000", "jitter is '1000000000', but must be a number of seconds of at most 9 digits"),
        ("second=0 jitter=٣", "jitter is '٣', but must be a number of seconds"),
        ("second=0 jitter=-5", "jitter is '-5', but must be a number of seconds"),
    ],
)
def test_errors_name_the_invalid_part(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_schedule(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_fires_in_both_hours_that_occur_twice_in_autumn() -> None:
    schedule, begin = parse_schedule("second=*/15"), datetime.fromisoformat("2026-10-25 01:00").timestamp()
    assert schedule.fires(begin - 1, 480) == [begin + 15 * number for number in range(480)]


@pytest.mark.parametrize(
    ("zone", "begin", "gaps"),
    [
        pytest.param("Pacific/Chatham", "2026-04-05 01:00", {420, 240}, id="an hour that begins at 2:45 is repeated"),
        pytest.param("Australia/Lord_Howe", "2026-04-05 00:00", {420, 240, 540}, id="half an hour is repeated"),
        pytest.param("Pacific/Chatham", "2026-09-27 01:00", {420, 240}, id="an hour that begins at 2:45 is skipped"),
        pytest.param("America/Santiago", "2026-09-05 22:00", {420, 240}, id="midnight is skipped"),
    ],
)
def test_it_neither_waits_nor_hurries_where_the_clocks_change(
    zone: str, begin: str, gaps: set[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    fires = parse_schedule("minute=*/7").fires(datetime.fromisoformat(begin).timestamp(), 50)
    assert {later - earlier for earlier, later in pairwise(fires)} == gaps
    # Whatever the moment from which it is computed.
    for moment in range(int(fires[0]), int(fires[-1]), 100):
        assert parse_schedule("minute=*/7").next_fire(moment) == next(fire for fire in fires if fire > moment)


@pytest.mark.parametrize(
    ("zone", "text", "after", "expected"),
    [
        ("Europe/Berlin", "hour=0", "2026-03-28 12:00", ["2026-03-29 00:00", "2026-03-30 00:00", "2026-03-31 00:00"]),
        ("Europe/Berlin", "hour=0 minute=30", "2026-03-29 00:30", ["2026-03-30 00:30", "2026-03-31 00:30"]),
        ("Europe/Berlin", "day_of_week=mon", "2026-03-28 12:00", ["2026-03-30 00:00", "2026-04-06 00:00"]),
        ("Europe/Berlin", "day=1", "2026-03-01 00:00", ["2026-04-01 00:00", "2026-05-01 00:00"]),
        ("Australia/Sydney", "day=1", "2026-10-01 00:00", ["2026-11-01 00:00", "2026-12-01 00:00"]),
        ("Europe/Berlin", "month=*/3 day=1", "2026-01-01 00:00", ["2026-04-01 00:00", "2026-07-01 00:00"]),
        ("America/Havana", "hour=0", "2026-03-07 12:00", ["2026-03-08 01:00", "2026-03-09 00:00"]),
    ],
)
def test_no_run_is_lost_on_the_way_over_a_change_in_spring(
    zone: str, text: str, after: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    found = parse_schedule(text).fires(datetime.fromisoformat(after).timestamp(), len(expected))
    assert [datetime.fromtimestamp(at).isoformat(" ", "minutes") for at in found] == expected


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Australia/Lord_Howe", "2026-10-04"),
        ("Africa/Casablanca", "2026-02-15"),
        ("America/Nuuk", "2026-03-28"),
        ("Antarctica/Troll", "2026-03-29"),
        ("Antarctica/Troll", "2026-10-25"),
        ("Pacific/Apia", "2011-12-30"),
        ("Africa/Cairo", "2026-04-24"),
        ("America/Caracas", "2016-05-01"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-29"),
    ],
)
@pytest.mark.parametrize(
    ("text", "hours", "minutes"),
    [
        ("hour=0", {0}, {0}),
        ("hour=2 minute=30", {2}, {30}),
        ("hour=*/2", {*range(0, 24, 2)}, {0}),
        ("minute=*/7", {*range(24)}, {*range(0, 60, 7)}),
        ("hour=23 minute=15,45", {23}, {15, 45}),
    ],
)
def test_it_fires_at_each_local_time_that_exists(
    zone: str, day: str, text: str, hours: set[int], minutes: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    begin = datetime.fromisoformat(day).timestamp() // 60 * 60 - 86_400
    moments = [begin + 60 * number for number in range(1, 4 * 24 * 60)]
    existing = [at for at in moments if _is_at(datetime.fromtimestamp(at), hours, minutes)]
    schedule, fires = parse_schedule(text), [begin]
    while (at := schedule.next_fire(fires[-1])) is not None and at <= moments[-1]:
        fires.append(at)
    assert set(existing) <= set(fires)
    # What is skipped fires after the change, at the time that its clocks would have shown without it.
    walls = [datetime.fromisoformat(day) + timedelta(minutes=number) for number in range(-24 * 60, 72 * 60)]
    skipped = {wall.timestamp() for wall in walls if _is_at(wall, hours, minutes) and not _exists(wall)}
    assert set(fires[1:]) - set(existing) <= skipped
    # The same from each moment, but what was skipped is not seen after the change.
    for moment in moments[: 2 * 24 * 60 : 97]:
        following = [next(at for at in times if at > moment + 0.5) for times in (fires, existing)]
        assert parse_schedule(text).next_fire(moment + 0.5) in following


def _is_at(local: datetime, hours: set[int], minutes: set[int]) -> bool:
    return local.hour in hours and local.minute in minutes


def _exists(wall: datetime) -> bool:
    return datetime.fromtimestamp(wall.timestamp()) == wall


def test_a_night_of_the_schedule_is_an_hour_longer_in_autumn() -> None:
    begin = datetime.fromisoformat("2026-10-24 12:00").timestamp()
    nightly = parse_schedule("hour=1-6 minute=*/30").fires(begin, 15)
    assert [datetime.fromtimestamp(fire).strftime("%d %H") for fire in nightly].count("25 01") == 4
    assert datetime.fromtimestamp(nightly[-1]).isoformat(" ") == "2026-10-26 01:00:00"


def test_jitter_shifts_runs_and_not_the_fire_times_of_the_pace() -> None:
    schedule = parse_schedule("second=*/15 jitter=10")
    assert {schedule.next_fire(1000.0) for _ in range(20)} == {1005.0}
    assert schedule.smallest_gap() == 15
    runs = {schedule.next_run(1000.0) or 0.0 for _ in range(20)}
    assert len(runs) > 1
    assert all(1005 <= run <= 1015 for run in runs)
    assert schedule != parse_schedule("second=*/15")


def test_equal_texts_are_equal_schedules() -> None:
    assert parse_schedule("hour=1  minute=2") == parse_schedule("minute=2 hour=1")
    assert len({parse_schedule("hour=1"), parse_schedule("hour=1"), parse_schedule("hour=2")}) == 2
