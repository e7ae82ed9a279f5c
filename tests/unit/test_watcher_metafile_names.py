"""Only the metafile that was loaded gets another name or loses one."""

import os
from pathlib import Path

import msgspec
import pytest

from demo.metafiles import info_hash, make_metafile
from pyrotorque.linux.files import OtherFile
from pyrotorque_watcher.rows import Arrival, EarlierLoad, FileIdentity, LoadRecord, Progress, Row
from pyrotorque_watcher.scan.files import look
from pyrotorque_watcher.settle.metafile_names import MetafileNames, second_name

TEMPORARY = ".pyrotorque-abcd"


def row_of(path: Path, metafile: bytes | None = None) -> Row:
    """The ledger's row of the file at `path`, loaded as `metafile`, or failed."""
    found = look(bytes(path))
    assert found is not None
    file = FileIdentity(*(getattr(found, name) for name in FileIdentity.__struct_fields__))
    load = LoadRecord() if metafile is None else LoadRecord(info_hash(metafile), (), "name", "start", True, 1)
    progress = Progress("loaded", "", 0.0, "", True)
    return Row(1, "abcd", "job", bytes(path.parent), file, Arrival(0.0, 0.0, True), load, progress, EarlierLoad("", ""))


@pytest.fixture
def metafile() -> bytes:
    return make_metafile("one")


@pytest.fixture
def path(tmp_path: Path, metafile: bytes) -> Path:
    made = tmp_path / "a.torrent"
    made.write_bytes(metafile)
    return made


def put_over(path: Path, data: bytes, *, in_place: bool = False) -> None:
    """As `rsync -t` or `mv` do it: the size and the time of the file stay."""
    found = path.stat()
    target = path if in_place else path.with_name("fresh")
    target.write_bytes(data)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    target.rename(path)


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def test_the_loaded_file_is_found_and_removed(path: Path, metafile: bytes) -> None:
    found = MetafileNames.find(row_of(path, metafile))
    assert found is not None
    found.remove()
    assert names(path.parent) == []


@pytest.mark.parametrize("in_place", [False, True], ids=["renamed over", "written in place"])
def test_another_metafile_of_the_same_size_and_time_is_not_found(path: Path, metafile: bytes, in_place: bool) -> None:
    row = row_of(path, metafile)
    put_over(path, make_metafile("two"), in_place=in_place)
    assert path.stat().st_size == row.file.size
    assert MetafileNames.find(row) is None
    assert names(path.parent) == ["a.torrent"]


def test_another_file_of_a_failed_one_is_not_found(path: Path) -> None:
    path.write_bytes(b"no metafile 1")
    row = row_of(path)
    put_over(path, b"no metafile 2")
    assert MetafileNames.find(row) is None


@pytest.mark.parametrize("change", ["mode", "copy", "link", "mount"])
def test_the_same_content_is_found_though_its_numbers_changed(path: Path, metafile: bytes, change: str) -> None:
    row = row_of(path, metafile)
    match change:
        case "mode":
            path.chmod(0o600)
        case "copy":
            put_over(path, metafile)
        case "link":
            path.with_name("b").hardlink_to(path)
        case _:
            row = msgspec.structs.replace(row, file=msgspec.structs.replace(row.file, device=1))
    assert MetafileNames.find(row) is not None


def test_a_file_renamed_over_it_after_it_was_found_stays(path: Path, metafile: bytes) -> None:
    found = MetafileNames.find(row_of(path, metafile))
    assert found is not None
    put_over(path, make_metafile("two"))
    with pytest.raises(OtherFile):
        found.link_to(bytes(path.parent), b"", b"b")
    with pytest.raises(OtherFile):
        found.remove()
    assert (names(path.parent), path.read_bytes()) == (["a.torrent"], make_metafile("two"))


def test_a_file_that_a_program_has_open_for_writing_is_not_removed(path: Path, metafile: bytes) -> None:
    found = MetafileNames.find(row_of(path, metafile))
    assert found is not None
    with path.open("r+b"), pytest.raises(OSError, match="open for writing"):
        found.remove()
    assert names(path.parent) == ["a.torrent"]
    found.remove()
    assert names(path.parent) == []


