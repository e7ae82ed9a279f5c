"""Which files items share, and what their removal frees, by inode."""

import os
import random
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pyrotorque.housekeeping import spellings
from pyrotorque.housekeeping.claims import Claims, claims_of
from pyrotorque.housekeeping.item_files import ItemContent
from pyrotorque.housekeeping.session_items import ContentFile
from pyrotorque.linux.filesystems import Mount


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


@pytest.mark.parametrize(
    ("one", "other"),
    [("Movie.mkv", "movie.MKV"), ("caf\u00e9", "cafe\u0301"), ("STRASSE", "stra\u00dfe"), ("x", "x")],
)
@pytest.mark.parametrize("links", [1, 2])
def test_names_that_a_filesystem_takes_for_one_are_one(tmp_path: Path, one: str, other: str, links: int) -> None:
    """As on vfat, NTFS, SMB, APFS and ZFS, by their settings: the file that two items name differently is one."""
    first = item(tmp_path, "A", one)
    found = os.stat(tmp_path / "A" / one)
    names = ("st_mode", "st_ino", "st_dev", "st_size", "st_blocks", "st_mtime_ns")
    same = cast(os.stat_result, SimpleNamespace(st_nlink=links, **{name: getattr(found, name) for name in names}))
    second = ItemContent("B", "B", first.directory, (ContentFile(os.fsencode(other), first.files[0].size),))
    claims = claims_of([first, second], lambda _: same)
    path = os.path.join(first.directory, os.fsencode(one))
    assert claims.sharing("A") == {"B"}
    assert claims.shared_files("A") == {path: {"B"}}
    assert claims.outside_links("A") == links - 1
    assert claims.frees(["A"]) == 0
    assert claims.frees(["A", "B"]) == (found.st_blocks * 512 if links == 1 else 0)


def test_a_hard_link_under_another_name_is_another_one(tmp_path: Path) -> None:
    first = item(tmp_path, "A", "x")
    os.link(tmp_path / "A/x", tmp_path / "A/y")
    second = ItemContent("B", "B", first.directory, (ContentFile(b"y", first.files[0].size),))
    claims = claims_of([first, second])
    assert claims.sharing("A") == {"B"}
    assert claims.shared_files("A") == {}
    assert claims.outside_links("A") == 0


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


@pytest.mark.parametrize("is_fuse", [True, False])
def test_another_spelling_may_be_the_same_file_where_inodes_do_not_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_fuse: bool
) -> None:
    """Two folders play the one folder of a disk that ignores case, as a FUSE driver shows it."""
    if is_fuse:
        monkeypatch.setattr(spellings, "fuse_devices", frozenset)
    decomposed, composed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFD", "NFC"))
    pack, upper = item(tmp_path, "pack", "x", "y"), replace(item(tmp_path, "PACK", "X"), info_hash="UPPER")
    accent, other = item(tmp_path, composed, "x"), item(tmp_path, decomposed, "x")
    claims = claims_of([pack, upper, replace(accent, info_hash="NFC"), replace(other, info_hash="NFD")])
    keys = ("PACK", "UPPER", "NFC", "NFD")
    expected = [{"UPPER"}, {"PACK"}, {"NFD"}, {"NFC"}] if is_fuse else [set[str]()] * 4
    assert [set(claims.possibly_sharing(key)) for key in keys] == expected


