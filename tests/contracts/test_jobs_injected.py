"""Items that another program added to a real rTorrent, with real checks of their data and links to other items."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from demo.group import environment
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentFault, UserError
from pyrotorque.housekeeping.inventory import Inventory, InventoryReader
from pyrotorque.jobs import JobConfig
from pyrotorque.jobs.injected import Injected
from pyrotorque.requests import Answer, ParkTorrent
from pyrotorque.rtorrent import Call, RTorrent, Value, save_threads
from pyrotorque.rtorrent.availability import Availability
from pyrotorque.rtorrent.session import Session
from pyrotorque.settings.schema import CustomSettings, RTorrentSettings, Settings
from pyrotorque_scheduler.fire_times import FireTimes
from pyrotorque_scheduler.queue.explain import explain_item
from pyrotorque_scheduler.requests import RequestHandler
from tests.cleaning import SILENT, CleanupScene
from tests.saving import save_progress
from tests.scheduling import moment, queue_job, queue_scene_of
from tests.waiting import eventually

CHUNK = 16_384
LABEL = "d.custom1.set=cross-seed"


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def job(**settings: Any) -> Injected:
    values = {"job_name": "injected", "schedule": "second=*/30", "condition": "custom_1=cross-seed"}
    return Injected(JobConfig({**values, **settings}))


def inject(scene: CleanupScene, name: str, *broken: str, check: bool = True) -> str:
    """An item of three files of two chunks, loaded stopped; of `broken` the second chunk does not match."""
    path = scene.write(name, ("a", "sub/b", "c"), size=2 * CHUNK)
    metafile = make_metafile(name, content=path, announce=SILENT, info_extra={"source": "other"})
    for file in broken:
        with open(path / file, "r+b") as opened:
            opened.seek(CHUNK)
            opened.write(b"another encode")
    item = info_hash(metafile)
    scene.client.call("load.raw", "", metafile, LABEL)
    eventually(lambda: scene.has(item), 20)
    if check:
        check_data(scene, item, 6 - len(broken))
    return item


def check_data(scene: CleanupScene, item: str, chunks: int) -> None:
    """As cross-seed has it checked."""
    scene.client.call("d.check_hash", item)
    commands = ("d.hashing", "d.is_hash_checked", "d.completed_chunks")
    eventually(lambda: scene.client.multicall([(each, (item,)) for each in commands]) == [0, 1, chunks], 20)


def state(scene: CleanupScene, item: str) -> tuple[object, ...]:
    """Whether it is started, and active."""
    return tuple(scene.client.multicall([("d.state", (item,)), ("d.is_active", (item,))]))


def started(scene: CleanupScene, item: str) -> bool:
    eventually(lambda: state(scene, item) in ((1, 1), (0, 0)), 20)
    return state(scene, item) == (1, 1)


def resume(scene: CleanupScene, item: str) -> None:
    """As cross-seed starts an item."""
    scene.client.call("d.resume", item)
    eventually(lambda: state(scene, item) == (0, 1), 20)


def save(scene: CleanupScene, item: str) -> None:
    """Have rTorrent save the item with what was found of its data."""
    chunks = scene.client.call("d.completed_chunks", item)
    assert isinstance(chunks, int)
    assert Session().save(scene.client, item, {"chunks_done": chunks}, 20.0)
    save_progress(scene.running, scene.client, item)


def test_a_resumed_item_runs_after_a_restart_of_rtorrent(scene: CleanupScene) -> None:
    treated = inject(scene, "treated")
    resume(scene, treated)
    job().run()
    assert state(scene, treated) == (1, 1)
    left_alone = inject(scene, "left alone")
    resume(scene, left_alone)
    save(scene, left_alone)
    scene.running.kill()
    scene.running.start()
    eventually(lambda: state(scene, treated) == (1, 1), 20)
    assert state(scene, left_alone) == (0, 0), "that is why"


def test_the_start_is_on_disk_when_the_run_ends(scene: CleanupScene) -> None:
    item = inject(scene, "one")
    resume(scene, item)
    job().run()
    session = Session()
    session.locate(scene.client, scene.client.identity())
    assert session.has_start(item, save_threads.now()) is True


def test_an_item_waits_for_the_check_of_its_data(scene: CleanupScene) -> None:
    item = inject(scene, "one", check=False)
    injected = job()
    injected.run()
    assert state(scene, item) == (0, 0)
    check_data(scene, item, 6)
    injected.run()
    assert started(scene, item)


def test_missing_data_in_files_of_its_own_is_downloaded(scene: CleanupScene) -> None:
    item = inject(scene, "half", "sub/b")
    (scene.downloads / "half/c").unlink()
    check_data(scene, item, 3)
    job().run()
    assert started(scene, item)


def hard_link(scene: CleanupScene, path: Path) -> None:
    os.link(path, scene.downloads / "kept")


def symbolic_link(scene: CleanupScene, path: Path) -> None:
    os.rename(path, scene.downloads / "kept")
    path.symlink_to(scene.downloads / "kept")


def linked_folder(scene: CleanupScene, path: Path) -> None:
    os.rename(path.parent, scene.downloads / "kept folder")
    path.parent.symlink_to(scene.downloads / "kept folder")


def other_item(scene: CleanupScene, path: Path) -> None:
    scene.add(path.parents[1], salt="the original")


@pytest.mark.parametrize("link", [hard_link, symbolic_link, linked_folder, other_item])
@pytest.mark.parametrize("resumed", [False, True])
def test_missing_data_in_a_linked_file_is_not(
    scene: CleanupScene, link: Any, resumed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    item = inject(scene, "half", "sub/b")
    link(scene, scene.downloads / "half/sub/b")
    before = (scene.downloads / "half/sub/b").read_bytes()
    if resumed:
        resume(scene, item)
    injected = job()
    with caplog.at_level(logging.INFO):
        injected.run()
        injected.run()
    assert state(scene, item) == (0, int(resumed))
    assert (scene.downloads / "half/sub/b").read_bytes() == before
    assert caplog.text.count("not started: half: data is missing in") == 1


def test_a_linked_file_that_is_whole_holds_nothing_back(scene: CleanupScene) -> None:
    item = inject(scene, "half", "c")
    for file in ("a", "sub/b"):
        os.link(scene.downloads / "half" / file, scene.downloads / file.replace("/", " "))
    job().run()
    assert started(scene, item)


def test_a_chunk_over_the_border_of_a_linked_file_counts(scene: CleanupScene) -> None:
    """cross-seed links the large file, and the small ones beside it are missing."""
    path = scene.downloads / "border"
    path.mkdir()
    for name, size in (("film", 2 * CHUNK + 100), ("sample", 500)):
        (path / name).write_bytes(os.urandom(size))
    metafile = make_metafile("border", content=path, announce=SILENT)
    (path / "sample").unlink()
    os.link(path / "film", scene.downloads / "original")
    item = info_hash(metafile)
    scene.client.call("load.raw", "", metafile, LABEL)
    eventually(lambda: scene.has(item), 20)
    check_data(scene, item, 2)
    job().run()
    assert state(scene, item) == (0, 0), "the last chunk has the end of the film"


def test_a_refusal_ends_when_the_item_changes(scene: CleanupScene) -> None:
    item = inject(scene, "half", "c")
    hard_link(scene, scene.downloads / "half/c")
    injected = job()
    injected.run()
    assert state(scene, item) == (0, 0)
    os.unlink(scene.downloads / "half/c")
    check_data(scene, item, 4)
    injected.run()
    assert started(scene, item)


def test_after_a_restart_of_rtorrent_all_of_its_files_count(scene: CleanupScene) -> None:
    linked, own = inject(scene, "linked", "c"), inject(scene, "own", "c")
    hard_link(scene, scene.downloads / "linked/a")  # this file is whole
    for item in (linked, own):
        save(scene, item)
    scene.running.kill()
    scene.running.start()
    eventually(lambda: scene.has(linked) and scene.has(own), 20)
    job().run()
    assert (state(scene, linked), started(scene, own)) == ((0, 0), True)


def test_what_its_owner_stopped_stays_stopped(scene: CleanupScene) -> None:
    stopped, off, ignored, other = (inject(scene, name) for name in ("stopped", "off", "ignored", "other"))
    resume(scene, stopped)
    scene.client.call("d.close", stopped)  # rTorrent does not stop by `d.stop` what it does not have as started
    scene.client.multicall([
        ("d.priority.set", (off, 0)), ("d.ignore_commands.set", (ignored, 1)), ("d.custom1.set", (other, "movies"))
    ])  # fmt: skip
    job().run()
    assert [state(scene, item) for item in (stopped, off, ignored, other)] == [(0, 0)] * 4


def test_items_that_stay_stopped_cost_no_calls(scene: CleanupScene, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        item = inject(scene, f"stopped {number}")
        resume(scene, item)
        scene.client.call("d.close", item)
    calls: list[int] = []
    multicall = RTorrent.multicall

    def counted(self: RTorrent, calls_now: Sequence[Call]) -> list[Value | RTorrentFault]:
        calls.append(len(calls_now))
        return multicall(self, calls_now)

    monkeypatch.setattr(RTorrent, "multicall", counted)
    job().run()
    assert sum(calls) <= 5, "the same for any number of items"


def test_a_dry_run_starts_nothing(scene: CleanupScene, caplog: pytest.LogCaptureFixture) -> None:
    item = inject(scene, "one")
    with caplog.at_level(logging.INFO):
        job(dry_run=True).run()
    assert state(scene, item) == (0, 0)
    assert "would start: one" in caplog.text


@pytest.mark.parametrize("wrong", [{"condition": ""}, {"on": ["TorrentLoaded"]}])
def test_it_needs_a_condition_and_a_schedule(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        job(**wrong)


def test_queues_leave_the_items_of_the_job_alone(scene: CleanupScene, tmp_path: Path) -> None:
    injected = CustomSettings(
        name="injected", handler="pyrotorque.jobs.injected:Injected", schedule="second=*/30", active=True,
        params={"condition": "custom_1=cross-seed OR custom_1=upload"},
    )  # fmt: skip
    queue = queue_job(downloading_max=1, start_at_once=9, stall_after=60.0, stall_grace=0.0, adopt="is_complete=no")
    url = RTorrentSettings(url=scene.running.url, origin="test")
    with queue_scene_of(Settings(digest="test", rtorrent=url, jobs=(queue, injected)), tmp_path) as d:
        item = inject(scene, "waits for its check", check=False)
        plain = d.load("plain")
        assert d.check(at=0).started == 1
        assert d.running() == {plain}
        assert "custom_1=cross-seed" in explain_item(d.queue, item, moment(1)).text
        running = inject(scene, "half", "c")
        job().run()
        assert started(scene, running)
        d.load("third")
        for at in (15, 100, 200, 1000):
            d.check(at=at)
        assert state(scene, running) == (1, 1), "neither adopted nor closed as stalled"
        assert state(scene, item) == (0, 0)


def with_queue(scene: CleanupScene, **settings: Any) -> Settings:
    injected = CustomSettings(
        name="injected", handler="pyrotorque.jobs.injected:Injected", schedule="second=*/30", active=True,
        params={"condition": "custom_1=cross-seed"},
    )  # fmt: skip
    url = RTorrentSettings(url=scene.running.url, origin="test")
    return Settings(digest="test", rtorrent=url, jobs=(queue_job(**settings), injected))


def test_a_queue_continues_one_that_ran_when_rtorrent_closed_it(scene: CleanupScene, tmp_path: Path) -> None:
    with queue_scene_of(with_queue(scene, schedule="second=*"), tmp_path) as d:
        item, fresh = inject(scene, "half", "c"), inject(scene, "fresh", "c")
        os.link(scene.downloads / "fresh/c", scene.downloads / "kept")
        job().run()
        assert started(scene, item)
        for each in (item, fresh):
            d.rtorrent.multicall([("d.close", (each,)), ("d.message.set", (each, "Low diskspace."))])
        d.rtorrent.call("d.hashing_failed.set", item, 1)
        d.rtorrent.call("d.hashing_failed.set", fresh, 1)
        for at in (0, 100, 200):
            d.check(at=at)
        assert (state(scene, item)[0], state(scene, fresh)[0]) == (1, 0)
        assert d.event_types() == ["TorrentStarted"]


def no_check(*_: object) -> None:
    pass


def test_it_cannot_be_parked_as_no_queue_would_start_it(scene: CleanupScene, tmp_path: Path) -> None:
    with queue_scene_of(with_queue(scene), tmp_path) as d:
        item, plain = inject(scene, "half", "c"), d.load("plain")
        handler = RequestHandler(d.job_table, FireTimes({}, 0.0, 0.0), Availability("jobs wait"))

        def park(info_hash: str) -> Answer:
            return handler.answer(ParkTorrent(info_hash=info_hash, seconds=60.0), moment(0), no_check)

        assert "no queue starts half again" in park(item).text
        assert park(plain).ok


def test_a_single_run_of_a_queue_leaves_its_items_alone(scene: CleanupScene, tmp_path: Path) -> None:
    inject(scene, "waits for its check", check=False)
    ini = f"""[TORQUE]
scgi_url = {scene.running.url}
job.queue.active = True
job.injected.handler = pyrotorque.jobs.injected:Injected
job.injected.schedule = second=*/30
job.injected.condition = custom_1=cross-seed
"""
    config = scene.folder / "config"
    config.mkdir()
    (config / "torque.ini").write_text(ini)
    command = [sys.executable, "-m", "pyrotorque_control", "--config-dir", str(config), "--run-once", "queue"]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert "started 0" in ended.stdout, ended.stderr


def test_a_look_at_the_files_of_many_items_is_repeated_only_after_a_while(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(scene, "half", "c")
    hard_link(scene, scene.downloads / "half/c")
    injected = job()
    injected.run()
    reads: list[int] = []
    read = InventoryReader.read

    def counted(self: InventoryReader) -> Inventory:
        reads.append(1)
        return read(self)

    monkeypatch.setattr(InventoryReader, "read", counted)
    injected.run()
    assert reads == []
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 601)
    injected.run()
    assert reads == [1]