def test_a_link_is_moved_not_its_target(tmp_path: Path, path: Path, metafile: bytes) -> None:
    link, done = tmp_path / "watch/link.torrent", tmp_path / "done"
    link.parent.mkdir()
    link.symlink_to(path)
    found = MetafileNames.find(row_of(link, metafile))
    assert found is not None
    found.link_to(bytes(done), b"x/y", b"link.torrent")
    found.remove()
    assert (done / "x/y/link.torrent").readlink() == path
    assert names(link.parent) == []
    assert path.read_bytes() == metafile


@pytest.mark.parametrize("fresh", [False, True], ids=["nothing at its name", "a new metafile at its name"])
def test_an_interrupted_removal_is_finished(path: Path, metafile: bytes, fresh: bool) -> None:
    row = row_of(path, metafile)
    path.rename(path.with_name(TEMPORARY))
    if fresh:
        path.write_bytes(make_metafile("two"))
    found = MetafileNames.find(row)
    assert found is not None
    found.remove()
    assert names(path.parent) == (["a.torrent"] if fresh else [])


def test_another_file_that_an_interrupted_removal_took_is_put_back(path: Path, metafile: bytes) -> None:
    row = row_of(path, metafile)
    path.unlink()
    path.with_name(TEMPORARY).write_bytes(make_metafile("two"))
    assert MetafileNames.find(row) is None
    assert (names(path.parent), path.read_bytes()) == (["a.torrent"], make_metafile("two"))


def test_a_taken_name_gets_a_number_and_a_repeated_attempt_the_same_name(path: Path, metafile: bytes) -> None:
    (path.parent / "a.torrent.loaded").write_text("precious")
    found = MetafileNames.find(row_of(path, metafile))
    assert found is not None
    for _ in range(2):
        assert found.link_to(bytes(path.parent), b"", b"a.torrent.loaded") == bytes(path.parent / "a.torrent.loaded.1")
    assert (path.parent / "a.torrent.loaded").read_text() == "precious"


def test_a_target_folder_that_was_replaced_by_a_link_is_not_followed(
    tmp_path: Path, path: Path, metafile: bytes
) -> None:
    outside, done = tmp_path / "outside", tmp_path / "done"
    outside.mkdir()
    done.mkdir()
    (done / "tv").symlink_to(outside)
    found = MetafileNames.find(row_of(path, metafile))
    assert found is not None
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        found.link_to(bytes(done), b"tv", b"a.torrent")
    assert names(outside) == []
    assert path.exists()


def test_a_name_too_long_leaves_the_file_where_it_is(tmp_path: Path, metafile: bytes) -> None:
    path = tmp_path / ("x" * 247 + ".torrent")
    path.write_bytes(metafile)
    found = MetafileNames.find(row_of(path, metafile))
    assert found is not None
    with pytest.raises(OSError, match="too long"):
        found.link_to(bytes(tmp_path), b"", bytes(path) + b".loaded")
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_a_file_that_is_gone_is_not_found(tmp_path: Path, metafile: bytes, gone: str) -> None:
    path = tmp_path / "folder" / "a.torrent"
    path.parent.mkdir()
    path.write_bytes(metafile)
    row = row_of(path, metafile)
    path.unlink()
    if gone == "folder":
        path.parent.rmdir()
    assert MetafileNames.find(row) is None


def test_names_of_disposed_metafiles(path: Path, metafile: bytes) -> None:
    row = msgspec.structs.replace(row_of(path, metafile), root=bytes(path.parent.parent))
    assert second_name(row, b".loaded", None) == (bytes(path.parent), b"", b"a.torrent.loaded")
    assert second_name(row, b".torrent", None) is None
    assert second_name(row, b".loaded", b"/done") == (b"/done", path.parent.name.encode(), b"a.torrent")
    assert second_name(row, b".loaded", bytes(path.parent)) is None
