"""What counts as saved in the session of a real rTorrent."""

import os
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.session import Session, is_started
from tests.waiting import eventually

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


def test_a_save_is_over_when_no_other_save_of_the_item_is_in_progress(
    client: RTorrent, session: Session, item: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rTorrent cannot be made to save as slowly; so the file of another save is only reported."""
    looks = [True, True, True]

    def is_saving(_session: Session, _item: str) -> bool:
        return looks.pop() if looks else False

    monkeypatch.setattr(Session, "is_saving", is_saving)
    assert session.save(client, item, {"state": 0}, 30)
    assert not looks


def test_a_save_that_was_cut_off_long_ago_holds_up_no_other_save(
    client: RTorrent, session: Session, item: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_saving(_session: Session, _item: str) -> bool:
        return True

    monkeypatch.setattr(Session, "is_saving", is_saving)
    assert session.save(client, item, {"state": 0}, 0.2), "its values are saved"
    assert session.save(client, item, {"state": 1}, 0.2) is False
