"""The system clock is set, or the machine suspended: each is detected once, and distinguished.

The clocks are those of the test: a container cannot suspend its machine, and must not set its clock.
"""

import pytest

from pyrotorque.service.clock_step import ClockChange, ClockStepDetector

HOUR = 3600.0


class Machine:
    """Its three clocks (clock_gettime(2))."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.monotonic, self.boot = 1_800_000_000.0, 500.0, 700.0
        monkeypatch.setattr("time.time", lambda: self.wall)
        monkeypatch.setattr("time.monotonic", lambda: self.monotonic)
        self.detector = ClockStepDetector(lambda: self.boot)

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds
        self.boot += seconds

    def sleep(self, seconds: float) -> None:
        self.wall += seconds
        self.boot += seconds

    def change(self) -> ClockChange:
        return self.detector.change(self.wall, self.monotonic)


def seconds(change: ClockChange) -> tuple[float, float]:
    """By how much the clock was set, and how long the machine slept."""
    return change.set_by, change.slept


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.mark.parametrize("off", [0.0, 0.9, -0.9])
def test_a_clock_that_runs_is_no_change(machine: Machine, off: float) -> None:
    machine.run(60)
    machine.wall += off
    assert not machine.change()


@pytest.mark.parametrize("by", [HOUR, -100.0, 2.0])
def test_a_clock_that_is_set_is_detected_once(machine: Machine, by: float) -> None:
    machine.run(60)
    machine.wall += by
    assert seconds(machine.change()) == pytest.approx((by, 0))
    machine.run(1)
    assert not machine.change()


def test_a_suspended_machine_is_no_clock_that_was_set(machine: Machine) -> None:
    machine.run(60)
    machine.sleep(7 * HOUR)
    change = machine.change()
    assert seconds(change) == pytest.approx((0, 7 * HOUR))
    assert str(change) == "the machine was suspended for 7 h"
    assert not machine.change()


def test_a_clock_that_is_set_when_the_machine_wakes_up_is_both(machine: Machine) -> None:
    machine.sleep(HOUR)
    machine.wall -= 10
    change = machine.change()
    assert seconds(change) == pytest.approx((-10, HOUR))
    assert str(change) == "the machine was suspended for 1 h and the system clock was set back by 10 s"


def test_a_clock_that_is_slewed_is_no_change(machine: Machine) -> None:
    """NTP corrects by some 0.5 ms in a second, a smeared leap second by 12 µs."""
    for _ in range(5000):
        machine.run(1)
        machine.wall += 0.0005
        assert not machine.change()


@pytest.mark.parametrize("by", [1.0, -1.0])
def test_a_leap_second_is_no_change(machine: Machine, by: float) -> None:
    machine.run(60)
    machine.wall += by
    assert not machine.change()
