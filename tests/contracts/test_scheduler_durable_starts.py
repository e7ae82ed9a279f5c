"""Starts on a real rTorrent that is killed, restarted, or cannot save its session: published once, never lost."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentUnavailable
from pyrotorque.events import TorrentStarted
from pyrotorque.rtorrent import Call, RTorrent
from pyrotorque_scheduler.queue import starter, unsaved_starts
from pyrotorque_scheduler.queue.check_result import CheckResult
from tests.contracts.test_scheduler_completion import detect
from tests.scheduling import QueueScene, moment, queue_job, queue_scene
from tests.waiting import eventually

FAST = queue_job(schedule="second=*")


def restart_after_kill(rtorrent: PrivateRTorrent) -> None:
    rtorrent.kill()
    rtorrent.start()


def obstruct(rtorrent: PrivateRTorrent, item: str) -> Path:
    """Let rTorrent fail to save the item, without a message: it writes to a file of this name first."""
    obstacle = rtorrent.session / f"{item}.torrent.rtorrent.new"
    # 0.16 may leave a file of that name, where two saves met.
    obstacle.unlink(missing_ok=True)
    obstacle.mkdir()
    return obstacle


def check(d: QueueScene, at: float) -> CheckResult:
    """A check that waits for nothing afterwards."""
    return d.queue.check(moment(at), "tick")


def verify(d: QueueScene) -> bool:
    """Verify what is due; whether nothing is pending any more."""
    found = d.job_table.starter
    assert found is not None
    found.verify(time.monotonic())
    return not found.has_open_intents() and found.wait(time.monotonic()) > 1.0


def published(d: QueueScene) -> list[bool | None]:
    """`durable` of each published start."""
    return [event.durable for event in d.events() if isinstance(event, TorrentStarted)]


def loaded(d: QueueScene, rtorrent: PrivateRTorrent, name: str = "one") -> str:
    item = d.load(name)
    saved = [rtorrent.session / f"{item}.torrent{suffix}" for suffix in ("", ".libtorrent_resume", ".rtorrent")]
    # Not while 0.16 still writes HASH.torrent.rtorrent.new.
    eventually(lambda: all(path.exists() for path in saved), why="the load is saved")
    return item


def test_a_published_start_survives_a_kill_of_rtorrent(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        for number in range(5):
            item = loaded(d, rtorrent, f"number {number}")
            assert check(d, at=number).started == 1
            eventually(lambda: verify(d))
            restart_after_kill(rtorrent)
            assert d.rtorrent.call("d.state", item) == 1
        assert published(d) == [True] * 5


@pytest.mark.parametrize("is_back", [False, True], ids=["ended", "restarted"])
def test_a_start_that_an_ending_rtorrent_answered_is_published_when_it_is_back(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_back: bool
) -> None:
    """It pauses all items before it answers the calls that it has received; here, `d.pause` does that at the right
    moment."""
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item, multicall = loaded(d, rtorrent), RTorrent.multicall
        sent: list[Sequence[Call]] = []

        def ending(client: RTorrent, calls: Sequence[Call], *rest: Any, **options: Any) -> list[Any]:
            if ("d.start", (item,)) in calls:
                place = calls.index(("d.save_full_session", (item,))) + 1
                sent.append(calls)
                answers = multicall(client, calls[:place], *rest, **options)
                eventually(lambda: client.call("d.is_active", item) == 1)
                return [*answers, *multicall(client, [("d.pause", (item,)), *calls[place:]], *rest, **options)[1:]]
            if len(sent) == 1 and ("d.is_hash_checked", (item,)) in calls:
                sent.append(calls)
                rtorrent.stop()
                if is_back:
                    rtorrent.start()
            return multicall(client, calls, *rest, **options)

        monkeypatch.setattr(RTorrent, "multicall", ending)
        with pytest.raises(RTorrentUnavailable):
            check(d, at=0)
        if not is_back:
            rtorrent.start()
        assert d.job_table.starter is not None
        eventually(lambda: d.rtorrent.call("d.is_active", item) == 1)
        d.job_table.starter.recover(time.monotonic())
        eventually(lambda: verify(d))
        assert d.event_types() == ["TorrentStarted"]
        assert published(d) == [True]


def test_a_start_that_rtorrent_lost_before_it_was_saved_is_repeated_and_published_once(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = loaded(d, rtorrent)
        obstacle = obstruct(rtorrent, item)
        assert check(d, at=0).started == 1
        assert not verify(d)
        rtorrent.kill()
        obstacle.rmdir()
        rtorrent.start()
        eventually(lambda: verify(d))
        assert published(d) == []
        assert check(d, at=5).started == 1
        eventually(lambda: verify(d))
        assert published(d) == [True]


def test_a_start_that_rtorrent_cannot_save_is_published_as_not_durable_and_never_again(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "SAVED_WITHIN", 0.5)
    monkeypatch.setattr(unsaved_starts, "SAVE_AGAIN", 0.1)
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = loaded(d, rtorrent)
        obstacle = obstruct(rtorrent, item)
        check(d, at=0)
        eventually(lambda: verify(d) or published(d))
        assert published(d) == [False]
        restart_after_kill(rtorrent)
        assert d.rtorrent.call("d.state", item) == 0
        obstacle.rmdir()
        assert check(d, at=5).started == 1
        eventually(lambda: verify(d))
        assert published(d) == [False]
        assert d.store.db.execute("SELECT count(*) FROM unsaved_starts").fetchone() == (0,)
        restart_after_kill(rtorrent)
        assert d.rtorrent.call("d.state", item) == 1


def test_a_start_is_published_once_if_the_item_itself_is_lost_and_loaded_again(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "SAVED_WITHIN", 0.2)
    monkeypatch.setattr(unsaved_starts, "SAVE_AGAIN", 0.05)
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = loaded(d, rtorrent)
        obstacle = obstruct(rtorrent, item)
        check(d, at=0)
        eventually(lambda: verify(d) or published(d))
        rtorrent.kill()
        obstacle.rmdir()
        for path in rtorrent.session.glob(f"{item}*"):
            path.unlink()
        rtorrent.start()
        time.sleep(0.05)
        verify(d)  # the item is not there
        assert loaded(d, rtorrent) == item
        assert check(d, at=60).started == 1
        eventually(lambda: verify(d))
        assert published(d) == [False]


def verify_all(d: QueueScene) -> None:
    """Whatever waits is due."""
    assert d.job_table.starter is not None
    d.job_table.starter.verify(time.monotonic() + 60)


def unsaved(d: QueueScene, rtorrent: PrivateRTorrent, loaded_at: int) -> tuple[str, Path]:
    """An item whose start was published as not durable, and what obstructs its session file."""
    item = d.load("one", f"d.custom.set=tm_loaded,{loaded_at}")
    eventually(lambda: (rtorrent.session / f"{item}.torrent.rtorrent").exists())
    detect(d, at=0)
    obstacle = obstruct(rtorrent, item)
    check(d, at=0)
    eventually(lambda: verify(d) or published(d))
    assert published(d) == [False]
    return item, obstacle


def add_again(d: QueueScene, rtorrent: PrivateRTorrent, item: str, obstacle: Path, loaded_at: int) -> None:
    """As its owner does it; the session can be saved now."""
    d.rtorrent.call("d.erase", item)
    obstacle.rmdir()
    eventually(lambda: not (rtorrent.session / f"{item}.torrent").exists())
    assert d.load("one", f"d.custom.set=tm_loaded,{loaded_at}") == item
    eventually(lambda: (rtorrent.session / f"{item}.torrent.rtorrent").exists())


@pytest.mark.parametrize("seen", ["not at all", "as another load", "as absent", "as erased", "after a restart"])
def test_the_start_of_an_item_that_its_owner_erased_and_added_again_is_published(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    """Also if the start before was published, but never saved."""
    monkeypatch.setattr(starter, "SAVED_WITHIN", 0.2)
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item, obstacle = unsaved(d, rtorrent, loaded_at=1_700_000_000)
        if seen in ("as absent", "as erased"):
            d.rtorrent.call("d.erase", item)
            eventually(lambda: verify(d)) if seen == "as absent" else detect(d, at=30)
            d.load("one")
        if seen == "after a restart":
            restart_after_kill(rtorrent)
            detect(d, at=30)  # it is known, and compared
            verify_all(d)
        add_again(d, rtorrent, item, obstacle, loaded_at=1_700_000_100)
        if seen == "as another load":
            verify_all(d)
        monkeypatch.setattr(starter, "SAVED_WITHIN", 20.0)  # a busy machine
        assert check(d, at=60).started == 1
        eventually(lambda: verify(d))
        assert published(d) == [False, True]
        assert d.store.db.execute("SELECT count(*) FROM unsaved_starts").fetchone() == (0,)


@pytest.mark.parametrize("loaded_at", [1_700_000_000, 0], ids=["now", "recorded by an earlier version"])
def test_a_repeated_start_is_published_once_although_the_load_time_changed_with_rtorrent(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded_at: int
) -> None:
    """Without tm_loaded, rTorrent's own load time is that of its start."""
    monkeypatch.setattr(starter, "SAVED_WITHIN", 0.2)
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item, obstacle = unsaved(d, rtorrent, loaded_at=1_700_000_000)
        with d.store.transaction() as db:
            db.execute("UPDATE unsaved_starts SET loaded = ?", (loaded_at,))
        rtorrent.kill()
        obstacle.rmdir()
        rtorrent.start()
        d.rtorrent.call("d.custom.set", item, "tm_loaded", "")
        detect(d, at=30)
        verify_all(d)  # the rTorrent of now has it
        assert check(d, at=60).started == 1
        eventually(lambda: verify(d))
        assert published(d) == [False]


