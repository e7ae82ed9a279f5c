"""A seal is valid in the group that made it, and in no other."""

import os
from pathlib import Path

import pytest

from pyrotorque.housekeeping.entry_seals import EntrySeals


def test_a_seal_is_that_of_its_group(tmp_path: Path) -> None:
    seal = EntrySeals(tmp_path / "one").new()
    assert EntrySeals(tmp_path / "one").is_valid(seal)
    assert not EntrySeals(tmp_path / "two").is_valid(seal)
    assert EntrySeals(tmp_path / "one").new() != seal
    assert (tmp_path / "one" / "quarantine.key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "one") == ["quarantine.key"]


@pytest.mark.parametrize("seal", ["", ":", "a" * 64, "a" * 64 + ":" + "b" * 64, "\u00e9:\u00e9"])
def test_what_is_no_seal(tmp_path: Path, seal: str) -> None:
    assert not EntrySeals(tmp_path).is_valid(seal)
