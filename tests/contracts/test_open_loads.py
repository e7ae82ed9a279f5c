"""Items that rTorrent restored without their load commands are started and changed by the watcher's new load only."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import StateError
from pyrotorque.events import TorrentCompleted, TorrentLoaded, TorrentStarted
from pyrotorque.fleet_inbox import FOLDER
from pyrotorque.jobs.action import Action
from pyrotorque.jobs.context import JobContext, current_context, set_context
from pyrotorque.open_loads import MARK, OpenLoads
from pyrotorque.requests import StartTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.availability import Availability
from pyrotorque_scheduler.fire_times import FireTimes
from pyrotorque_scheduler.queue.start_result import StartIntent
from pyrotorque_scheduler.requests import RequestHandler
from tests.dropping import drop, items
from tests.scheduling import QueueScene, moment, queue_job, queue_scene
from tests.waiting import eventually
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")

FAST = queue_job(schedule="second=*", start_at_once=5)


@pytest.fixture
def watching(short_folder: Path, root: Path, rtorrent: PrivateRTorrent) -> Iterator[Watching]:
    settings = job(root, load_mode="start", queued=True, commands=(("label", "d.custom1.set=tv"),))
    with Watching(short_folder, settings, url=rtorrent.url) as started:
        yield started


@pytest.fixture
def root(short_folder: Path) -> Path:
    root = short_folder / "watch"
    root.mkdir()
    return root


@pytest.fixture
def scene(watching: Watching, rtorrent: PrivateRTorrent) -> Iterator[QueueScene]:
    """A queue of the same group, without bus: it cannot know what the watcher does now."""
    with queue_scene(rtorrent, watching.layout.state_dir, FAST) as made:
        yield made


def load_cut_off(watching: Watching, rtorrent: PrivateRTorrent, path: Path) -> str:
    """Load a metafile, and restart rTorrent with its item as if killed before it had saved the load commands."""
    info = drop(path)
    watching.until(lambda: watching.state(path) == "visible")
    attributes = rtorrent.session / f"{info}.torrent.rtorrent"
    eventually(attributes.exists)
    rtorrent.kill()
    attributes.unlink()
    rtorrent.start()
    eventually(lambda: info in items(rtorrent))
    return info


def no_check(_job: str, _cause: object) -> None:
    """Requests that run a queue have another test."""


def is_started(rtorrent: PrivateRTorrent, info: str) -> bool:
    return RTorrent(rtorrent.url).call("d.state", info) == 1


def test_the_queue_starts_a_cut_off_item_only_after_it_was_loaded_again(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, scene: QueueScene
) -> None:
    other = scene.load("added by its owner")
    eventually((rtorrent.session / f"{other}.torrent.rtorrent").exists)
    info = load_cut_off(watching, rtorrent, root / "x.torrent")
    assert scene.queue.check(moment(0), "tick").hold.reason == "loading"
    eventually(lambda: is_started(rtorrent, other))
    assert not is_started(rtorrent, info)
    assert "StartFailed" not in scene.event_types()
    assert scene.queue.last is not None
    assert scene.queue.last.started == 1
    watching.until(lambda: watching.states("loaded") == 1)
    scene.check(20)
    assert is_started(rtorrent, info)
    assert scene.event_types().count("TorrentStarted") == 2
    assert RTorrent(rtorrent.url).call("d.custom1", info) == "tv"
    assert [type(event) for event in watching.events].count(TorrentLoaded) == 1


def test_a_start_by_hand_waits_for_the_load_too(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, scene: QueueScene
) -> None:
    info = load_cut_off(watching, rtorrent, root / "x.torrent")
    now = moment(0)
    handler = RequestHandler(scene.job_table, FireTimes({}, now.wall, now.ticks), Availability("jobs wait"))
    answer = handler.answer(StartTorrent(info_hash=info), now, no_check)
    assert (answer.ok, "loads it again" in answer.text) == (False, True)
    assert not is_started(rtorrent, info)
    watching.until(lambda: watching.states("loaded") == 1)
    assert handler.answer(StartTorrent(info_hash=info), now, no_check).ok
    assert is_started(rtorrent, info)


def test_jobs_leave_a_cut_off_item_alone(watching: Watching, root: Path, rtorrent: PrivateRTorrent) -> None:
    info = load_cut_off(watching, rtorrent, root / "x.torrent")
    before = current_context()
    set_context(JobContext(state_dir=watching.layout.state_dir, url=rtorrent.url))
    try:
        action = Action({"job_name": "tagger", "condition": "is_complete=no", "action": "start"})
        action.run()
        assert not is_started(rtorrent, info)
        watching.until(lambda: watching.states("loaded") == 1)
        assert RTorrent(rtorrent.url).call("d.custom1", info) == "tv"
        action.run()
        assert is_started(rtorrent, info)
    finally:
        set_context(before)


def test_an_item_that_is_loaded_and_not_saved_yet_starts_at_once(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, scene: QueueScene
) -> None:
    path = root / "x.torrent"
    info = drop(path)
    watching.until(lambda: watching.state(path) == "visible")
    assert OpenLoads.below(watching.layout.state_dir).has(info)
    assert scene.check(0).started == 1


def test_a_start_that_meets_an_rtorrent_that_was_just_restarted_does_nothing(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, scene: QueueScene
) -> None:
    """The check has read another process, in which the load was complete."""
    starter = scene.job_table.starter
    assert starter is not None
    info = load_cut_off(watching, rtorrent, root / "x.torrent")
    states: list[bool] = []
    result = starter.start(StartIntent(info, "queue", "x", 0.0, time.time()), states.append, time.monotonic())
    assert result.withheld
    assert states == [True, False]
    assert not starter.has_open_intents()
    assert starter.failures == {}
    assert not is_started(rtorrent, info)
    assert scene.events() == []


def test_an_item_with_the_mark_starts_without_a_look_into_the_ledger(
    watching: Watching, root: Path, scene: QueueScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the event of its load is the cause of the check."""
    assert scene.check(0).startable == 0
    drop(root / "x.torrent")
    watching.until(lambda: watching.state(root / "x.torrent") == "visible")

    def has(reader: OpenLoads, info_hash: str) -> bool:
        pytest.fail(f"{reader.ledger} was read for {info_hash}")

    monkeypatch.setattr(OpenLoads, "has", has)
    assert scene.check(15, cause="event").started == 1


