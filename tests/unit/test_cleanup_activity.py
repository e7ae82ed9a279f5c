"""Seed time and idleness count only what two readings prove."""

from dataclasses import replace
from pathlib import Path

import pytest

from pyrotorque.housekeeping.activity import Activity, activity_fields, read_activity, sampled, write_activity
from pyrotorque.housekeeping.inventory import LiveItem
from pyrotorque.housekeeping.own_clock import OwnClock

SEEDING = LiveItem("A", "a", "/d", True, True, True, True, True, False, 100, 50, 1000.0, 900.0, 3)


def counted(*readings: tuple[float, LiveItem], incarnations: str = "") -> Activity:
    found = Activity()
    for number, (now, item) in enumerate(readings):
        found = sampled(found, {"A": item}, incarnations[number : number + 1] or "p", now)
    return found


def test_nothing_is_counted_before_the_first_reading() -> None:
    found = counted((5000.0, SEEDING))
    assert (found.seeded("A"), found.idle("A")) == (0.0, None)


def test_the_time_between_two_readings_counts_while_the_item_is_active() -> None:
    assert counted((5000.0, SEEDING), (5600.0, SEEDING)).seeded("A") == 600.0


def test_a_stop_in_between_does_not_count() -> None:
    restarted = replace(SEEDING, changed=5500.0)
    assert counted((5000.0, SEEDING), (5600.0, restarted)).seeded("A") == 100.0
    stopped = replace(SEEDING, active=False, changed=5500.0)
    assert counted((5000.0, SEEDING), (5600.0, stopped)).seeded("A") == 0.0
    assert counted((5000.0, stopped), (5600.0, SEEDING)).seeded("A") == 0.0


def test_a_download_does_not_count() -> None:
    assert counted((5000.0, replace(SEEDING, complete=False)), (5600.0, SEEDING)).seeded("A") == 0.0
    assert counted((5000.0, SEEDING), (5600.0, replace(SEEDING, hashing=True))).seeded("A") == 0.0


def test_a_restart_of_rtorrent_counts_from_its_start() -> None:
    again = replace(SEEDING, changed=5550.0, loaded=5550.0, uploaded=90)
    assert counted((5000.0, SEEDING), (5600.0, again), incarnations="pq").seeded("A") == 50.0


def test_an_item_that_was_erased_and_loaded_again_begins_at_zero() -> None:
    before = (5000.0, SEEDING), (5600.0, SEEDING)
    assert counted(*before, (6000.0, replace(SEEDING, loaded=5700.0))).seeded("A") == 0.0
    assert counted(*before, (6000.0, replace(SEEDING, uploaded=0))).seeded("A") == 0.0
    assert sampled(counted(*before), {}, "p", 6000.0).seeded("A") is None


def test_a_clock_that_was_set_back_counts_nothing() -> None:
    assert counted((5000.0, SEEDING), (4000.0, SEEDING)).seeded("A") == 0.0


def test_idle_since_the_last_transfer() -> None:
    more = replace(SEEDING, uploaded=101)
    assert counted((5000.0, SEEDING), (5600.0, SEEDING)).idle("A") == 600.0
    assert counted((5000.0, SEEDING), (5600.0, more), (5700.0, more)).idle("A") == 100.0
    fewer = replace(SEEDING, done=40)
    assert counted((5000.0, SEEDING), (5600.0, fewer)).idle("A") == 600.0, "a damaged chunk is no transfer"


def test_the_fields_read_what_is_stored(tmp_path: Path) -> None:
    fields = activity_fields(tmp_path)
    assert fields["seeded"].read({"d.hash=": "A"}) is None
    OwnClock(tmp_path, wall=lambda: 6000.0).store()
    write_activity(tmp_path, counted((5000.0, SEEDING), (5600.0, SEEDING)))
    assert read_activity(tmp_path).incarnation == "p"
    fields = activity_fields(tmp_path)
    assert fields["seeded"].read({"d.hash=": "A"}) == 600.0
    assert fields["idle"].read({"d.hash=": "A"}) == pytest.approx(1000.0, abs=60)
    assert fields["idle"].read({"d.hash=": "B"}) is None


def test_a_clock_that_was_set_forward_counts_what_has_really_passed() -> None:
    before = sampled(Activity(), {"A": SEEDING}, "p", 5000.0, 5000.0)
    later = sampled(before, {"A": SEEDING}, "p", 5060.0, 5000.0 + 30 * 86_400)
    assert (later.seeded("A"), later.idle("A")) == (60.0, 60.0)
