"""Which files items share, and what their removal frees, by inode."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pyrotorque.housekeeping.claims import Claims, claims_of
from pyrotorque.housekeeping.item_files import ItemContent
from pyrotorque.housekeeping.session_items import ContentFile


def item(folder: Path, name: str, *files: str, size: int = 8192, owner: str = "") -> ItemContent:
    for file in files:
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(os.urandom(size))
    content = tuple(ContentFile(file.encode(), size) for file in files)
    return ItemContent(name.upper(), name, os.fsencode(folder / name), content, owner=owner)


def freed(folder: Path, claims: Claims, *keys: str) -> int:
    """What really becomes free when the files of these items are unlinked."""
    used = {(each.found.inode, each.found.occupied) for files in claims.files.values() for each in files if each.found}
    for key in keys:
        for each in claims.files[key]:
            if not claims.holders[each.found.inode] - set(keys):  # type: ignore[union-attr]
                Path(os.fsdecode(each.path)).unlink(missing_ok=True)
    left = {path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
    return sum(occupied for inode, occupied in used if inode.number not in left)


def test_two_items_with_one_path_are_one_name(tmp_path: Path) -> None:
    one = item(tmp_path, "A", "x", "y")
    claims = claims_of([one, ItemContent("B", "B", one.directory, one.files)])
    assert claims.sharing("A") == {"B"}
    assert claims.outside_links("A") == 0
    assert claims.frees(["A"]) == 0
    assert claims.frees(["A", "B"]) == 16_384


def test_a_linked_folder_is_the_same_path(tmp_path: Path) -> None:
    one = item(tmp_path, "A", "x")
    (tmp_path / "link").symlink_to(tmp_path / "A")
    claims = claims_of([one, ItemContent("B", "B", os.fsencode(tmp_path / "link"), one.files)])
    assert claims.shared_files("A") == {one.path(one.files[0]): frozenset("B")}
    assert claims.outside_links("A") == 0, "the folder behind the link is the same"


@pytest.mark.parametrize("outside", [False, True])
def test_hard_links(tmp_path: Path, outside: bool) -> None:
    one = item(tmp_path, "A", "x")
    (tmp_path / "B").mkdir()
    os.link(tmp_path / "A/x", tmp_path / "B/x")
    if outside:
        os.link(tmp_path / "A/x", tmp_path / "elsewhere")
    claims = claims_of([one, item(tmp_path, "B", "x")])
    assert claims.sharing("A") == {"B"}
    assert claims.outside_links("A") == int(outside)
    expected = 0 if outside else 8192
    assert (claims.frees(["A"]), claims.frees(["A", "B"])) == (0, expected)
    assert freed(tmp_path, claims, "A", "B") == expected


def test_a_sparse_file_frees_what_it_occupies(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    with open(tmp_path / "A/x", "wb") as file:
        file.truncate(1 << 20)
    assert claims_of([item(tmp_path, "A", "x", size=1 << 20)]).frees(["A"]) == 0


def test_missing_files_of_the_same_name_and_size_may_be_the_same(tmp_path: Path) -> None:
    one = item(tmp_path, "A", "x")
    lost = ItemContent("B", "B", os.fsencode(tmp_path / "not mounted"), one.files)
    assert claims_of([one, lost]).possibly_sharing("A") == {"B"}


def test_what_cannot_be_examined_is_a_problem_and_not_missing(tmp_path: Path) -> None:
    def refuse(path: bytes) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    (each,) = claims_of([item(tmp_path, "A", "x")], refuse).files["A"]
    assert (each.found, each.problem) == (None, "Permission denied")


def test_an_item_of_another_client_with_the_same_hash_is_another_one(tmp_path: Path) -> None:
    one = item(tmp_path, "A", "x")
    claims = claims_of([one, item(tmp_path, "A", "x", owner="other client 1")])
    assert claims.sharing("A") == {"other client 1:A"}


def test_a_union_filesystem_has_other_inodes_for_the_same_file(tmp_path: Path) -> None:
    """A fake look, because no such filesystem is mounted here: the second item sees the file with another device."""

    def look(path: bytes) -> os.stat_result:
        found = os.stat(path)
        if b"/B/" not in path:
            return found
        names = ("st_mode", "st_ino", "st_size", "st_nlink", "st_blocks", "st_mtime_ns")
        other = SimpleNamespace(st_dev=found.st_dev + 1, **{name: getattr(found, name) for name in names})
        return cast(os.stat_result, other)

    one = item(tmp_path, "A", "x")
    (tmp_path / "B").symlink_to(tmp_path / "A")
    claims = claims_of([one, ItemContent("B", "B", os.fsencode(tmp_path / "B"), one.files)], look)
    assert claims.sharing("A") == set()
    assert claims.possibly_sharing("A") == {"B"}
