"""Paths of one folder in several spellings, as on disks that ignore case, and folders that only look like that."""

import os
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.linux.name_forms import is_one, same_spelling


@pytest.fixture
def without_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A disk that ignores case: it shows names as they were made, each spelling is a file of its own inode (FUSE)."""
    lstat = os.lstat

    def found(path: Any) -> os.stat_result:
        real = os.fsdecode(path)
        if not real.startswith(str(tmp_path)):
            return lstat(path)
        here = tmp_path
        for part in Path(real).relative_to(tmp_path).parts:
            here = next((each for each in here.iterdir() if each.name.lower() == part.lower()), here / part)
        values = list(lstat(here))
        values[1] = hash(real) % 10**9
        times = {"st_mtime_ns": lstat(here).st_mtime_ns}
        return os.stat_result(values, times)

    (tmp_path / "Downloads/Some Name/sub").mkdir(parents=True)
    (tmp_path / "Downloads/Some Name/a").write_bytes(b"a")
    monkeypatch.setattr(os, "lstat", found)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Downloads/SOME NAME", "Downloads/Some Name"),
        ("downloads/some name/SUB", "Downloads/Some Name/SUB"),
        ("DOWNLOADS", "Downloads"),
        ("Downloads/Some Name/a", "Downloads/Some Name/a"),
        ("Downloads/Other", "Downloads/Other"),
        ("missing/Some Name", "missing/Some Name"),
    ],
)
def test_a_path_gets_the_spelling_of_the_model(without_case: Path, path: str, expected: str) -> None:
    found = same_spelling(bytes(without_case / path), bytes(without_case / "Downloads/Some Name"))
    assert found == bytes(without_case / expected)


def test_two_folders_that_differ_in_case_are_two(tmp_path: Path) -> None:
    for name in ("Some Name", "SOME NAME"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    first, second = bytes(tmp_path / "Some Name"), bytes(tmp_path / "SOME NAME")
    assert not is_one(first, second)
    assert same_spelling(second, first) == second


def test_two_hard_links_are_two_names(tmp_path: Path) -> None:
    (tmp_path / "Film.mkv").write_bytes(b"a")
    os.link(tmp_path / "Film.mkv", tmp_path / "film.mkv")
    assert not is_one(bytes(tmp_path / "Film.mkv"), bytes(tmp_path / "film.mkv"))


def test_the_form_of_characters_counts_as_spelling(tmp_path: Path) -> None:
    composed, decomposed = (tmp_path / name for name in ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\u0301"))
    composed.mkdir()
    decomposed.mkdir()
    assert same_spelling(bytes(decomposed), bytes(composed)) == bytes(decomposed)
