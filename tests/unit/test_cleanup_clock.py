"""The clock of housekeeping advances only by time that has really passed."""

from dataclasses import dataclass
from pathlib import Path

from pyrotorque.housekeeping.own_clock import FILE, OwnClock


@dataclass
class Machine:
    """A system clock, a boot and an uptime that a test sets."""

    folder: Path
    wall: float = 1_000_000.0
    boot: str = "first"
    uptime: float = 50.0

    @property
    def clock(self) -> OwnClock:
        return OwnClock(self.folder, lambda: self.wall, lambda: self.boot, lambda: self.uptime)


def test_it_begins_with_the_system_clock_and_follows_the_uptime(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.clock.store() == 1_000_000.0
    machine.uptime += 60
    assert machine.clock.now() == 1_000_060.0


def test_no_setting_of_the_system_clock_moves_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.clock.store()
    for wall in (0.0, 5e9):
        machine.wall, machine.uptime = wall, machine.uptime + 10
        machine.clock.store()
    assert machine.clock.now() == 1_000_020.0
    assert machine.clock.shown(1_000_080.0) == 5e9 + 60, "when that will be, as the system counts"


def test_after_a_boot_only_the_time_since_then_has_passed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.clock.store()
    machine.boot, machine.uptime, machine.wall = "second", 5.0, 9e9
    assert machine.clock.now() == 1_000_005.0
    machine.clock.store()
    machine.uptime = 8.0
    assert machine.clock.now() == 1_000_008.0


def test_where_no_boot_is_known_no_time_passes(tmp_path: Path) -> None:
    machine = Machine(tmp_path, boot="")
    machine.clock.store()
    machine.uptime += 1e6
    assert machine.clock.now() == 1_000_000.0


def test_a_damaged_file_begins_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (tmp_path / FILE).write_text("{")
    assert machine.clock.store() == 1_000_000.0
