"""The clock of housekeeping advances only by time that has really passed."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyrotorque.housekeeping.activity import Activity, write_activity
from pyrotorque.housekeeping.own_clock import FILE, OwnClock


@dataclass
class Machine:
    """A system clock, a boot, and for how long it was awake, that a test sets."""

    folder: Path
    wall: float = 1_000_000.0
    boot: str = "first"
    awake: float = 50.0

    machine: str = "one"

    @property
    def clock(self) -> OwnClock:
        return OwnClock(self.folder, lambda: self.wall, lambda: self.boot, lambda: self.awake, lambda: self.machine)


def test_it_begins_with_the_system_clock_and_follows_the_time_awake(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.clock.store() == 1_000_000.0
    machine.awake += 60
    assert machine.clock.now() == 1_000_060.0


def test_no_setting_of_the_system_clock_moves_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.clock.store()
    for wall in (0.0, 5e9):
        machine.wall, machine.awake = wall, machine.awake + 10
        machine.clock.store()
    assert machine.clock.now() == 1_000_020.0
    assert machine.clock.shown(1_000_080.0) == 5e9 + 60, "when that will be, as the system counts"


def test_after_a_boot_only_the_time_since_then_has_passed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.clock.store()
    machine.boot, machine.awake, machine.wall = "second", 5.0, 9e9
    assert machine.clock.now() == 1_000_005.0
    machine.clock.store()
    machine.awake = 8.0
    assert machine.clock.now() == 1_000_008.0


def test_where_no_boot_is_known_no_time_passes(tmp_path: Path) -> None:
    machine = Machine(tmp_path, boot="")
    machine.clock.store()
    machine.awake += 1e6
    assert machine.clock.now() == 1_000_000.0


@pytest.mark.parametrize("damaged", [True, False])
def test_a_lost_file_continues_at_the_last_reading_of_the_items(tmp_path: Path, damaged: bool) -> None:
    machine = Machine(tmp_path)
    if damaged:
        (tmp_path / FILE).write_text("{")
    assert machine.clock.now() == 1_000_000.0, "nothing else is known"
    write_activity(tmp_path, Activity(at=900_000.0))
    machine.wall = 9e9
    assert machine.clock.store() == 900_000.0
    machine.awake += 5
    assert machine.clock.now() == 900_005.0


def test_the_uptime_of_another_machine_does_not_count(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.clock.store()
    machine.boot, machine.awake, machine.wall, machine.machine = "of a server", 2e7, 1_086_400.0, "other"
    assert machine.clock.now() == 1_000_000.0
    machine.clock.store()
    machine.awake += 60
    assert machine.clock.now() == 1_000_060.0


def test_a_state_of_earlier_does_not_make_all_of_the_uptime_count(tmp_path: Path) -> None:
    """An older clock file comes back, of a boot that another one followed."""
    machine = Machine(tmp_path)
    machine.clock.store()
    machine.boot, machine.awake, machine.wall = "second", 2e7, 1_086_400.0
    assert machine.clock.now() == 1_086_400.0, "the system's clock has only seen a day"


def test_the_fields_of_a_file_of_before_are_not_needed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (tmp_path / FILE).write_text('{"time":1000000.0,"boot":"zero","uptime":5.0}')
    assert machine.clock.now() == 1_000_050.0
    (tmp_path / FILE).write_text('{"time":1000000.0,"boot":"first","uptime":5.0,"wall":1000000.0,"machine":"one"}')
    assert machine.clock.store() == 1_000_000.0, "how long it was awake since then is not known"
    machine.awake += 60
    assert machine.clock.now() == 1_000_060.0


def test_time_in_suspension_does_not_count() -> None:
    """CLOCK_MONOTONIC stands still then, CLOCK_BOOTTIME does not (clock_gettime(2))."""
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    assert began <= OwnClock(Path("/absent")).awake() <= time.clock_gettime(time.CLOCK_MONOTONIC)
