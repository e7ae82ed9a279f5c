"""Errors that pass: no metafile becomes `failed`, and each cause is reported once."""

import errno
import os
import resource
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque_watcher.load import sent_rows
from pyrotorque_watcher.load.rtorrent_items import RTorrentItems
from pyrotorque_watcher.rows import LoadRefused
from pyrotorque_watcher.scan import content
from pyrotorque_watcher.scan.open_file import FileReader
from tests.dropping import drop, items
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")


@pytest.fixture
def watching(short_folder: Path, root: Path, rtorrent: PrivateRTorrent) -> Iterator[Watching]:
    """What fails is deleted."""
    with Watching(short_folder, job(root, on_failed="delete"), url=rtorrent.url) as begun:
        begun.settle()
        yield begun


def waits(watching: Watching, seconds: float) -> None:
    end = time.monotonic() + seconds
    watching.until(lambda: time.monotonic() > end)


@contextmanager
def no_descriptors() -> Generator[None]:
    """This process can open no file and no connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/dev/null", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0], hard))
    with suppress(OSError):
        while True:  # those below the limit
            taken.append(os.dup(taken[0]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


def test_three_seconds_without_descriptors_fail_nothing(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, caplog: pytest.LogCaptureFixture
) -> None:
    infos = {drop(root / f"{number}.torrent") for number in range(20)}
    with no_descriptors():
        waits(watching, 3.0)
    watching.until(lambda: watching.states("loaded") == 20, 30)
    assert items(rtorrent) == infos
    assert not watching.failed
    assert len([record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]) <= 2


def test_files_are_tied_after_descriptors_were_missing(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, client: Any
) -> None:
    rtorrent.restart()
    with no_descriptors():
        waits(watching, 0.5)
    info = watching.load(root / "a.torrent")
    assert client.call("d.tied_to_file", info) == str(root / "a.torrent")


def test_a_tree_made_while_there_are_no_descriptors_is_found_soon(watching: Watching, root: Path) -> None:
    for number in range(5):
        drop(root.parent / "outside" / f"{number}" / "a.torrent", f"outside {number}")
    with no_descriptors():
        (root.parent / "outside").rename(root / "inside")
        waits(watching, 0.5)
    watching.until(lambda: watching.states("loaded") == 5, 15)


NUMBERS = (
    *(errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ENOMEM, errno.EINTR),
    *(errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN, errno.EAGAIN, errno.ENXIO, errno.EBUSY, errno.EUCLEAN),
)


@pytest.mark.parametrize(
    ("call", "number"),
    [*(("open", each) for each in NUMBERS), ("read", errno.EIO), ("read", errno.ESTALE), ("fstat", errno.EIO)],
    ids=lambda each: errno.errorcode.get(each, each),
)
def test_no_error_of_the_kernel_is_final(
    watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str,
    number: int,
) -> None:  # fmt: skip
    real = getattr(os, call)
    ours = [os.open("/dev/null", os.O_RDONLY)]
    failures: list[int] = []

    def failing(what: Any, *args: Any, **named: Any) -> Any:
        if call == "open":
            hit = isinstance(what, bytes) and what.endswith(b".torrent")
        else:
            hit = isinstance(what, int) and os.readlink(f"/proc/self/fd/{what}").endswith(".torrent")
        if hit:
            failures.append(1)
            raise OSError(number, os.strerror(number))
        return real(what, *args, **named)

    monkeypatch.setattr(os, call, failing)
    for name in range(5):
        drop(root / f"{name}.torrent")
    watching.until(lambda: len(failures) >= 10)
    monkeypatch.undo()
    os.close(ours[0])
    watching.until(lambda: watching.states("loaded") == 5)
    assert not watching.failed
    assert sum(os.strerror(number) in record.getMessage() for record in caplog.records) == 1


def test_no_memory_is_not_final(watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(content, "torrents_of", failing)
    drop(root / "a.torrent")
    watching.until(lambda: watching.rows and "memory" in watching.rows[0].progress.reason)
    monkeypatch.undo()
    watching.until(lambda: watching.states("loaded") == 1)


def test_a_file_that_this_user_may_not_read_is_loaded_as_soon_as_it_is_readable(
    watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: FileReader, path: bytes) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = root / "a.torrent"
    monkeypatch.setattr(FileReader, "read", refused)  # root may read everything
    drop(path)
    waits(watching, 3.5)
    assert watching.row(path).progress.reason == "cannot be read: Permission denied"
    monkeypatch.undo()
    path.chmod(0o640)
    watching.until(lambda: watching.state(path) == "loaded", 2)


def test_a_watch_ini_that_cannot_be_read_now_fails_nothing(
    watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "watch.ini").write_text("priority = high\n")
    real = open

    def failing(path: Any, *args: Any, **named: Any) -> Any:
        if isinstance(path, bytes) and path.endswith(b"watch.ini"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, *args, **named)

    monkeypatch.setattr("builtins.open", failing)
    drop(root / "a.torrent")
    watching.until(lambda: watching.rows and "watch.ini" in watching.rows[0].progress.reason)
    monkeypatch.undo()
    watching.until(lambda: watching.states("loaded") == 1)
    assert not watching.failed


def test_a_file_that_vanishes_between_two_looks_is_forgotten(
    watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def vanishing(path: Any, *args: Any, **named: Any) -> Any:
        if isinstance(path, bytes) and path.endswith(b".torrent"):
            os.unlink(path)
        return real(path, *args, **named)

    drop(root / "a.torrent")
    monkeypatch.setattr(os, "open", vanishing)
    watching.until(lambda: not (root / "a.torrent").exists() and not watching.rows)
    assert not watching.failed


def test_what_an_earlier_version_could_not_read_is_loaded_at_the_next_start(watching: Watching, root: Path) -> None:
    path = root / "a.torrent"
    watching.load(path)
    with watching.watcher.ledger.transaction():
        watching.watcher.ledger.mark_failed(watching.row(path), LoadRefused("io", "Too many open files"), time.time())
        watching.watcher.ledger.mark_done("failed", watching.row(path))
    watching.again()
    watching.until(lambda: watching.state(path) == "loaded")


def test_a_good_metafile_of_which_rtorrent_makes_no_item_for_a_while_is_not_failed(
    watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rTorrent may lack descriptors, memory or space, and reports that in its own log only."""
    real = RTorrentItems.load

    def load_nothing(_items: RTorrentItems, batch: Sequence[object], *_: object) -> tuple[list[None], None]:
        return [None] * len(batch), None

    monkeypatch.setattr(RTorrentItems, "load", load_nothing)
    monkeypatch.setattr(sent_rows, "_LATE_PAUSE", 0.5)
    path = root / "a.torrent"
    drop(path)
    watching.until(lambda: watching.rows and "shows no item" in watching.row(path).progress.reason, 20)
    assert watching.state(path) == "seen"
    monkeypatch.setattr(RTorrentItems, "load", real)
    watching.until(lambda: watching.state(path) == "loaded")
    assert not watching.failed
