"""Only the file that was examined is linked, renamed or removed, whatever gets its name meanwhile."""

import ctypes
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrotorque.linux import files
from pyrotorque.linux.files import (
    FileEntry,
    FileName,
    OtherFile,
    entry_at,
    is_plain_name,
    link_exactly,
    make_own_folder,
    open_folder,
    open_own,
    path_name,
    put_back,
    remove_exactly,
    rename_noreplace,
)

ASIDE = b".pyrotorque-1"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    with open_folder(bytes(tmp_path)) as fd:
        yield fd


@pytest.fixture
def other_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="prt-", dir="/dev/shm") as made:
        yield Path(made)


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def known(at: FileName) -> FileEntry:
    found = entry_at(at)
    assert found is not None
    return found


def without_noreplace(monkeypatch: pytest.MonkeyPatch, *, links: bool) -> None:
    """A filesystem such as exFAT, or one behind FUSE."""

    class Libc:
        @staticmethod
        def renameat2(*_: object) -> int:
            ctypes.set_errno(errno.EINVAL)
            return -1

    def no_link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(files, "_libc", Libc)
    if not links:
        monkeypatch.setattr(os, "link", no_link)


@pytest.fixture(params=["renameat2", "links only", "neither"])
def filesystem(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "renameat2":
        without_noreplace(monkeypatch, links=request.param == "links only")
    return str(request.param)


@pytest.mark.usefixtures("filesystem")
def test_a_rename_replaces_nothing(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    with pytest.raises(FileExistsError):
        rename_noreplace(FileName(folder, b"a"), FileName(folder, b"b"))
    rename_noreplace(FileName(folder, b"a"), FileName(folder, b"c"))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"b": "b", "c": "a"}


@pytest.mark.usefixtures("filesystem")
def test_a_folder_is_renamed_without_replacing(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a" / "in").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    with pytest.raises(FileExistsError):
        rename_noreplace(FileName(folder, b"a"), FileName(folder, b"b"))
    rename_noreplace(FileName(folder, b"a"), FileName(folder, b"c"))
    assert names(tmp_path / "c") == ["in"]


@pytest.mark.usefixtures("filesystem")
@pytest.mark.parametrize("kind", ["file", "link"])
def test_the_examined_file_is_removed(tmp_path: Path, folder: int, kind: str) -> None:
    at = FileName(folder, b"a")
    if kind == "link":
        (tmp_path / "target").write_text("kept")
        (tmp_path / "a").symlink_to("target")
    else:
        (tmp_path / "a").write_text("a")
    remove_exactly(at, known(at), ASIDE)
    assert names(tmp_path) == (["target"] if kind == "link" else [])


@pytest.mark.parametrize("new", ["other", "one"], ids=["another size", "the same size"])
def test_another_file_at_the_name_is_left(tmp_path: Path, folder: int, new: str) -> None:
    at, path = FileName(folder, b"a.torrent"), tmp_path / "a.torrent"
    path.write_text("old")
    entry = known(at)
    fresh = tmp_path / "fresh"
    fresh.write_text(new)
    os.utime(fresh, ns=(entry.mtime_ns, entry.mtime_ns))
    fresh.rename(path)
    with pytest.raises(OtherFile):
        remove_exactly(at, entry, ASIDE)
    assert (names(tmp_path), path.read_text()) == (["a.torrent"], new)


def test_a_file_that_was_written_in_place_is_left(tmp_path: Path, folder: int) -> None:
    at, path = FileName(folder, b"a"), tmp_path / "a"
    path.write_text("old")
    entry = known(at)
    path.write_text("new and longer")
    with pytest.raises(OtherFile):
        remove_exactly(at, entry, ASIDE)
    assert path.read_text() == "new and longer"


@pytest.mark.usefixtures("filesystem")
def test_a_file_renamed_over_the_name_at_the_last_moment_is_back_at_its_name(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, path = FileName(folder, b"a.torrent"), tmp_path / "a.torrent"
    path.write_text("old")
    entry, real = known(at), files.rename_noreplace

    def late(source: FileName, to: FileName) -> None:
        if to.name == ASIDE:
            (tmp_path / "fresh").write_text("new")
            (tmp_path / "fresh").rename(path)
        real(source, to)

    monkeypatch.setattr(files, "rename_noreplace", late)
    with pytest.raises(OtherFile):
        remove_exactly(at, entry, ASIDE)
    assert (names(tmp_path), path.read_text()) == (["a.torrent"], "new")


def test_two_files_with_one_original_name_both_stay(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a.torrent").write_text("third")
    (tmp_path / "a.1.torrent").write_text("second")
    (tmp_path / "aside").write_text("first")
    assert put_back(FileName(folder, b"aside"), FileName(folder, b"a.torrent")) == b"a.2.torrent"
    assert (tmp_path / "a.2.torrent").read_text() == "first"


@pytest.mark.parametrize("name", [b"\xff" * 247 + b".torrent", b"x" * 255, b"." + b"x" * 254])
def test_a_numbered_name_is_never_too_long(tmp_path: Path, folder: int, name: bytes) -> None:
    for each in (name, b"aside"):
        os.close(os.open(each, os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    back = put_back(FileName(folder, b"aside"), FileName(folder, name))
    assert len(back) <= 255
    assert back in os.listdir(bytes(tmp_path))


def test_an_interrupted_removal_is_finished_and_leaves_a_new_file_at_the_name(tmp_path: Path, folder: int) -> None:
    at = FileName(folder, b"a")
    (tmp_path / "a").write_text("old")
    entry = known(at)
    (tmp_path / "a").rename(tmp_path / os.fsdecode(ASIDE))
    (tmp_path / "a").write_text("new")
    remove_exactly(at, entry, ASIDE)
    assert (names(tmp_path), (tmp_path / "a").read_text()) == (["a"], "new")


def test_what_is_not_there_cannot_be_removed(folder: int) -> None:
    with pytest.raises(OSError, match="another file"):
        remove_exactly(FileName(folder, b"a"), FileEntry(1, 2, stat.S_IFREG, 3, 4), ASIDE)


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize("disk", ["same", "no links", "other"])
def test_the_examined_file_gets_a_second_name(
    tmp_path: Path, folder: int, other_disk: Path, monkeypatch: pytest.MonkeyPatch, kind: str, disk: str
) -> None:
    at = FileName(folder, b"a")
    (tmp_path / "target").write_text("content")
    if kind == "link":
        (tmp_path / "a").symlink_to(tmp_path / "target")
    else:
        (tmp_path / "a").write_text("content")
        (tmp_path / "a").chmod(0o640)
        os.utime(tmp_path / "a", ns=(5, 7))
    if disk == "no links":
        without_noreplace(monkeypatch, links=False)
    place = other_disk if disk == "other" else tmp_path
    with open_folder(bytes(place), b"x/y") as to:
        link_exactly(at, known(at), FileName(to, b"b"), ASIDE)
    made = place / "x/y/b"
    assert made.read_text() == "content"
    assert made.is_symlink() is (kind == "link")
    assert names(made.parent) == ["b"]
    if kind == "file":
        assert (made.stat().st_mtime_ns, stat.S_IMODE(made.stat().st_mode)) == (7, 0o640)


@pytest.mark.parametrize("disk", ["same", "other"])
def test_another_file_gets_no_second_name(tmp_path: Path, folder: int, other_disk: Path, disk: str) -> None:
    at, path = FileName(folder, b"a"), tmp_path / "a"
    path.write_text("old")
    entry = known(at)
    (tmp_path / "fresh").write_text("new")
    (tmp_path / "fresh").rename(path)
    place = other_disk if disk == "other" else tmp_path
    with open_folder(bytes(place)) as to, pytest.raises(OtherFile):
        link_exactly(at, entry, FileName(to, b"b"), ASIDE)
    assert not (place / "b").exists()
    assert path.read_text() == "new"


@pytest.mark.parametrize("disk", ["same", "other"])
def test_an_existing_target_is_not_replaced(tmp_path: Path, folder: int, other_disk: Path, disk: str) -> None:
    at = FileName(folder, b"a")
    (tmp_path / "a").write_text("a")
    place = other_disk if disk == "other" else tmp_path
    (place / "b").write_text("precious")
    with open_folder(bytes(place)) as to, pytest.raises(FileExistsError):
        link_exactly(at, known(at), FileName(to, b"b"), ASIDE)
    assert (place / "b").read_text() == "precious"
    assert names(other_disk) == (["b"] if disk == "other" else [])


@pytest.mark.parametrize("planted", ["link", "hard link", "file of an interrupted copy"])
def test_a_copy_is_not_written_through_what_has_its_temporary_name(
    tmp_path: Path, folder: int, other_disk: Path, planted: str
) -> None:
    at, victim, part = FileName(folder, b"a"), other_disk / "victim", other_disk / os.fsdecode(ASIDE)
    (tmp_path / "a").write_text("a")
    victim.write_text("precious")
    if planted == "link":
        part.symlink_to(victim)
    elif planted == "hard link":
        part.hardlink_to(victim)
    else:
        part.write_text("half of somet")
    with open_folder(bytes(other_disk)) as to:
        link_exactly(at, known(at), FileName(to, b"b"), ASIDE)
    assert (names(other_disk), victim.read_text()) == (["b", "victim"], "precious")
    assert (other_disk / "b").read_text() == "a"


def test_a_copy_that_does_not_fit_leaves_nothing_behind(
    tmp_path: Path, folder: int, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = FileName(folder, b"a")
    (tmp_path / "a").write_text("a")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with open_folder(bytes(other_disk)) as to, pytest.raises(OSError, match="No space"):
        link_exactly(at, known(at), FileName(to, b"b"), ASIDE)
    assert names(other_disk) == []


@pytest.mark.parametrize("which", ["x", "x/y"])
def test_a_folder_that_is_a_link_is_not_followed_below_the_trusted_one(tmp_path: Path, which: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    made = tmp_path / "base" / which
    made.parent.mkdir(parents=True)
    made.symlink_to(outside)
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"), open_folder(bytes(tmp_path / "base"), b"x/y"):
        pass
    assert names(outside) == []


@pytest.mark.parametrize("planted", ["link", "broken link", "hard link", "fifo", "folder"])
def test_a_file_of_our_own_is_not_opened_where_something_else_is(tmp_path: Path, planted: str) -> None:
    path, victim = tmp_path / "part", tmp_path / "victim"
    victim.write_text("precious")
    match planted:
        case "link":
            path.symlink_to(victim)
        case "broken link":
            path.symlink_to(tmp_path / "absent")
        case "hard link":
            path.hardlink_to(victim)
        case "fifo":
            os.mkfifo(path)
        case _:
            path.mkdir()
    with pytest.raises(OSError, match=r"."):
        open_own(path_name(path))
    assert victim.read_text() == "precious"
    assert not (tmp_path / "absent").exists()


def test_a_file_of_our_own_is_continued(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        with open(open_own(path_name(tmp_path / "part")), "ab") as file:
            file.write(text)
    assert (tmp_path / "part").read_bytes() == b"onetwo"


def test_a_folder_of_our_own_is_no_link(tmp_path: Path) -> None:
    make_own_folder(path_name(tmp_path / "a"))
    make_own_folder(path_name(tmp_path / "a"))
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="left untouched"):
        make_own_folder(path_name(tmp_path / "b"))


def test_a_name_is_plain_only_without_a_link_on_the_way(tmp_path: Path) -> None:
    file = tmp_path / "tree" / "folder" / "file"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    (tmp_path / "tree" / "link").symlink_to(file)
    (tmp_path / "tree" / "way").symlink_to(file.parent)
    (tmp_path / "root").symlink_to(tmp_path / "tree")
    found = file.stat()
    for root in ("tree", "root"):
        names = {name: is_plain_name(tmp_path / root, name, found) for name in (b"folder/file", b"./folder//file")}
        assert all(names.values()), names
        for name in (b"link", b"way/file", b"folder", b"folder/other", b"file/x"):
            assert not is_plain_name(tmp_path / root, name, found), name
    assert not is_plain_name(tmp_path / "gone", b"folder/file", found)
