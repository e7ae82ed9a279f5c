"""What counts as saved in the session of a real rTorrent."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.housekeeping.open_files import open_inodes
from pyrotorque.rtorrent import RTorrent, save_threads
from pyrotorque.rtorrent.session import Session, is_started
from tests.waiting import bound, eventually

TIE = b"/tmp/caf\xe9 \xf0\x9f\x98\x80.torrent"


@pytest.fixture
def session(client: RTorrent) -> Session:
    found = Session()
    found.locate(client, client.identity())
    return found


@pytest.fixture
def item(client: RTorrent, session: Session) -> str:
    metafile = make_metafile("one")
    client.call("load.raw", "", metafile, b'd.tied_to_file.set="%b"' % TIE)
    eventually(lambda: session.holds(info_hash(metafile)), why="the item is saved")
    return info_hash(metafile)


def files(rtorrent: PrivateRTorrent, item: str) -> list[Path]:
    return sorted(rtorrent.session.glob(f"{item}.torrent*"))


def test_an_item_that_rtorrent_does_not_have_is_not_saved(session: Session) -> None:
    assert session.holds("A" * 40) is False
    assert session.values("A" * 40) is None


@pytest.mark.parametrize("length", [0, 1, -1], ids=["empty", "one byte", "without its last byte"])
@pytest.mark.parametrize("number", range(3), ids=["metafile", "resume data", "attributes"])
def test_a_truncated_session_file_is_not_saved(
    rtorrent: PrivateRTorrent, session: Session, item: str, number: int, length: int
) -> None:
    assert len(files(rtorrent, item)) == 3
    file = files(rtorrent, item)[number]
    os.truncate(file, length % file.stat().st_size if length < 0 else length)
    assert session.holds(item) is False


@pytest.mark.parametrize("number", range(3))
def test_a_missing_session_file_is_not_saved(
    rtorrent: PrivateRTorrent, session: Session, item: str, number: int
) -> None:
    files(rtorrent, item)[number].unlink()
    assert session.holds(item) is False


def test_saved_values_are_the_bytes_that_rtorrent_was_given(session: Session, item: str) -> None:
    saved = session.values(item)
    assert saved is not None
    assert saved["tied_to_file"] == TIE
    assert saved["state"] == 0


def test_a_start_is_saved_when_the_session_file_has_it(client: RTorrent, session: Session, item: str) -> None:
    client.call("d.start", item)
    assert not is_started(session.values(item))
    client.call("d.save_full_session", item)
    eventually(lambda: is_started(session.values(item)), why="the start is saved")


def test_the_session_of_another_process_is_not_looked_at(rtorrent: PrivateRTorrent, client: RTorrent) -> None:
    (rtorrent.session / "rtorrent.lock").write_text("elsewhere:+1")
    session = Session()
    session.locate(client, client.identity())
    assert session.holds("A" * 40) is None
    assert session.values("A" * 40) is None


def _reader_of_full(pipe: Path) -> BinaryIO:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pipe.open("wb", buffering=0) as writer, suppress(BlockingIOError):
        os.set_blocking(writer.fileno(), False)
        while True:
            os.write(writer.fileno(), bytes(4096))
    os.set_blocking(reader, True)
    return open(reader, "rb")


def test_an_earlier_save_that_ends_later_is_awaited_and_repeated(
    rtorrent: PrivateRTorrent, client: RTorrent, session: Session, item: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full pipe delays a save of rTorrent as a busy machine does."""
    if not session.saves_overlap:
        client.call("d.custom1.set", item, "new")
        client.call("d.save_full_session", item)
        assert (session.values(item) or {})["custom1"] == b"new", "it saves before it answers"
        return
    monkeypatch.setattr(save_threads, "_LONGEST", 120.0)
    assert session.save(client, item, {"state": 0}, 30)
    saved = rtorrent.session / f"{item}.torrent"
    first, pipe = saved.with_name(f"{saved.name}.new"), rtorrent.session / "pipe"
    os.mkfifo(pipe)
    first.hardlink_to(pipe)
    reader = _reader_of_full(pipe)
    client.call("d.custom1.set", item, "old")
    client.call("d.save_full_session", item)
    found = pipe.stat()
    eventually(lambda: (found.st_dev, found.st_ino) in open_inodes(session.pid), why="it writes to the pipe")
    assert session.is_saving(item, save_threads.now())
    first.unlink()
    client.call("d.custom1.set", item, "new")
    looks: list[bool] = []

    def counted(self: Session, info_hash: str, at: float) -> bool:
        looks.append(found := is_saving(self, info_hash, at))
        return found

    is_saving = Session.is_saving
    monkeypatch.setattr(Session, "is_saving", counted)
    with ThreadPoolExecutor() as threads:
        done = threads.submit(session.save, client, item, {"custom1": b"new"}, 60)
        eventually(lambda: (session.values(item) or {}).get("custom1") == b"new", why="the later save has ended")
        eventually(lambda: not first.exists(), why="the later save has renamed its files")
        seen = len(looks)
        eventually(lambda: done.done() or len(looks) > seen + 3, why="it has looked since")
        assert not done.done(), "the earlier save can still replace the later one"
        shutil.copy(saved, first)  # what the earlier one renames
        with reader:
            while reader.read(65536):
                pass
        assert done.result(bound(60))
    assert (session.values(item) or {})["custom1"] == b"new"
    assert not session.is_saving(item, save_threads.now())


def test_a_start_that_an_earlier_save_can_undo_is_not_saved(
    client: RTorrent, session: Session, item: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.call("d.start", item)
    assert session.save(client, item, {"state": 1}, 30)
    assert session.has_start(item, save_threads.now())

    def is_saving(_session: Session, _item: str, _at: float) -> bool:
        return True

    monkeypatch.setattr(Session, "is_saving", is_saving)
    assert session.has_start(item, save_threads.now()) is False


def test_a_save_of_another_version_or_container_is_given_time(client: RTorrent, session: Session, item: str) -> None:
    """Its threads are not visible there; the pid of this process stands for that of another program."""
    assert session.save(client, item, {"state": 0}, 30)
    hidden = replace(session, pid=os.getpid(), saves_overlap=True)
    assert hidden.is_saving(item, save_threads.now())
    eventually(
        lambda: session.save(client, item, {"state": 0}, 30) and not hidden.is_saving(item, save_threads.now() - 1),
        why="a save that fails because another one runs leaves its files",
    )
    assert not replace(hidden, saves_overlap=False).is_saving(item, save_threads.now())


def test_a_save_that_hangs_holds_up_no_other_save_beyond_its_time(
    client: RTorrent, session: Session, item: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_saving(_session: Session, _item: str, _at: float) -> bool:
        return True

    monkeypatch.setattr(Session, "is_saving", is_saving)
    assert session.save(client, item, {"state": 0}, 0.2), "its values are saved"
    assert session.save(client, item, {"state": 1}, 0.2) is False