def test_which_devices_are_shown_by_fuse(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [Mount(1, 0, b"/a", "fuseblk", b"7:0"), Mount(2, 0, b"/b", "fuse.mergerfs", b"0:45"),
              Mount(3, 0, b"/c", "ext4", b"8:1")]  # fmt: skip
    monkeypatch.setattr(spellings, "read_mounts", lambda: mounts)
    devices = [os.makedev(*numbers) for numbers in ((7, 0), (0, 45), (8, 1), (9, 9))]
    assert spellings.fuse_devices(devices) == {devices[0], devices[1]}


class FreshLook:
    """Which items share files, from the paths themselves."""

    def __init__(self, items: list[ItemContent]) -> None:
        self._inodes: dict[str, set[tuple[int, int]]] = {}
        for content in items:
            paths = [content.path(file) for file in content.files]
            found = [os.stat(path) for path in paths if os.path.exists(path)]
            key = f"{content.owner}:{content.info_hash}" if content.owner else content.info_hash
            self._inodes[key] = {(each.st_dev, each.st_ino) for each in found}

    def sharing(self, key: str) -> set[str]:
        return {other for other, inodes in self._inodes.items() if other != key and inodes & self._inodes[key]}


@pytest.mark.parametrize("seed", range(12))
def test_claims_that_follow_from_earlier_ones_are_those_of_a_new_look(tmp_path: Path, seed: int) -> None:
    """Files replaced, removed, linked and shared, items gone and new, folders renamed, files in quarantine."""
    chance = random.Random(seed)
    items = [item(tmp_path, f"i{number}", *chance.sample("abcd", 3)) for number in range(8)]
    items += [replace(items[0], info_hash="TWIN"), replace(items[1], info_hash="OTHER", owner="client")]
    claims = claims_of(items)
    for step in range(6):
        before = claims
        path = Path(os.fsdecode(chance.choice(items).directory))
        what = chance.choice(("replace", "remove", "link", "gone", "new", "rename", "quarantine", "nothing"))
        files = [each for each in path.rglob("*") if each.is_file()] if path.exists() else []
        if what == "replace" and files:
            files[0].write_bytes(os.urandom(9000))
        elif what == "remove" and files:
            files[0].unlink()
        elif what == "link" and files:
            target = chance.choice(items)
            name = Path(os.fsdecode(target.path(target.files[0])))
            name.unlink(missing_ok=True)
            name.parent.mkdir(exist_ok=True)
            os.link(files[0], name) if files[0].exists() else None
        elif what == "gone":
            items.remove(chance.choice(items))
        elif what == "new":
            items.append(item(tmp_path, f"n{step}", "x", "y"))
        elif what == "rename" and path.exists():
            os.rename(path, path.with_name(f"{path.name}-{step}"))
            path.mkdir()
        quarantined = [os.fsencode(each) for each in files[:1]] if what == "quarantine" else list(before.quarantined)
        claims = claims_of(items, quarantined=quarantined, before=before)
        fresh = claims_of(items, quarantined=quarantined)
        assert claims.files == fresh.files, what
        assert claims.holders == fresh.holders, what
        assert claims.names == fresh.names, what
        assert (claims.lost, claims.alike, claims.devices) == (fresh.lost, fresh.alike, fresh.devices)
        assert claims.alone == fresh.alone, what
        assert claims.alone.keys() == {key for key in claims.files if not FreshLook(items).sharing(key)}, what
        for key in claims.files:
            facts = [(each.sharing(key), each.shared_files(key), each.outside_links(key), each.frees([key]))
                     for each in (claims, fresh)]  # fmt: skip
            assert facts[0] == facts[1], what
            if claims is not before and claims.before is before.token and key not in claims.affected:
                assert before.outside_links(key) == claims.outside_links(key), what
                assert before.sharing(key) == claims.sharing(key), what


def linked(folder: Path, name: str, targets: Mapping[str, str], *, owner: str = "") -> ItemContent:
    """An item whose files are symbolic links to these targets."""
    for file, target in targets.items():
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    files = tuple(ContentFile(file.encode(), 8192) for file in targets)
    return ItemContent(name.upper(), name, os.fsencode(folder / name), files, owner=owner)


@pytest.mark.parametrize("kind", ["absolute", "relative", "chain", "by a linked folder"])
@pytest.mark.parametrize("owner", ["", "other client 1"])
def test_a_symbolic_link_has_the_name_that_it_leads_to(tmp_path: Path, kind: str, owner: str) -> None:
    one = item(tmp_path, "A", "x")
    (tmp_path / "to A").symlink_to("A")
    (tmp_path / "first").symlink_to("A/x")
    targets = {"absolute": str(tmp_path / "A/x"), "relative": "../A/x", "chain": "../first"}
    second = linked(tmp_path, "B", {"y": targets.get(kind, "../to A/x")}, owner=owner)
    claims = claims_of([one, second])
    key = f"{owner}:B" if owner else "B"
    assert claims.shared_files("A") == {one.path(one.files[0]): {key}}, "it goes with A's file"
    assert claims.shared_files("A", {key}) == {}
    assert claims.frees(["A"]) == 0
    os.link(tmp_path / "A/x", tmp_path / "library")
    assert claims_of([one, second]).outside_links("A") == 1, "the link is none of the two names"


def test_a_name_that_becomes_a_symbolic_link_is_none_any_more(tmp_path: Path) -> None:
    """The owner exchanges the file and the link: the inode, size and time stay the same."""
    one, two = item(tmp_path, "A", "x"), linked(tmp_path, "B", {"x": "../A/x"})
    before = claims_of([one, two])
    (tmp_path / "B/x").unlink()
    (tmp_path / "A/x").rename(tmp_path / "B/x")
    (tmp_path / "A/x").symlink_to("../B/x")
    after = claims_of([one, two], before=before)
    assert after.shared_files("B") == {two.path(two.files[0]): {"A"}}
    assert after is not before
    assert claims_of([one, two], before=after) is after, "nothing has changed"
    (tmp_path / "A/x").unlink()
    (tmp_path / "A/x").symlink_to("../elsewhere")
    assert claims_of([one, two], before=after).shared_files("B") == {}