def test_an_item_that_loses_its_mark_after_it_was_read_starts_at_the_next_check(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, scene: QueueScene
) -> None:
    """Its owner erased it and added it again, or removed the mark: its load is not open."""
    info = drop(root / "x.torrent")
    watching.until(lambda: watching.states("loaded") == 1)
    RTorrent(rtorrent.url).call("d.custom.set", info, MARK, "")
    starter = scene.job_table.starter
    assert starter is not None
    as_read = StartIntent(info, "queue", "x", 0.0, time.time(), marked=True)
    assert starter.start(as_read, lambda _: None, time.monotonic()).withheld
    assert not is_started(rtorrent, info)
    assert scene.check(15).started == 1
    assert [type(event) for event in scene.events()] == [TorrentStarted]


def test_every_link_of_a_magnet_file_has_an_open_load(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent
) -> None:
    hashes = ["%040X" % (0xABCDEF << n) for n in range(2)]
    links = (f"magnet:?xt=urn:btih:{info}&dn=name&tr=http://127.0.0.1:1/a\n" for info in hashes)
    (root / "two.magnet").write_text("".join(links))
    watching.until(lambda: watching.state(root / "two.magnet") == "visible")
    open_loads, client = OpenLoads.below(watching.layout.state_dir), RTorrent(rtorrent.url)
    assert all(map(open_loads.has, hashes))
    assert open_loads.up_to(1) == []
    assert sorted(open_loads.up_to(2)) == sorted(hashes)
    assert open_loads.incomplete(hashes, client) == set()
    client.call("d.custom.set", hashes[1], MARK, "")
    assert open_loads.incomplete([*hashes, "F" * 40], client) == {hashes[1]}
    client.call("d.custom.set", hashes[1], MARK, watching.rows[0].token)
    watching.until(lambda: watching.states("loaded") == 1)
    assert not any(map(open_loads.has, hashes))
    assert open_loads.up_to(2) == []


@pytest.mark.parametrize("content", [None, b"", b"no database at all, but long enough to be read as one" * 40])
def test_without_a_ledger_that_can_be_read_no_load_is_open(
    tmp_path: Path, content: bytes | None, rtorrent: PrivateRTorrent
) -> None:
    ledger = tmp_path / "watcher.sqlite3"
    if content is not None:
        ledger.write_bytes(content)
    reader = OpenLoads.below(tmp_path)
    assert not reader.has("A" * 40)
    assert reader.up_to(8) == []
    assert reader.incomplete(["A" * 40], RTorrent(rtorrent.url)) == set()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be read as one" * 40])
def test_in_a_fleet_each_item_may_be_held_while_the_ledger_cannot_be_read(
    tmp_path: Path, content: bytes, rtorrent: PrivateRTorrent, caplog: pytest.LogCaptureFixture
) -> None:
    """Another group may have it: started here as well, it would run twice."""
    (tmp_path / FOLDER).mkdir()
    reader, client = OpenLoads.below(tmp_path), RTorrent(rtorrent.url)
    assert not reader.is_held("A" * 40)  # no ledger: nothing was ever held
    assert reader.incomplete(["A" * 40], client) == set()
    (tmp_path / "watcher.sqlite3").write_bytes(content)
    assert reader.is_held("A" * 40)
    assert reader.is_held("B" * 40)
    assert reader.incomplete(["A" * 40, "B" * 40], client) == {"A" * 40, "B" * 40}
    assert caplog.text.count("watcher.sqlite3") == 1


def test_an_event_is_not_lost_while_it_is_unknown_what_waits_for_the_fleet(
    scene: QueueScene, tmp_path: Path, rtorrent: PrivateRTorrent
) -> None:
    """Its run fails, and is seen; one that does nothing would count as done. A scheduled run comes again."""
    info = scene.load("completed")
    event = TorrentCompleted(at=0.0, info_hash=info, name="completed")
    (tmp_path / FOLDER).mkdir()
    before = current_context()
    set_context(JobContext(state_dir=tmp_path, url=rtorrent.url))
    try:
        action = Action({"job_name": "tagger", "on": "TorrentCompleted", "action": "tag", "value": "seen"})
        scheduled = Action({"job_name": "other", "condition": "is_complete=no", "action": "tag", "value": "other"})
        (tmp_path / "watcher.sqlite3").write_bytes(b"")
        with pytest.raises(StateError, match="may wait for the fleet"):
            action.run(event)
        scheduled.run()
        assert RTorrent(rtorrent.url).call("d.custom", info, "tags") == ""
        (tmp_path / "watcher.sqlite3").unlink()
        action.run(event)
        assert RTorrent(rtorrent.url).call("d.custom", info, "tags") == "seen"
    finally:
        set_context(before)
