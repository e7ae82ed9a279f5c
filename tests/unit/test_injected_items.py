"""Which injected items are started, and which files rTorrent would write for them."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.housekeeping.claims import claims_of
from pyrotorque.housekeeping.item_files import ItemContent
from pyrotorque.housekeeping.session_items import ContentFile
from pyrotorque.injected_items import NOT_CHECKED, InjectedItem, hold_reason, link_refusal, written_files

CHECKED = InjectedItem(
    started=False, active=False, has_run=False, hashing=False, check_failed=False,
    wanted_done=True, chunks_done=4, bitfield="f0", chunk_size=10,
)  # fmt: skip
HALF = replace(CHECKED, wanted_done=False, chunks_done=2, bitfield="c0")


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (CHECKED, None),
        (HALF, None),
        (replace(CHECKED, active=True, has_run=True), None),
        (replace(HALF, active=True, has_run=True, chunks_done=0, bitfield="00"), None),
        (replace(CHECKED, started=True), ""),
        (replace(CHECKED, has_run=True), ""),
        (replace(HALF, chunks_done=0, bitfield=""), NOT_CHECKED),
        (replace(CHECKED, hashing=True), "its data is being checked"),
        (replace(CHECKED, check_failed=True), "the check of its data failed"),
    ],
    ids=["checked", "half matching", "resumed", "resumed without data", "started", "stopped by its owner",
         "not checked", "in check", "failed check"],
)  # fmt: skip
def test_the_state_decides_first(item: InjectedItem, reason: str | None) -> None:
    assert hold_reason(item) == reason


@given(
    sizes=st.lists(st.integers(0, 35), min_size=1, max_size=6),
    chunk=st.integers(1, 12),
    have=st.integers(min_value=0),
)
def test_a_file_is_written_exactly_if_a_byte_of_it_is_in_a_missing_chunk(
    sizes: list[int], chunk: int, have: int
) -> None:
    count = -(-sum(sizes) // chunk)
    done = [bool(have >> n & 1) for n in range(count)]
    bits = "".join("1" if each else "0" for each in done).ljust(-(-count // 8) * 8, "0")
    bitfield = f"{int(bits, 2):0{len(bits) // 4}X}" if bits else ""
    item = replace(HALF, bitfield=bitfield, chunk_size=chunk)
    owners = [place for place, size in enumerate(sizes) for _ in range(size)]
    expected = {owner for byte, owner in enumerate(owners) if not done[byte // chunk]}
    assert set(written_files(sizes, item)) == expected


def test_without_a_bitfield_all_files_may_be_written() -> None:
    assert list(written_files([5, 0, 20], replace(HALF, bitfield=""))) == [0, 2]


def content(folder: Path, name: str = "A", multi_file: bool = True) -> ItemContent:
    (folder / name / "sub").mkdir(parents=True, exist_ok=True)
    files = tuple(ContentFile(file, 100) for file in (b"x", b"sub/y"))
    for file in files:
        (folder / name / os.fsdecode(file.path)).write_bytes(os.urandom(100))
    return ItemContent(name, name, os.fsencode(folder / name), files, multi_file)


def test_plain_files_of_its_own_may_be_written(tmp_path: Path) -> None:
    one, other = content(tmp_path), content(tmp_path, "B")
    assert link_refusal(one, {0, 1}, claims_of([one, other])) is None


def test_a_file_that_is_missing_may_be_written_unless_another_item_misses_it_too(tmp_path: Path) -> None:
    one = content(tmp_path)
    (tmp_path / "A/x").unlink()
    assert link_refusal(one, {0, 1}, claims_of([one])) is None
    twin = replace(one, info_hash="B", name="twin")
    assert "twin has as well" in str(link_refusal(one, {0}, claims_of([one, twin])))
    elsewhere = content(tmp_path, "C")
    (tmp_path / "C/x").unlink()
    assert link_refusal(one, {0}, claims_of([one, elsewhere])) is None, "another folder"


def _hard_link(folder: Path) -> None:
    os.link(folder / "A/sub/y", folder / "elsewhere")


def _symbolic_link(folder: Path) -> None:
    os.rename(folder / "A/sub/y", folder / "target")
    (folder / "A/sub/y").symlink_to(folder / "target")


def _dangling_link(folder: Path) -> None:
    (folder / "A/sub/y").unlink()
    (folder / "A/sub/y").symlink_to(folder / "nowhere")


def _linked_folder(folder: Path) -> None:
    os.rename(folder / "A/sub", folder / "target")
    (folder / "A/sub").symlink_to(folder / "target")


def _linked_item(folder: Path) -> None:
    os.rename(folder / "A", folder / "target")
    (folder / "A").symlink_to(folder / "target")


def _folder(folder: Path) -> None:
    (folder / "A/sub/y").unlink()
    (folder / "A/sub/y").mkdir()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_hard_link, "it has 2 hard links"),
        (_symbolic_link, "it is a symbolic link"),
        (_dangling_link, "it is a symbolic link"),
        (_linked_folder, "A/sub is a symbolic link"),
        (_linked_item, "A is a symbolic link"),
        (_folder, "it is no regular file"),
    ],
)
def test_a_link_is_not_written_into(tmp_path: Path, change: Callable[[Path], None], reason: str) -> None:
    one = content(tmp_path)
    change(tmp_path)
    claims = claims_of([one])
    assert reason in str(link_refusal(one, {1}, claims))
    if change not in (_linked_item,):
        assert link_refusal(one, {0}, claims) is None, "the other file is its own"


def test_a_folder_above_that_of_the_item_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    one = content(tmp_path / "data")
    assert link_refusal(one, {0, 1}, claims_of([one])) is None


def test_a_file_of_another_item_is_not_written_into(tmp_path: Path) -> None:
    one = content(tmp_path)
    twin = replace(one, info_hash="B", name="twin")
    assert "which twin has as well" in str(link_refusal(one, {0}, claims_of([one, twin])))


def test_a_file_that_may_be_the_same_on_another_device_is_not_written_into(tmp_path: Path) -> None:
    one, other = content(tmp_path), content(tmp_path, "B")
    for folder in "AB":
        os.utime(tmp_path / folder / "x", (1, 1))

    def look(path: bytes) -> os.stat_result:
        found = os.stat(path)
        values = list(found)
        values[2] += path.startswith(os.fsencode(tmp_path / "B"))
        return os.stat_result(values, {"st_mtime_ns": found.st_mtime_ns, "st_blocks": found.st_blocks})

    assert "which B has as well" in str(link_refusal(one, {0}, claims_of([one, other], look)))


def test_what_cannot_be_examined_is_not_written_into(tmp_path: Path) -> None:
    one = content(tmp_path)

    def look(path: bytes) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    assert "cannot be examined: Permission denied" in str(link_refusal(one, {0}, claims_of([one]), look))


def test_a_single_file_has_no_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "target")
    (tmp_path / "target/file").write_bytes(b"x" * 100)
    one = ItemContent("A", "A", os.fsencode(tmp_path / "folder"), (ContentFile(b"file", 100),), multi_file=False)
    assert link_refusal(one, {0}, claims_of([one])) is None
