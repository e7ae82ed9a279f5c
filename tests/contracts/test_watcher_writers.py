"""A file is loaded, refused or disposed of only when nothing writes to it any more: real writers of every kind."""

import mmap
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque_watcher.scan.open_file import FileReader, Writers
from tests.dropping import items
from tests.waiting import bound
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")

LARGE = make_metafile("large", size=16384 * 2000)
HALF = len(LARGE) // 2


@pytest.fixture
def watching(short_folder: Path, root: Path, rtorrent: PrivateRTorrent) -> Iterator[Watching]:
    """A failed metafile is deleted: nothing may fail while it is written."""
    with Watching(short_folder, job(root, on_failed="delete"), url=rtorrent.url) as begun:
        begun.settle()
        yield begun


def stays_unloaded(watching: Watching, path: Path, seconds: float = 1.0) -> None:
    """Nothing happens to the file for a while, although it looks complete, or broken."""
    inode = path.stat().st_ino
    end = time.monotonic() + seconds
    watching.until(lambda: time.monotonic() > end)
    assert watching.state(path) in ("", "seen")
    assert not watching.loaded
    assert not watching.failed
    assert path.stat().st_ino == inode


def is_loaded(watching: Watching, path: Path) -> Callable[[], bool]:
    return lambda: watching.state(path) in ("visible", "loaded")


def check_loaded(watching: Watching, path: Path, rtorrent: PrivateRTorrent, data: bytes = LARGE) -> None:
    watching.until(is_loaded(watching, path), 20)
    assert items(rtorrent) == {info_hash(data)}
    assert not watching.failed


def not_local(self: FileReader, path: bytes, device: int) -> bool:
    """A network filesystem."""
    return False


