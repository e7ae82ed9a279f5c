"""Which guard files a group has, and that nothing creates one which its owner removes at that moment."""

from dataclasses import replace
from pathlib import Path

import pytest

from pyrotorque import guard_file
from pyrotorque.guard_file import GuardFiles, GuardState
from pyrotorque.layout import Layout
from pyrotorque.linux import missing


@pytest.fixture
def elsewhere(layout: Layout, tmp_path: Path) -> Layout:
    """With a run folder elsewhere, where 1.0.0 had the guard file."""
    found = replace(layout, run_dir=tmp_path / "run")
    found.run_dir.mkdir()
    return found


def test_a_file_that_is_removed_while_the_guardian_starts_stops_the_group(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner removes it right after it was seen, or else after all."""
    layout.guard_file.touch()
    removed: list[Path] = []
    look = missing.is_missing

    def remove_after(path: Path) -> bool:
        found = look(path)
        if not removed:
            removed.append(path)
            path.unlink()
        return found

    monkeypatch.setattr(guard_file, "is_missing", remove_after)
    files = GuardFiles.of(layout, layout.guard_file)
    monkeypatch.undo()
    if not removed:
        layout.guard_file.unlink()
    assert files.state(()) is GuardState.REMOVED


def test_the_file_of_1_0_0_is_adopted(elsewhere: Layout) -> None:
    elsewhere.earlier_guard_file.touch()
    files = GuardFiles.of(elsewhere, elsewhere.guard_file)
    assert files.files == (elsewhere.guard_file, elsewhere.earlier_guard_file)
    assert files.state(()) is GuardState.KEPT
    elsewhere.earlier_guard_file.unlink()
    assert files.state(()) is GuardState.REMOVED


def test_nothing_is_created_without_a_file(elsewhere: Layout) -> None:
    files = GuardFiles.of(elsewhere, elsewhere.guard_file)
    assert not elsewhere.guard_file.exists()
    assert files.state(()) is GuardState.REMOVED


def test_a_file_of_the_owners_choice_is_the_only_one(elsewhere: Layout, tmp_path: Path) -> None:
    elsewhere.earlier_guard_file.touch()
    assert GuardFiles.of(elsewhere, tmp_path / "mine").files == (tmp_path / "mine",)
    assert not elsewhere.guard_file.exists()
