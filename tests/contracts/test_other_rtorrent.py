# pyright: reportPrivateUsage=false
"""While another rTorrent answers, no consumer of differences acts on them: watcher, starts, mover, tracker totals."""

import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import SessionNotKnown
from pyrotorque.events import TorrentStarted
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.recognition import RECORD_NAME, SessionGate
from pyrotorque_fleet.holders import ItemHolders
from pyrotorque_fleet.messages import SoughtItem
from pyrotorque_scheduler.queue import unsaved_starts
from pyrotorque_scheduler.queue.parked_items import ParkedItem, ParkedItems
from pyrotorque_scheduler.queue.stall import NEVER
from pyrotorque_scheduler.session_judge import SessionJudge
from pyrotorque_watcher.fleet.releases import HeldReleases
from pyrotorque_watcher.rows import PUBLISHED, Row
from pyrotorque_watcher.settle.ties import TieChange, Ties
from tests.contracts.test_jobs_mover import Killed, Scene
from tests.contracts.test_scheduler_completion import detect
from tests.contracts.test_scheduler_other_rtorrent import loaded
from tests.other_rtorrent import other
from tests.scheduling import QueueScene, moment, queue_job, queue_scene
from tests.waiting import eventually
from tests.watching import Watching, job


def scheduler(rtorrent: PrivateRTorrent, state: Path) -> QueueScene:
    """What a scheduler has recorded about this rTorrent is in `state` afterwards."""
    state.mkdir(parents=True, exist_ok=True)
    with queue_scene(rtorrent, state) as d:
        detect(d)
        return d


def settle_often(watching: Watching) -> None:
    """Turns as in a minute, without the pauses."""
    stages = watching.watcher.stages
    assert stages is not None
    for _ in range(30):
        stages._held_until = 0.0
        stages.durability.check_now()
        stages.disposer.attempts.all_now()
        watching.rescan()
        watching.settle()


def test_a_metafile_stays_while_another_rtorrent_lacks_its_item(
    rtorrent: PrivateRTorrent, root: Path, short_folder: Path
) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        watching.settle()
        info = watching.load(root / "a.torrent")
        scheduler(rtorrent, watching.layout.state_dir)
        watching.again(job(root, on_loaded="delete"))
        with other(rtorrent, short_folder):
            scheduler(rtorrent, watching.layout.state_dir)
            (root / "a.torrent").rename(root / "b.torrent")
            settle_often(watching)
            assert (root / "b.torrent").exists()
            stages = watching.watcher.stages
            assert stages is not None
            with pytest.raises(SessionNotKnown):
                stages.disposer.ties.apply([TieChange(info, os.fsencode(root / "b.torrent"), b"")])
        scheduler(rtorrent, watching.layout.state_dir)
        client = RTorrent(rtorrent.url)
        watching.until(lambda: str(client.call("d.tied_to_file", info)) == str(root / "b.torrent"))


def test_an_item_that_was_not_saved_yet_is_not_loaded_again_into_another_rtorrent(
    rtorrent: PrivateRTorrent, root: Path, short_folder: Path
) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        watching.settle()
        path = root / "a.torrent"
        watching.load(path)
        scheduler(rtorrent, watching.layout.state_dir)
        with watching._store.transaction() as db:  # as if rTorrent had not saved it yet
            db.execute("UPDATE metafiles SET state = 'visible', next_try = 0")
        with other(rtorrent, short_folder):
            scheduler(rtorrent, watching.layout.state_dir)
            settle_often(watching)
            assert RTorrent(rtorrent.url).rows("main", ["d.hash="]) == []
            assert watching.state(path) == "visible"
        scheduler(rtorrent, watching.layout.state_dir)
        watching.until(lambda: watching.state(path) == "loaded")


def held_item(watching: Watching, rtorrent: PrivateRTorrent, path: Path) -> str:
    """An item as the fleet holds it: by the ledger, stopped, its priority off; the other item is not the fleet's."""
    info = watching.load(path)
    watching.load(path.with_name("other.torrent"))
    watching.settle()
    RTorrent(rtorrent.url).call("d.priority.set", info, 0)
    with watching._store.transaction() as db:
        db.execute(f"UPDATE metafiles SET hold = 1, {PUBLISHED} = 0 WHERE info_hash = ?", (info,))
    scheduler(rtorrent, watching.layout.state_dir)
    return info


def test_a_held_item_is_not_released_by_another_rtorrent(
    rtorrent: PrivateRTorrent, root: Path, short_folder: Path
) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        watching.settle()
        info = held_item(watching, rtorrent, root / "a.torrent")
        releases = watching.watcher.stages.releases  # type: ignore[union-attr]
        before = watching.loaded
        with other(rtorrent, short_folder):
            scheduler(rtorrent, watching.layout.state_dir)
            releases.rows.permit(info, 0.0)
            releases.notice()
            settle_often(watching)
            assert watching.loaded == before
            with pytest.raises(SessionNotKnown):
                releases.step(time.time() + 60)
        scheduler(rtorrent, watching.layout.state_dir)
        watching.watcher.stages._held_until = 0.0  # type: ignore[union-attr]
        client = RTorrent(rtorrent.url)
        watching.until(lambda: client.call("d.priority", info) == 2)
        watching.until(lambda: len(watching.loaded) == len(before) + 1)


