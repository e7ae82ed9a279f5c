# pyright: reportPrivateUsage=false
"""Differences between two readings are events only within one known session: never those of another rTorrent."""

import logging
import shutil
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import TorrentCompleted, TorrentErased
from pyrotorque.rtorrent.recognition import LOADING_SECONDS, STAYS_SECONDS
from pyrotorque.rtorrent.session_mark import FILE_NAME, read_mark
from tests import programs
from tests.contracts.test_scheduler_completion import complete, detect, load_with_data
from tests.other_rtorrent import other
from tests.scheduling import QueueScene, queue_scene
from tests.waiting import eventually

OTHERS = 12
"""Items of a scene: more than may be missing after a restart without proof."""
NO_LOCK = "session.use_lock.set = no"
"""Our process cannot prove that a folder is the session of this rTorrent then."""


def saved(rtorrent: PrivateRTorrent, item: str) -> bool:
    return all(
        (rtorrent.session / f"{item}.torrent{each}").exists() for each in ("", ".rtorrent", ".libtorrent_resume")
    )


def loaded(d: QueueScene, rtorrent: PrivateRTorrent, count: int = OTHERS, name: str = "item") -> list[str]:
    """Stopped items that rTorrent has saved."""
    items = [d.load(f"{name} {number}") for number in range(count)]
    eventually(lambda: all(saved(rtorrent, item) for item in items), why="all items are saved")
    return items


def erased(d: QueueScene) -> set[str]:
    return {event.info_hash for event in d.events() if isinstance(event, TorrentErased)}


def completed(d: QueueScene) -> list[str]:
    return [event.info_hash for event in d.events() if isinstance(event, TorrentCompleted)]


def erase(d: QueueScene, rtorrent: PrivateRTorrent, items: list[str]) -> None:
    for item in items:
        d.rtorrent.call("d.erase", item)
    eventually(lambda: not any((rtorrent.session / f"{item}.torrent").exists() for item in items), why="files are gone")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    names = (
        "pyrotorque_scheduler.session_judge",
        "pyrotorque_scheduler.completion",
        "pyrotorque_scheduler.item_comparison",
    )
    return [r.message for r in caplog.records if r.levelno >= logging.WARNING and r.name in names]


def test_items_that_another_rtorrent_does_not_have_are_not_erased(
    rtorrent: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent)
        done = load_with_data(d, short_folder, "completes while the other one answers")
        detect(d)
        with other(rtorrent, short_folder):
            complete(d, load_with_data(d, short_folder, "completes in the other one"))
            assert [detect(d, at) for at in (15, 30, 200)] == [0, 0, 0]
        d.rtorrent.call("d.start", done)
        eventually(lambda: d.rtorrent.call("d.complete", done) == 1)
        erase(d, rtorrent, items[:2])
        assert detect(d, at=400) == 3
        assert (completed(d), erased(d)) == ([done], set(items[:2]))
        assert len(warnings(caplog)) == 1
        assert "accept-rtorrent" in warnings(caplog)[0]


def test_an_empty_rtorrent_erases_nothing(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent, 3)
        detect(d)
        with other(rtorrent, short_folder):
            assert [detect(d, at) for at in (15, 400, 5000)] == [0, 0, 0]
        d.rtorrent.call("d.erase", items[0])
        assert detect(d, at=6000) == 1