def test_what_could_not_be_saved_is_saved_later(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "SAVED_WITHIN", 0.5)
    monkeypatch.setattr(unsaved_starts, "SAVE_AGAIN", 0.1)
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = loaded(d, rtorrent)
        obstacle = obstruct(rtorrent, item)
        check(d, at=0)
        eventually(lambda: verify(d) or published(d))
        obstacle.rmdir()
        eventually(lambda: verify(d))
        restart_after_kill(rtorrent)
        assert d.rtorrent.call("d.state", item) == 1
        assert published(d) == [False]


def test_an_item_that_its_owner_stops_before_the_start_is_saved_was_started(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = loaded(d, rtorrent)
        obstacle = obstruct(rtorrent, item)
        check(d, at=0)
        own = d.job_table.starter
        assert own is not None
        # Its hash check may last longer than the first reading; stopped meanwhile, it has not run.
        eventually(lambda: verify(d) or published(d) or not own.is_hash_checking(item))
        d.rtorrent.call("d.stop", item)
        obstacle.rmdir()
        eventually(lambda: verify(d) or published(d))
        assert d.event_types() == ["TorrentStarted"]


def test_an_item_whose_disk_was_missing_when_rtorrent_started_is_started_when_it_is_back(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = d.load("one", f'd.directory.set="{disk}"')
        assert check(d, at=0).started == 1
        eventually(lambda: verify(d))
        rtorrent.kill()
        shutil.rmtree(disk)
        disk.write_text("not mounted")
        rtorrent.start()
        eventually(
            lambda: d.rtorrent.rows("main", ["d.hashing_failed="]) == [("1",)], why="rTorrent cannot check the data"
        )
        assert check(d, at=60).started == 0
        disk.unlink()
        disk.mkdir()
        # The first start fails where the session has files that are missing now.
        assert check(d, at=120).started + check(d, at=180).started == 1
        eventually(lambda: d.rtorrent.call("d.is_active", item) == 1)
        assert d.rtorrent.call("d.message", item) in ("", *TRACKER_MESSAGES)


TRACKER_MESSAGES = tuple(f"Tracker: [Could{word} connect to server]" for word in ("n't", " not"))