def test_rtorrent_is_replaced_while_an_item_is_released(
    rtorrent: PrivateRTorrent, root: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching, ExitStack() as stack:
        watching.settle()
        info = held_item(watching, rtorrent, root / "a.torrent")
        releases = watching.watcher.stages.releases  # type: ignore[union-attr]
        before, applied = watching.loaded, HeldReleases._applied

        def by_the_other(self: HeldReleases, row: Row) -> Row | None:
            stack.enter_context(other(rtorrent, short_folder))
            scheduler(rtorrent, watching.layout.state_dir)
            return applied(self, row)

        releases.rows.permit(info, 0.0)
        releases.notice()
        with monkeypatch.context() as patched:
            patched.setattr(HeldReleases, "_applied", by_the_other)
            with pytest.raises(SessionNotKnown):
                releases.step(time.time() + 60)
        assert watching.loaded == before
        stack.close()
        scheduler(rtorrent, watching.layout.state_dir)
        watching.watcher.stages._held_until = 0.0  # type: ignore[union-attr]
        client = RTorrent(rtorrent.url)
        watching.until(lambda: client.call("d.priority", info) == 2)


def test_a_held_item_is_not_discarded_by_what_another_rtorrent_lacks(
    rtorrent: PrivateRTorrent, root: Path, short_folder: Path
) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        watching.settle()
        info = held_item(watching, rtorrent, root / "a.torrent")
        releases = watching.watcher.stages.releases  # type: ignore[union-attr]
        with other(rtorrent, short_folder):
            scheduler(rtorrent, watching.layout.state_dir)
            assert "another rTorrent" in releases.discard(info)
            assert (root / "a.torrent").exists()
        scheduler(rtorrent, watching.layout.state_dir)
        assert not releases.discard(info)
        assert not (root / "a.torrent").exists()
        assert info not in str(RTorrent(rtorrent.url).rows("main", ["d.hash="]))


def test_items_of_another_rtorrent_are_no_answer_to_the_fleet(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    """Another group would load what the known rTorrent has, and this one would bid with the wrong rTorrent."""
    state = short_folder / "config/state"
    with Watching(short_folder, url=rtorrent.url), queue_scene(rtorrent, state) as d:
        item = loaded(d, rtorrent, 1)[0]
        detect(d)
    holders = ItemHolders("here", state / "watcher.sqlite3", RTorrent(rtorrent.url), SessionGate(state))
    assert holders.present([item, "A" * 40]) == {item}
    answer = holders.answer((SoughtItem(info_hash=item), SoughtItem(info_hash="A" * 40)))
    assert (answer.items, answer.kept) == ((item,), (item,))
    with other(rtorrent, short_folder):
        scheduler(rtorrent, state)
        assert holders.present([item]) is None
        answer = holders.answer((SoughtItem(info_hash=item),))
        assert (answer.items, answer.kept) == ((), None), "it could not look"
    scheduler(rtorrent, state)
    assert holders.present([item]) == {item}


def test_a_start_that_was_cut_off_waits_for_the_known_rtorrent(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder, queue_job(schedule="second=*")) as d:
        item = loaded(d, rtorrent, 1)[0]
        detect(d)
        with d.store.transaction() as db:  # as if killed after the start
            db.execute("INSERT INTO intents VALUES (?, 'queue', 'item', 0, 1)", (item,))
        d.rtorrent.call("d.start", item)
        d.rtorrent.call("d.save_full_session", item)
        eventually(lambda: b"5:statei1e" in (rtorrent.session / f"{item}.torrent.rtorrent").read_bytes())
    with queue_scene(rtorrent, short_folder, queue_job(schedule="second=*")) as d:
        assert d.job_table.starter is not None
        with other(rtorrent, short_folder):
            for at in (15, 30):
                with pytest.raises(SessionNotKnown):
                    d.job_table.starter.recover(moment(at).ticks)
                detect(d, at=at)
            assert d.job_table.starter.has_open_intents()
        with pytest.raises(SessionNotKnown):  # not compared yet
            d.job_table.starter.recover(moment(40).ticks)
        detect(d, at=45)
        d.job_table.starter.recover(moment(50).ticks)
        eventually(lambda: (d.job_table.starter.verify(time.monotonic()), d.events())[1])  # type: ignore[union-attr]
        assert [type(event) for event in d.events()] == [TorrentStarted]


def test_an_unsaved_start_is_not_forgotten_for_another_rtorrent(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with queue_scene(rtorrent, short_folder) as d:
        item = loaded(d, rtorrent, 1)[0]
        detect(d)
        with d.store.transaction() as db:
            db.execute("INSERT INTO unsaved_starts (info_hash, at) VALUES (?, ?)", (item, time.time()))
    with queue_scene(rtorrent, short_folder) as d, other(rtorrent, short_folder):
        detect(d, at=15)
        assert d.job_table.starter is not None
        d.job_table.starter.verify(1.0)
        assert 0 < d.job_table.starter.wait(1.0) <= unsaved_starts.SAVE_AGAIN
        assert d.store.db.execute("SELECT count(*) FROM unsaved_starts").fetchone() == (1,)


def test_rows_of_started_and_parked_items_are_left_to_the_known_rtorrent(
    rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    """Another one may have the same items, in other states: a copy of the session, for example."""
    settings = queue_job(schedule="second=*", startable="prio>0 name=/ed$/", start_at_once=9, downloading_min=9)
    with queue_scene(rtorrent, short_folder, settings) as d:
        loaded(d, rtorrent, 20)
        parked, started = d.load("parked"), d.load("started")
        detect(d)
        assert d.check(at=0).started == 2
        ParkedItems(d.store).put(ParkedItem(parked, "queue", "parked", 1, 10**6, 1.0, NEVER))
        d.rtorrent.call("d.stop", parked)
        d.rtorrent.call("d.close", parked)

        def rows() -> list[tuple[object, ...]]:
            tables = ("SELECT info_hash FROM started_items", "SELECT info_hash, strikes, parked FROM parked")
            return [row for query in tables for row in d.store.db.execute(f"{query} ORDER BY 1")]

        before = rows()
        assert len(before) == 3
        with other(rtorrent, short_folder):
            client = RTorrent(rtorrent.url)
            client.call("load.raw_start", "", make_metafile("parked"))
            client.call("load.raw", "", make_metafile("started"), "d.priority.set=0")
            eventually(lambda: (parked, "1") in client.rows("main", ["d.hash=", "d.is_active="]))
            for at in (15, 30, 45):
                detect(d, at=at)
                d.check(at=at)
                assert rows() == before
            assert client.call("d.is_active", parked) == 1
        detect(d, at=60)
        client = RTorrent(rtorrent.url)
        client.call("d.stop", started)
        client.call("d.priority.set", started, 0)
        d.check(at=75)
        assert (started,) not in rows(), "stopped in the known one"


def test_a_move_that_was_cut_off_waits_for_the_known_rtorrent(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(rtorrent, short_folder, short_folder / "done", multi=True)
    scheduler(rtorrent, short_folder / "state")
    moving = scene.job()

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("pyrotorque.jobs.move_files.sync_folder", killed)
    with pytest.raises(Killed):  # after the data was renamed, before rTorrent has its new path
        moving.run()
    monkeypatch.undo()
    eventually(lambda: (rtorrent.session / f"{scene.hash}.torrent.rtorrent").exists())
    with other(rtorrent, short_folder):
        scheduler(rtorrent, short_folder / "state")
        with caplog.at_level(logging.WARNING):
            scene.job().run()
        assert "another rTorrent answers" in caplog.text
    scheduler(rtorrent, short_folder / "state")
    scene.job().run()
    eventually(scene.has_moved, 20)


def test_the_gate_waits_for_the_scheduler_a_minute_at_most(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    rtorrent.stop(timeout=3)
    rtorrent.extra_rc = "session.use_lock.set = no"
    rtorrent.start()
    scheduler(rtorrent, short_folder)
    now = [100.0]
    gate, client = SessionGate(short_folder, clock=lambda: now[0]), RTorrent(rtorrent.url)
    gate.check(client)
    rtorrent.kill()
    rtorrent.start()
    for at in (100.0, 130.0, 159.0):
        now[0] = at
        with pytest.raises(SessionNotKnown, match="has not compared"):
            gate.check(client)
    now[0] = 161.0
    gate.check(client)


def test_a_restarted_rtorrent_with_the_marked_session_is_known_at_once(
    rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    scheduler(rtorrent, short_folder)
    gate, client = SessionGate(short_folder), RTorrent(rtorrent.url)
    rtorrent.kill()
    rtorrent.start()
    gate.check(client)


def test_the_record_is_written_again_if_it_was_removed(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    scheduler(rtorrent, short_folder)
    (short_folder / RECORD_NAME).unlink()
    gate, client = SessionGate(short_folder), RTorrent(rtorrent.url)
    gate.check(client)  # as in a group of 1.0.0
    with queue_scene(rtorrent, short_folder) as d:
        assert (short_folder / RECORD_NAME).exists()
        assert isinstance(d.job_table.judge, SessionJudge)


def test_ties_without_a_gate_work_alone(rtorrent: PrivateRTorrent) -> None:
    assert Ties(RTorrent(rtorrent.url), SessionGate(Path("/nonexistent")).session, _always).apply([]) == []


def _always(*_: object) -> bool:
    return True
