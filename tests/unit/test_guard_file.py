"""Which guard files a group has, and that nothing creates one which its owner removes at that moment."""

from dataclasses import replace
from pathlib import Path

import pytest

from pyrotorque.guard_file import GuardFiles, GuardState, adopted
from pyrotorque.layout import Layout
from pyrotorque.linux.foreign_links import open_file


@pytest.fixture
def elsewhere(layout: Layout, tmp_path: Path) -> Layout:
    """With a run folder elsewhere, where 1.0.0 had the guard file."""
    found = replace(layout, run_dir=tmp_path / "run")
    found.run_dir.mkdir()
    return found


@pytest.mark.parametrize("removed", ["the only one", "the new one", "that of 1.0.0"])
def test_a_guardian_that_starts_puts_back_no_file_that_is_missing_alone(elsewhere: Layout, removed: str) -> None:
    """Removed while it starts, or while no guardian runs."""
    elsewhere.guard_file.touch()
    if removed != "the only one":
        elsewhere.earlier_guard_file.touch()
    recorded = adopted(elsewhere, elsewhere.guard_file)
    recorded[removed == "that of 1.0.0"].unlink()
    files = GuardFiles.of(elsewhere, recorded)
    assert files.state(()) is GuardState.REMOVED


def test_the_file_of_1_0_0_is_adopted(elsewhere: Layout) -> None:
    elsewhere.earlier_guard_file.touch()
    files = GuardFiles(adopted(elsewhere, elsewhere.guard_file))
    assert files.files == (elsewhere.guard_file, elsewhere.earlier_guard_file)
    assert files.state(()) is GuardState.KEPT
    elsewhere.earlier_guard_file.unlink()
    assert files.state(()) is GuardState.REMOVED


def test_a_group_that_1_0_0_started_is_adopted_by_its_next_guardian(elsewhere: Layout) -> None:
    elsewhere.earlier_guard_file.touch()
    files = GuardFiles.of(elsewhere, (elsewhere.earlier_guard_file,))
    assert files.files == (elsewhere.guard_file, elsewhere.earlier_guard_file)
    assert files.state(()) is GuardState.KEPT


def test_a_file_of_1_0_0_that_is_removed_while_it_is_adopted_leaves_none(
    elsewhere: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.earlier_guard_file.touch()

    def open_late(path: Path, flags: int) -> int:
        elsewhere.earlier_guard_file.unlink()
        return open_file(path, flags)

    monkeypatch.setattr("pyrotorque.guard_file.open_file", open_late)
    files = GuardFiles(adopted(elsewhere, elsewhere.guard_file))
    assert files.state(()) is GuardState.REMOVED
    assert not elsewhere.guard_file.exists()


def test_nothing_is_created_without_a_file(elsewhere: Layout) -> None:
    files = GuardFiles(adopted(elsewhere, elsewhere.guard_file))
    assert not elsewhere.guard_file.exists()
    assert files.state(()) is GuardState.REMOVED


def test_a_file_of_the_owners_choice_is_the_only_one(elsewhere: Layout, tmp_path: Path) -> None:
    elsewhere.earlier_guard_file.touch()
    assert adopted(elsewhere, tmp_path / "mine") == (tmp_path / "mine",)
    assert not elsewhere.guard_file.exists()


def test_swept_files_are_put_back_in_each_folder(elsewhere: Layout) -> None:
    """A guardian that is restarted later asks for each file that was recorded."""
    elsewhere.earlier_guard_file.touch()
    files = GuardFiles(adopted(elsewhere, elsewhere.guard_file))
    elsewhere.earlier_guard_file.unlink()
    elsewhere.run_dir.rmdir()
    assert files.state(()) is GuardState.SWEPT
    files.restore()
    assert GuardFiles.of(elsewhere, files.files).state(()) is GuardState.KEPT
