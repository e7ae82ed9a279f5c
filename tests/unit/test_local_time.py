"""One notion of local time, that of the C library, for schedules, hours, conditions, texts and logs."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pyrotorque.conditions.dates import parse_date
from pyrotorque.configuration import read
from pyrotorque.hours import parse_hours
from pyrotorque.humanize import date_time
from pyrotorque.local_time import (
    local_datetime,
    offset_problem,
    zone_problem,
    zone_text,
    zone_without_leap_seconds,
)
from pyrotorque.options import Options
from pyrotorque.schedule import parse_schedule
from pyrotorque.settings import SettingsProblems
from pyrotorque.templates.functions import iso
from tests.programs import REPOSITORY

SetZone = Callable[[str], None]
BERLIN_RULE = "CET-1CEST,M3.5.0,M10.5.0/3"
NOVEMBER = datetime(2026, 11, 27, 12, tzinfo=ZoneInfo("UTC")).timestamp()


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[SetZone]:
    """Sets `TZ` in this process."""

    def chosen(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield chosen
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Berlin",
        "Europe/Dublin",
        "America/Santiago",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Kathmandu",
    ],
)
def test_it_is_that_of_the_zone_in_each_hour_of_three_years(zone: SetZone, name: str) -> None:
    zone(name)
    known = ZoneInfo(name)
    start = datetime(2025, 1, 1).timestamp()
    for hour in range(3 * 366 * 24):
        at = start + 3600.0 * hour + 1799.5
        ours, theirs = local_datetime(at), datetime.fromtimestamp(at, known)
        assert (ours, ours.fold) == (theirs.replace(tzinfo=None), theirs.fold), at
        assert ours.timestamp() == at
    wall = datetime(2025, 1, 1, 0, 30)
    for hour in range(366 * 24):
        for fold in (0, 1):
            local = (wall + timedelta(hours=hour)).replace(fold=fold)
            assert local.timestamp() == local.replace(tzinfo=known).timestamp(), local


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        (BERLIN_RULE, 1),
        (":Europe/Berlin", 1),
        ("/usr/share/zoneinfo/Asia/Tokyo", 9),
        ("<-0330>3:30", -3.5),
        ("JST-9", 9),
        ("Etc/GMT+5", -5),
        ("nonsense", 0),
        ("Europe", 0),
        ("", 0),
        ("../../etc/passwd", 0),
        ("CET-1CEST,M3.5.0", 1),
    ],
)
def test_everything_agrees_with_the_c_library(zone: SetZone, name: str, offset: float) -> None:
    zone(name)
    printed = subprocess.run(
        ["date", "-d", f"@{NOVEMBER:.0f}", "+%Y-%m-%d %H:%M:%S"], capture_output=True, text=True, check=True
    ).stdout.strip()
    local = local_datetime(NOVEMBER)
    assert local == datetime(2026, 11, 27, 12) + timedelta(hours=offset)
    assert printed == str(local) == date_time(NOVEMBER) == iso(NOVEMBER)
    assert parse_date(printed) == NOVEMBER
    schedule = parse_schedule(f"hour={local.hour} minute={local.minute}")
    assert schedule.next_fire(NOVEMBER - 1) == NOVEMBER
    assert parse_hours(f"{local:%H:%M}-{local + timedelta(minutes=1):%H:%M}").opens(NOVEMBER - 3600) == NOVEMBER


def test_a_rule_has_a_summer_time_for_schedule_and_hours(zone: SetZone) -> None:
    zone(BERLIN_RULE)
    assert [zone_text(NOVEMBER), zone_text(NOVEMBER - 150 * 86_400)] == ["CET (+01:00)", "CEST (+02:00)"]
    # In the night of 25 October, 2:30 occurs twice.
    fires = parse_schedule("day=25 month=10 hour=2 minute=30 second=0").fires(NOVEMBER - 60 * 86_400, 3)
    assert [date_time(fire) for fire in fires[:2]] == ["2026-10-25 02:30:00"] * 2
    assert [parse_hours("2:30-2:31").contain(fire) for fire in fires[:2]] == [True, True]


def test_only_one_module_converts_to_local_time() -> None:
    forbidden = re.compile(
        r"fromtimestamp|time\.localtime|time\.strftime|mktime|tzlocal|zoneinfo import|datetime\.now|ctime\("
    )
    found = {
        f"{path.relative_to(REPOSITORY)}:{number}"
        for folder in ("services", "shared")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if forbidden.search(line) and "fromtimestamp(at, UTC)" not in line
    }
    allowed = {"shared/pyrotorque/local_time.py", "shared/pyrotorque/schedule.py"}
    assert {place.partition(":")[0] for place in found} <= allowed, found


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", ":Europe/Berlin", "UTC", "", BERLIN_RULE, "EST5EDT", "<+03>-3", "/etc/localtime"]
)
def test_a_zone_that_exists_is_no_problem(name: str) -> None:
    assert not zone_problem({"TZ": name})


@pytest.mark.parametrize("name", ["Europe/Berln", "Europe", "nonsense", "/etc", ":nowhere", "a\udcff"])
def test_a_zone_that_does_not_exist_is_named_with_the_cure(name: str) -> None:
    found = zone_problem({"TZ": name})
    assert repr(name) in found
    assert "so local time is UTC: correct its name, write a rule such as CET-1CEST,M3.5.0,M10.5.0/3" in found


@pytest.mark.parametrize("rule", ["CET-25", "CET-24", "AAA+24:59:59", "XXX-1YYY-24", "XXX-23:30YYY"])
def test_a_zone_that_is_a_day_away_is_named_before_anything_is_computed(
    zone: SetZone, rule: str, tmp_path: Path
) -> None:
    (tmp_path / "torque.ini").write_text(
        "[TORQUE]\nscgi_url = scgi:///nowhere/rt.sock\njob.queue.active = True\njob.queue.schedule = second=*/5\n"
    )
    zone(rule)
    with pytest.raises(SettingsProblems) as caught:
        read(tmp_path, Options())
    assert f"TZ={rule!r} of the environment is a day or more away from UTC" in str(caught.value)


@pytest.mark.parametrize("rule", ["<+14>-14", "<-12>12", "XXX-23:59", "EST5EDT", "XXX+22:30YYY"])
def test_a_zone_within_a_day_is_used(zone: SetZone, rule: str) -> None:
    zone(rule)
    assert offset_problem() == ""
    assert parse_schedule("second=*/1").fires(NOVEMBER, 1) == [NOVEMBER + 1]


def test_missing_zones_are_a_problem(tmp_path: Path) -> None:
    assert "install the package tzdata" in zone_problem({"TZ": "Europe/Berlin", "TZDIR": str(tmp_path)})


@pytest.mark.skipif(not Path("/usr/share/zoneinfo/right").is_dir(), reason="this machine has no such zones")
@pytest.mark.parametrize(
    ("name", "offset"),
    [("right/Europe/Berlin", 3600), (":right/UTC", 0), ("/usr/share/zoneinfo/right/Asia/Kolkata", 19800)],
)
def test_a_zone_that_counts_leap_seconds_is_replaced(zone: SetZone, name: str, offset: int) -> None:
    zone(name)
    assert time.gmtime(NOVEMBER).tm_sec != 0
    zone(zone_without_leap_seconds({"TZ": name}))
    assert zone_problem() == ""
    assert (time.gmtime(NOVEMBER).tm_sec, time.localtime(NOVEMBER).tm_gmtoff) == (0, offset)
    every_second = parse_schedule("second=*/1")
    assert every_second.fires(NOVEMBER, 3) == [NOVEMBER + 1, NOVEMBER + 2, NOVEMBER + 3]


def test_of_an_unknown_zone_the_offset_is_kept(zone: SetZone, tmp_path: Path) -> None:
    zone("<XYZ>-05:30")
    zone(zone_without_leap_seconds({"TZ": str(tmp_path / "copy")}))
    assert zone_text(NOVEMBER) == "LOC (+05:30)"
    zone("<XYZ>+03:00")
    zone(zone_without_leap_seconds({"TZ": str(tmp_path / "copy")}))
    assert zone_text(NOVEMBER) == "LOC (-03:00)"