def test_an_unmounted_session_folder_erases_nothing(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        loaded(d, rtorrent, 3)
        detect(d)
        rtorrent.stop(timeout=3)
        disk = rtorrent.session.rename(short_folder / "disk")
        rtorrent.start()
        assert [detect(d, at) for at in (15, 400)] == [0, 0]
        rtorrent.stop(timeout=3)
        shutil.rmtree(rtorrent.session)
        disk.rename(rtorrent.session)
        rtorrent.start()
        assert [detect(d, at) for at in (500, 515, 900)] == [0, 0, 0]
        assert d.store.db.execute("SELECT count(*) FROM known_items").fetchone() == (3,)


def test_sixty_items_that_are_erased_at_once_are_published(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent, 60)
        detect(d)
        erase(d, rtorrent, items)
        assert detect(d, at=15) == 60
        assert erased(d) == set(items)


def test_items_that_are_erased_before_a_restart_are_published(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent, 30)
        detect(d)
        erase(d, rtorrent, items[:29])
        rtorrent.kill()
        rtorrent.start()
        assert [detect(d, at) for at in (15, 30)] == [29, 0]
        assert erased(d) == set(items[:29])


def test_an_item_that_completes_before_a_restart_is_published(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        item = load_with_data(d, short_folder, "one")
        detect(d)
        complete(d, item)
        d.rtorrent.call("session.save", "")
        eventually(lambda: saved(rtorrent, item))
    rtorrent.stop(timeout=3)
    rtorrent.start()
    with queue_scene(rtorrent, short_folder) as d:
        assert [detect(d, at) for at in (15, 30)] == [1, 0]
        assert completed(d) == [item]


def test_an_item_that_rtorrent_cannot_load_from_its_session_is_not_erased(
    rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent, 4)
        detect(d)
        rtorrent.stop(timeout=3)
        file = rtorrent.session / f"{items[0]}.torrent"
        whole = file.read_bytes()
        file.write_bytes(whole[:20])  # a full disk
        rtorrent.start()
        assert [detect(d, at) for at in (15, 30, 400)] == [0, 0, 0]
        rtorrent.stop(timeout=3)
        file.write_bytes(whole)
        rtorrent.start()
        assert [detect(d, at) for at in (500, 515)] == [0, 0]
        d.rtorrent.call("d.erase", items[0])
        assert detect(d, at=600) == 1


def test_an_item_whose_session_file_is_removed_by_hand_is_erased(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent, 2)
        detect(d)
        rtorrent.stop(timeout=3)
        file = rtorrent.session / f"{items[0]}.torrent"
        file.write_bytes(b"damaged")
        rtorrent.start()
        assert detect(d, at=15) == 0
        file.unlink()
        assert [detect(d, at) for at in (30, 45)] == [1, 0]


def test_what_an_older_session_lacks_is_not_erased(
    rtorrent: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        loaded(d, rtorrent, 20)
        detect(d)
        rtorrent.stop(timeout=3)
        shutil.copytree(rtorrent.session, short_folder / "backup")
        rtorrent.start()
        later = loaded(d, rtorrent, 3, "later")
        detect(d, at=100)
        rtorrent.stop(timeout=3)
        shutil.rmtree(rtorrent.session)
        (short_folder / "backup").rename(rtorrent.session)
        rtorrent.start()
        assert [detect(d, at) for at in (200, 215, 600)] == [0, 0, 0]
        assert len(warnings(caplog)) == 1
        assert "older copy of its session" in warnings(caplog)[0]
        # From now on its differences are events again.
        d.rtorrent.call("d.erase", d.loaded[0])
        assert detect(d, at=700) == 1
        assert not erased(d) & set(later)


def test_a_moved_session_is_the_known_one(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent)
        detect(d)
        erase(d, rtorrent, items[:8])
        rtorrent.stop(timeout=3)
        rtorrent.session = rtorrent.session.rename(short_folder / "new place")
        rtorrent.start()
        assert detect(d, at=15) == 8
        assert erased(d) == set(items[:8])


def test_a_copied_session_is_accepted_without_events(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent)
        detect(d)
        rtorrent.stop(timeout=3)
        shutil.copytree(rtorrent.session, short_folder / "copy")
        rtorrent.start()
        erase(d, rtorrent, items[:2])
        assert detect(d, at=100) == 2
        with other(rtorrent, short_folder, short_folder / "copy"):
            assert [detect(d, at) for at in (200, 215)] == [0, 0]
            d.rtorrent.call("d.erase", items[5])
            assert detect(d, at=300) == 1
        # The known one again: what was recorded from the copy says nothing about it.
        assert [detect(d, at) for at in (400, 415)] == [0, 0]
        assert erased(d) == {*items[:2], items[5]}


def test_a_removed_mark_is_written_again(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    session = bytes(rtorrent.session)
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent)
        detect(d)
        (rtorrent.session / FILE_NAME.decode()).unlink()
        rtorrent.kill()
        rtorrent.start()
        assert detect(d, at=15) == 0
        assert read_mark(session) is not None
        d.rtorrent.call("d.erase", items[0])
        assert detect(d, at=30) == 1


def test_a_session_that_cannot_be_marked_is_recognized(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    (rtorrent.session / "pyrotorque.mark").mkdir()  # also for root
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent)
        detect(d)
        erase(d, rtorrent, items[:3])
        rtorrent.kill()
        rtorrent.start()
        assert detect(d, at=15) == 3
        with other(rtorrent, short_folder):
            assert [detect(d, at) for at in (30, 400)] == [0, 0]
        assert [detect(d, at) for at in (500, 515)] == [0, 0]


def test_another_rtorrent_is_accepted_by_request(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        loaded(d, rtorrent)
        detect(d)
        assert d.job_table.completion is not None
        assert "already" in d.job_table.completion.accept(10)
        with other(rtorrent, short_folder):
            detect(d, at=15)
            item = d.load("of the other one")
            assert "accepted" in d.job_table.completion.accept(20)
            assert d.event_types() == []
            d.rtorrent.call("d.erase", item)
            assert detect(d, at=30) == 1
        assert detect(d, at=40) == 0


def test_another_rtorrent_that_stays_is_accepted_without_events(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        loaded(d, rtorrent)
        detect(d)
        with other(rtorrent, short_folder) as another:
            assert detect(d, at=15) == 0
            item = d.load("of the other one")
            eventually(lambda: saved(another, item))
            another.kill()
            another.start()  # also when it is restarted meanwhile
            assert [detect(d, at) for at in (30, STAYS_SECONDS - 100, STAYS_SECONDS + 100)] == [0, 0, 0]
            d.rtorrent.call("d.erase", item)
            assert detect(d, at=STAYS_SECONDS + 200) == 1


@pytest.fixture
def unseen(rtorrent: PrivateRTorrent) -> PrivateRTorrent:
    """An rTorrent whose session folder we cannot see, as in another container."""
    rtorrent.stop(timeout=3)
    rtorrent.extra_rc = NO_LOCK
    return rtorrent.start()


def test_without_its_session_few_missing_items_are_erased(unseen: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(unseen, short_folder) as d:
        items = loaded(d, unseen)
        detect(d)
        erase(d, unseen, items[:2])
        unseen.kill()
        unseen.start()
        assert detect(d, at=15) == 2


def test_without_its_session_many_missing_items_may_still_be_loading(
    unseen: PrivateRTorrent, short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with queue_scene(unseen, short_folder) as d:
        items = loaded(d, unseen, 30)
        detect(d)
        unseen.kill()
        kept = [unseen.session / f"{item}.torrent" for item in items[:10]]
        data = [path.read_bytes() for path in kept]
        for path in kept:
            path.unlink()
        unseen.start()
        assert [detect(d, at) for at in (15, 30)] == [0, 0]
        for content in data:
            d.rtorrent.call("load.raw", "", content)
        eventually(lambda: len(d.rtorrent.rows("main", ["d.hash="])) == 30)
        assert detect(d, at=100) == 0
        d.rtorrent.call("d.erase", items[0])
        assert detect(d, at=200) == 1
        assert len(warnings(caplog)) == 1


def test_without_its_session_missing_items_are_dropped_after_a_while(
    unseen: PrivateRTorrent, short_folder: Path
) -> None:
    with queue_scene(unseen, short_folder) as d:
        items = loaded(d, unseen, 30)
        detect(d)
        erase(d, unseen, items[:10])
        unseen.kill()
        unseen.start()
        assert [detect(d, at) for at in (15, LOADING_SECONDS + 100)] == [0, 0]
        d.rtorrent.call("d.erase", items[20])
        assert detect(d, at=LOADING_SECONDS + 200) == 1


def test_without_any_session_folder_another_rtorrent_erases_nothing(
    unseen: PrivateRTorrent, short_folder: Path
) -> None:
    with queue_scene(unseen, short_folder) as d:
        loaded(d, unseen, 3)
        detect(d)
        with other(unseen, short_folder, extra_rc=NO_LOCK):
            assert [detect(d, at) for at in (15, 5000)] == [0, 0]
        assert [detect(d, at) for at in (6000, 6015)] == [0, 0]


def test_an_rtorrent_that_is_replaced_during_a_comparison_erases_nothing(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        loaded(d, rtorrent, 3)
        detect(d)
        assert d.job_table.completion is not None
        client = d.job_table.completion._rtorrent
        original = client.scan_rows
        another = PrivateRTorrent(short_folder / "other")
        another.socket = rtorrent.socket

        def replaced(*arguments: object, **named: object) -> object:
            if rtorrent.running:
                rtorrent.stop(timeout=3)
                another.start()
            return original(*arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(client, "scan_rows", replaced)
        d.load("one more, so that all are compared")
        try:
            assert [detect(d, at) for at in (15, 30, 400)] == [0, 0, 0]
            assert d.store.db.execute("SELECT count(*) FROM known_items").fetchone() == (3,)
        finally:
            another.stop(timeout=3)


def test_the_first_rtorrent_after_an_upgrade_is_known(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent)
        detect(d)
        with d.store.transaction() as db:  # as 1.0.0 stored it
            db.execute("DELETE FROM known_rtorrent")
    erase(d, rtorrent, items[:2])
    with queue_scene(rtorrent, short_folder) as d:
        assert [detect(d, at) for at in (15, 30)] == [2, 0]
        assert erased(d) == set(items[:2])


@pytest.mark.rtorrent_version("<0.10", reason="it starts with the older one")
def test_an_upgraded_rtorrent_on_the_same_session_is_the_known_one(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = [program for program in programs.rtorrents() if program.satisfies(">=0.16")]
    if not newer:
        pytest.skip("there is no newer rTorrent")
    with queue_scene(rtorrent, short_folder) as d:
        items = loaded(d, rtorrent)
        detect(d)
        erase(d, rtorrent, items[:7])
        rtorrent.stop(timeout=3)
        monkeypatch.setenv("PATH", str(newer[0].path.parent), prepend=":")
        rtorrent.start()
        assert detect(d, at=15) == 7
        assert str(d.rtorrent.call("system.client_version")).startswith("0.16")
