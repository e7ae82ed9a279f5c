"""A failed move is tried again after a pause that doubles, and each cause is reported once."""

from pathlib import Path

from pyrotorque.jobs.move_failures import MoveFailures, MoveRefused, about_of, stored_failures


def test_the_pause_doubles_up_to_an_hour_also_over_restarts(tmp_path: Path) -> None:
    now, pauses = 0.0, []
    for _ in range(9):
        MoveFailures(tmp_path).add("AA", "disk full", now)
        began = now
        while MoveFailures(tmp_path).is_waiting("AA", now):
            now += 30
        pauses.append(now - began)
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_a_cause_is_reported_once_and_another_one_again(tmp_path: Path) -> None:
    failures = MoveFailures(tmp_path)
    causes = ("exists", "exists", "disk full", "disk full", "exists")
    assert [failures.add("AA", cause, 0.0) for cause in causes] == [True, False, True, False, True]
    assert failures.add("BB", "exists", 0.0)


def test_numbers_that_change_by_themselves_are_no_new_cause(tmp_path: Path) -> None:
    failures = MoveFailures(tmp_path)
    for at, free in enumerate((20_000, 19_000, 18_500)):
        error = MoveRefused(f"/done has {free} bytes free, 90000 are needed", "full", about="/done is full")
        assert failures.add("AA", str(error), 0.0, about=about_of(error)) == (at == 0)
    assert stored_failures(tmp_path)["AA"].reason == "/done has 18500 bytes free, 90000 are needed"
    other = MoveRefused("/done/x exists already", "exists")
    assert failures.add("AA", str(other), 0.0, about=about_of(other))


def test_a_move_that_succeeded_starts_from_the_beginning(tmp_path: Path) -> None:
    failures = MoveFailures(tmp_path)
    failures.add("AA", "exists", 0.0)
    assert failures.remove("AA")
    assert not failures.remove("AA")
    assert not MoveFailures(tmp_path).is_waiting("AA", 0.0)
    assert failures.add("AA", "exists", 0.0)


def test_neither_a_damaged_file_nor_a_clock_that_was_set_back_delays_a_move(tmp_path: Path) -> None:
    MoveFailures(tmp_path).add("AA", "exists", 1e9)
    assert not MoveFailures(tmp_path).is_waiting("AA", 1000.0)
    (tmp_path / "failures").write_bytes(b"{")
    assert not MoveFailures(tmp_path).is_waiting("AA", 1e9)


def test_failures_of_items_that_are_no_longer_to_be_moved_are_forgotten(tmp_path: Path) -> None:
    failures = MoveFailures(tmp_path)
    for info_hash in ("AA", "BB"):
        failures.add(info_hash, "exists", 0.0, name="n", target="/done")
    failures.retain(["BB", "CC"])
    assert stored_failures(tmp_path).keys() == {"BB"}
