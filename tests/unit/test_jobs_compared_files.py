"""A compared file counts as copied only while nothing has changed in it, whatever its size and time say."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrotorque.jobs import tree_copy
from pyrotorque.jobs.compared_files import ComparedFiles, remove_records
from pyrotorque.jobs.tree_comparison import is_copied
from pyrotorque.jobs.tree_copy import CopyHooks, copy_tree
from pyrotorque.jobs.tree_places import place_of
from pyrotorque.jobs.tree_removal import remove_copied

SIZE = 40_000


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data that has not changed for long."""
    path = tmp_path / "source/Name"
    (path / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (path / name).write_bytes(os.urandom(SIZE))
    (path / "link").symlink_to("a")
    later = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: later)
    return path


def keeping_times(path: Path, change: Callable[[Path], object]) -> None:
    found = path.stat()
    change(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(SIZE))


def replace(path: Path) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(os.urandom(SIZE))
    fresh.replace(path)


def patch_one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    rewrite(path)
    path.write_bytes(content)


CHANGES = pytest.mark.parametrize("change", [rewrite, replace, patch_one_byte])


def ignored(_: int) -> None:
    """The progress of a copy."""


def private(path: Path) -> None:
    path.chmod(0o600)


def link(path: Path) -> None:
    os.link(path, path.with_name("x"))


def copied(source: Path, records: Path | None, *, folder: Path) -> ComparedFiles:
    compared = ComparedFiles(records, "A")
    folder.mkdir(exist_ok=True)
    with place_of(source) as at, place_of(folder / "Name") as to:
        copy_tree(at, to, CopyHooks(lambda: None, ignored, compared))
        assert is_copied(at, to, compared)
    return compared


@CHANGES
def test_a_file_that_was_rewritten_with_equal_size_and_time_is_not_copied(
    source: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    compared = copied(source, None, folder=tmp_path / "target")
    keeping_times(source / "sub/b", change)
    with place_of(source) as at, place_of(tmp_path / "target/Name") as to:
        assert not is_copied(at, to, compared)
        kept = remove_copied(at, to, compared).kept
    assert source / "sub/b" in kept
    assert (source / "sub/b").stat().st_size == SIZE
    assert not (source / "a").exists(), "this one is copied"


@CHANGES
def test_the_next_run_copies_it_again(source: Path, tmp_path: Path, change: Callable[[Path], object]) -> None:
    copied(source, tmp_path, folder=tmp_path / "target")
    keeping_times(source / "sub/b", change)
    copied(source, tmp_path, folder=tmp_path / "target")
    assert (tmp_path / "target/Name/sub/b").read_bytes() == (source / "sub/b").read_bytes()


def test_what_was_compared_is_known_in_the_next_run(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(source, tmp_path, folder=tmp_path / "target")

    def fail(*_: object) -> bool:
        raise AssertionError("compared again")

    monkeypatch.setattr(tree_copy, "is_equal", fail)
    copied(source, tmp_path, folder=tmp_path / "target")
    (tmp_path / "A.compared").write_bytes(b"torn line\n6e 1 2\n\0\0")
    with pytest.raises(AssertionError, match="compared again"):
        copied(source, tmp_path, folder=tmp_path / "target")
    remove_records(tmp_path, {"A"})
    assert (tmp_path / "A.compared").exists()
    remove_records(tmp_path, frozenset())
    assert not (tmp_path / "A.compared").exists()


@pytest.mark.parametrize("change", [private, link])
def test_a_change_that_is_none_of_the_content_only_costs_a_comparison(
    source: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    compared = copied(source, None, folder=tmp_path / "target")
    change(source / "a")
    (source / "x").unlink(missing_ok=True)
    with place_of(source) as at, place_of(tmp_path / "target/Name") as to:
        assert is_copied(at, to, compared)
        assert remove_copied(at, to, compared) == ([], [])
    assert not source.exists()


def test_a_file_that_was_just_written_is_compared_again(tmp_path: Path) -> None:
    """The kernel's times advance in steps: a second change within one is not seen in them."""
    source = tmp_path / "source/Name"
    source.mkdir(parents=True)
    (source / "a").write_bytes(os.urandom(SIZE))
    compared = copied(source, None, folder=tmp_path / "target")
    assert not compared.has(source / "a", (source / "a").stat())


def test_a_link_that_leads_elsewhere_now_is_copied_again(source: Path, tmp_path: Path) -> None:
    compared = copied(source, None, folder=tmp_path / "target")
    (source / "link").unlink()
    (source / "link").symlink_to("sub/b")
    with place_of(source) as at, place_of(tmp_path / "target/Name") as to:
        assert not is_copied(at, to, compared)
    copied(source, None, folder=tmp_path / "target")
    assert os.readlink(tmp_path / "target/Name/link") == "sub/b"


def test_a_large_file_that_was_just_written_settles_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its item is stopped while small files are compared again, but not as long as that takes for a large one."""
    monkeypatch.setattr(tree_copy, "SMALL", SIZE - 1)
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    source = tmp_path / "source/Name"
    source.mkdir(parents=True)
    (source / "a").write_bytes(os.urandom(SIZE))
    compared = copied(source, None, folder=tmp_path / "target")
    assert compared.has(source / "a", (source / "a").stat())
    assert [0 < each <= 2 for each in slept] == [True]