def sized(path: Path) -> int:
    """A file set to its full size of which the beginning and the end are written."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.truncate(fd, len(LARGE))
    os.pwrite(fd, LARGE[:2000], 0)
    os.pwrite(fd, LARGE[-2000:], len(LARGE) - 2000)
    return fd


def test_a_download_over_several_connections(watching: Watching, root: Path, rtorrent: PrivateRTorrent) -> None:
    path = root / "a.torrent"
    fd = sized(path)
    os.close(os.open(path, os.O_WRONLY))  # another connection has written its part
    stays_unloaded(watching, path)
    os.pwrite(fd, LARGE, 0)
    os.close(fd)
    check_loaded(watching, path, rtorrent)


def test_one_that_opens_and_closes_for_each_part(watching: Watching, root: Path, rtorrent: PrivateRTorrent) -> None:
    path = root / "a.torrent"
    os.close(sized(path))
    stays_unloaded(watching, path)
    with path.open("r+b") as file:
        file.write(LARGE)
    check_loaded(watching, path, rtorrent)


def test_one_whose_beginning_comes_last(watching: Watching, root: Path, rtorrent: PrivateRTorrent) -> None:
    path = root / "a.torrent"
    for at in range(len(LARGE) // 10 * 9, -1, -(len(LARGE) // 10)):
        with path.open("r+b" if path.exists() else "wb") as file:
            file.seek(at)
            file.write(LARGE[at : at + len(LARGE) // 10 + 10])
        if at:
            stays_unloaded(watching, path, 0.1)
    check_loaded(watching, path, rtorrent)


def test_garbage_that_is_still_open_is_not_deleted(watching: Watching, root: Path, rtorrent: PrivateRTorrent) -> None:
    path = root / "a.torrent"
    with path.open("wb", buffering=0) as file:
        file.write(b"\0" * len(LARGE))
        stays_unloaded(watching, path)
        file.seek(0)
        file.write(LARGE)
    check_loaded(watching, path, rtorrent)


def test_garbage_is_deleted_when_it_is_closed_and_did_not_change(watching: Watching, root: Path) -> None:
    path = root / "a.torrent"
    path.write_bytes(b"no metafile")
    watching.until(lambda: not path.exists())
    assert [event.kind for event in watching.failed] == ["invalid"]


@pytest.mark.parametrize("keep", ["descriptor", "mapping"])
def test_a_complete_file_that_its_writer_has_open(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, keep: str
) -> None:
    path = root / "a.torrent"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.truncate(fd, len(LARGE))
    mapped = mmap.mmap(fd, len(LARGE))
    mapped[:] = make_metafile("LARGE", size=16384 * 2000)  # another torrent of this size
    if keep == "mapping":
        os.close(fd)
    else:
        os.fsync(fd)
    stays_unloaded(watching, path)
    mapped[:] = LARGE
    mapped.close()
    if keep == "descriptor":
        os.close(fd)
    check_loaded(watching, path, rtorrent)


@pytest.mark.parametrize("link", [os.link, os.symlink], ids=["hard", "symbolic"])
def test_a_link_to_a_file_that_is_written_elsewhere(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, link: Callable[[Path, Path], None]
) -> None:
    outside = root.parent / "outside.part"
    with outside.open("wb", buffering=0) as file:
        file.write(LARGE + b"garbage")
        link(outside, root / "a.torrent")
        stays_unloaded(watching, root / "a.torrent", 2.5)
        file.truncate(len(LARGE))
    check_loaded(watching, root / "a.torrent", rtorrent)


def test_a_file_renamed_in_while_it_is_written(watching: Watching, root: Path, rtorrent: PrivateRTorrent) -> None:
    part = root / "a.torrent.part"
    with part.open("wb", buffering=0) as file:
        file.write(LARGE[:HALF])
        part.rename(root / "a.torrent")
        stays_unloaded(watching, root / "a.torrent")
        file.write(LARGE[HALF:])
    check_loaded(watching, root / "a.torrent", rtorrent)


def test_a_file_that_is_truncated_and_written_again(watching: Watching, root: Path, rtorrent: PrivateRTorrent) -> None:
    path = root / "a.torrent"
    with path.open("wb", buffering=0) as file:
        file.write(make_metafile("first"))
        stays_unloaded(watching, path, 0.3)
        file.seek(0)
        file.truncate()
        stays_unloaded(watching, path, 0.3)
        file.write(LARGE)
    check_loaded(watching, path, rtorrent)


def test_an_upload_that_resumes(watching: Watching, root: Path, rtorrent: PrivateRTorrent) -> None:
    path = root / "a.torrent"
    path.write_bytes(LARGE[:HALF])
    stays_unloaded(watching, path)
    with path.open("ab") as file:
        file.write(LARGE[HALF:])
    check_loaded(watching, path, rtorrent)


def test_it_is_found_after_a_start_while_it_is_written(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent
) -> None:
    path = root / "a.torrent"
    watching.watcher.close()
    fd = sized(path)
    watching.again()
    stays_unloaded(watching, path)
    os.pwrite(fd, LARGE, 0)
    os.close(fd)
    check_loaded(watching, path, rtorrent)


@pytest.mark.parametrize("by_event", [True, False], ids=["event", "walk"])
def test_where_no_lease_is_granted(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, monkeypatch: pytest.MonkeyPatch, by_event: bool
) -> None:
    """A file of another user, or on a network: what looks complete is loaded after the event, or when it is stable."""
    monkeypatch.setattr(FileReader, "_is_local", not_local)
    path = root / "a.torrent"
    if not by_event:
        watching.watcher.close()
    fd = sized(path)
    os.close(os.open(path, os.O_WRONLY))
    if not by_event:
        os.close(fd)
        fd = -1
        watching.again()
        watching.rescan()
    stays_unloaded(watching, path)
    if fd >= 0:
        os.close(fd)
    stays_unloaded(watching, path)
    if not by_event:
        watching.watcher.close()
    with path.open("r+b") as file:
        file.write(LARGE)
    if not by_event:
        watching.again()
    check_loaded(watching, path, rtorrent)


def test_a_file_of_another_user_without_an_event_waits_until_it_is_stable(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileReader, "_is_local", not_local)
    path = root / "a.torrent"
    path.write_bytes(LARGE)
    with Watching(short_folder, job(root, settle_time=2.0), url=rtorrent.url) as watching:
        began = time.monotonic()
        watching.until(is_loaded(watching, path))
        assert 1.5 < time.monotonic() - began < bound(4)


def test_what_is_no_regular_file_is_not_opened(root: Path) -> None:
    os.mkfifo(root / "fifo.torrent")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(root / "s.torrent"))
    server.close()
    (root / "device.torrent").symlink_to("/dev/null")
    (root / "folder.torrent").mkdir()
    reader = FileReader()
    assert [reader.read(bytes(path)) for path in root.iterdir()] == [None] * 4


def test_the_writers_of_a_file(root: Path) -> None:
    path, reader = root / "a.torrent", FileReader()

    def writers() -> Writers:
        file = reader.read(bytes(path))
        assert file is not None
        return file.writers

    with path.open("wb") as file:
        file.write(LARGE)
        file.flush()
        assert writers() is Writers.OPEN
    assert writers() is Writers.NONE
    with path.open("rb"):
        assert writers() is Writers.NONE
    assert reader.read(bytes(path)) is not None


def test_a_writer_that_comes_while_it_is_read_ends_no_process_and_waits(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reader = root / "a.torrent", FileReader()
    path.write_bytes(LARGE)
    child = 0

    def read_slowly(self: FileReader, path: bytes, device: int) -> bool:
        nonlocal child
        child = os.fork()
        if not child:
            with open(path, "r+b", buffering=0) as file:
                file.write(b"X" * 100)
            os._exit(0)
        time.sleep(0.3)
        return True

    monkeypatch.setattr(FileReader, "_is_local", read_slowly)
    file = reader.read(bytes(path))
    assert file is not None
    assert (file.writers, file.data) == (Writers.OPEN, LARGE)
    os.waitpid(child, 0)
    assert path.read_bytes().startswith(b"X" * 100)
