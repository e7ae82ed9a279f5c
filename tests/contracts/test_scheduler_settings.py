"""The settings of a queue job over a real rTorrent, beside those in the recipes of docs/queue.md."""

import logging
import os
import re
import time
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import unescape

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.logs import job_logger
from pyrotorque.rtorrent import RTorrent
from pyrotorque_scheduler.queue.explain import explain_item, explain_queue
from pyrotorque_scheduler.queue.model import Instant
from tests.configured import settings_for
from tests.scheduling import BEGIN, QueueScene, moment, queue_job, queue_scene, queue_scene_of
from tests.waiting import eventually

FAST = queue_job(start_at_once=9)


@pytest.fixture
def asked(rtorrent: PrivateRTorrent, tmp_path: Path) -> Path:
    """The file in which rTorrent logs its requests."""
    path = tmp_path / "asked.log"
    RTorrent(rtorrent.url).call("log.xmlrpc", "", str(path))
    return path


def printed(asked: Path) -> list[str]:
    return [unescape(line) for line in re.findall(r"QueueManager: ([^\n]*?)</string>", asked.read_text())]


def methods(asked: Path) -> list[str]:
    """The requests since the last call."""
    found = re.findall(r"<methodName>(.*?)</methodName>", asked.read_text(errors="replace"))
    os.truncate(asked, 0)
    return found


def test_each_start_is_printed_with_name_and_alias_in_rtorrents_log(
    rtorrent: PrivateRTorrent, tmp_path: Path, asked: Path
) -> None:
    ini = "[ANNOUNCE]\nME = http://tracker.example.org/announce\n[TORQUE]\njob.queue.active = True\n"
    with queue_scene_of(settings_for(rtorrent.url, tmp_path, ini + "job.queue.start_at_once = 9\n"), tmp_path) as d:
        d.load("known", announce="http://tracker.example.org/announce")
        d.load("other $d.erase= \x07", announce="http://other.example.com/announce")
        d.check(at=0)
        expected = ["Started 'known' {ME}", "Started 'other $d.erase= \\x07' {example.com}"]
        assert printed(asked) == expected


def test_a_quiet_queue_prints_nothing_there(rtorrent: PrivateRTorrent, tmp_path: Path, asked: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(quiet=True)) as d:
        d.load("one")
        assert d.check(at=0).started == 1
        assert printed(asked) == []


def test_a_job_has_its_own_log_level_until_the_setting_is_removed(
    rtorrent: PrivateRTorrent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noisy, silent = queue_job("noisy", log_level="debug"), queue_job("silent", log_level="error")
    with queue_scene(rtorrent, tmp_path, noisy, silent) as d:
        for job in ("noisy", "silent"):
            d.check(at=0, job=job)
        d.load("one")
        d.check(at=15, job="silent")
    assert {r.name.rpartition(".")[2] for r in caplog.records if "nothing started" in r.getMessage()} == {"noisy"}
    assert not [r for r in caplog.records if "started one" in r.getMessage()]
    with queue_scene(rtorrent, tmp_path, queue_job("noisy")):
        assert job_logger("noisy").level == logging.NOTSET


def test_only_items_of_the_view_are_read(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(view="mine", start_at_once=9)) as d:
        for command in (("view.add", "mine"), ("view.filter", "mine", "d.custom1=")):
            d.rtorrent.call(command[0], "", *command[1:])
        d.load("other")
        mine = d.load("mine", "d.custom1.set=yes")
        d.rtorrent.call("view.filter", "", "mine", "d.custom1=")
        d.check(at=0)
        assert d.running() == {mine}


def test_without_sort_fields_the_view_gives_the_order(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(sort_fields="")) as d:
        for name in "bca":
            d.load(name)
        first = d.rtorrent.rows("main", ["d.hash="])[0][0]
        d.check(at=0)
        assert d.running() == {first}


def test_ignored_items_are_not_started_but_take_slots(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=1, downloading_min=0)) as d:
        ignored = d.load("ignored", "d.ignore_commands.set=1", priority=3)
        assert d.check(at=0).hold.reason == "nothing_startable"
        d.rtorrent.call("d.start", ignored)
        eventually(lambda: d.rtorrent.call("d.is_active", ignored) == 1)
        d.load("next")
        assert d.check(at=30).hold.reason == "no_slot"


def test_the_base_condition_of_startable_items_is_a_setting(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    ini = "[TORQUE]\nqueue_startable_base = custom_1=mine\njob.queue.active = True\njob.queue.start_at_once = 9\n"
    with queue_scene_of(settings_for(rtorrent.url, tmp_path, ini), tmp_path) as d:
        d.load("other")
        mine = d.load("mine", "d.custom1.set=mine")
        d.check(at=0)
        assert d.running() == {mine}


def test_the_minimum_waits_for_the_intermission_and_for_the_hours(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_min=5, intermission=60.0)) as d:
        first = d.load("first")
        d.check(at=0)
        d.load("second")
        assert [d.check(at=at).hold.reason for at in (15, 30, 45)] == ["intermission"] * 3
        assert d.running() == {first}
        assert d.check(at=60).started == 1


def test_setting_the_clock_neither_shortens_nor_prolongs_anything(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(intermission=60.0)) as d:
        d.load("one")
        d.load("two")
        d.check(at=0)
        for step in (+3600, -3600, +86400 * 400, -86400 * 400):
            assert d.queue.check(stepped(30, step), "tick").hold.reason == "intermission"
        assert d.queue.check(stepped(61, -3600), "tick").started == 1


def stepped(at: float, by: float) -> Instant:
    """`at` seconds after BEGIN, on a wall clock that was set by `by` seconds."""
    now = moment(at)
    return Instant(now.wall + by, now.ticks, now.boot)


def test_the_cheapest_question_comes_first_and_each_is_one_call(
    rtorrent: PrivateRTorrent, tmp_path: Path, asked: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=1, intermission=60.0)) as d:
        d.queue.check(moment(0), "tick")
        d.load("one")
        d.check(at=15)
        eventually(lambda: len(d.queue.items.downloading(BEGIN)) == 1)
        d.check(at=75)
        methods(asked)
        assert (d.queue.check(moment(30), "tick").hold.reason, methods(asked)) == ("intermission", [])
        assert (d.queue.check(moment(90), "tick").hold.reason, len(methods(asked))) == ("no_slot", 1)


def test_nothing_startable_takes_two_calls(rtorrent: PrivateRTorrent, tmp_path: Path, asked: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        d.load("off", priority=0)
        d.check(at=0)
        methods(asked)
        assert d.queue.check(moment(15), "event").hold.reason == "nothing_startable"
        assert len(methods(asked)) <= 2


def test_space_reserved_for_running_items_is_kept_and_explained(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    space = os.statvfs(rtorrent.downloads)
    free = space.f_bavail * space.f_frsize
    with queue_scene(rtorrent, tmp_path, queue_job(min_free=free - 900_000_000, downloading_min=2)) as d:
        d.load("first", size=600_000_000, piece_length=2**22)
        d.load("second", size=600_000_000, piece_length=2**22)
        assert d.check(at=0).started == 1
        eventually(lambda: len(d.queue.items.downloading(BEGIN)) == 1)
        explained = explain_item(d.queue, "second", moment(15))
        assert explained.data["verdict"] == "disk"
        assert "would leave" in explained.text
        whole = explain_queue(d.queue, moment(15))
        assert whole.data["would_start"] == []
        assert "when there is space on the disk" in whole.text
        assert whole.data["hold"]["numbers"]["left"] < whole.data["hold"]["numbers"]["min_free"]


def close_on_full_disk(d: QueueScene, item: str, message: str | None) -> None:
    eventually(lambda: d.rtorrent.call("d.is_active", item) == 1)
    d.rtorrent.call("close_low_diskspace", "", 10**15)
    eventually(lambda: d.rtorrent.call("d.is_active", item) == 0)
    if message is not None:
        d.rtorrent.call("d.message.set", item, message)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(None, id="nothing"),
        pytest.param("Tracker: [Could not connect to server]", id="an error"),
    ],
)
def test_items_closed_repeatedly_on_a_full_disk_are_started_less_and_less_often(
    rtorrent: PrivateRTorrent, tmp_path: Path, message: str | None
) -> None:
    """Whatever its tracker answers to the announce that it is stopped, at whatever moment."""
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = d.load("one")
        d.check(at=0)
        close_on_full_disk(d, item, message)
        assert "it starts again" in explain_item(d.queue, item, moment(10)).text
        moments: list[int] = []
        for at in range(15, 901, 15):
            if d.check(at=at).started:
                moments.append(at)
                close_on_full_disk(d, item, message)
        waits = [after - before for before, after in pairwise(moments)]
        assert len(moments) >= 3
        assert waits == sorted(waits)
        assert waits[-1] >= 2 * waits[0]


def test_an_item_closed_on_a_full_disk_waits_also_when_its_tracker_clears_the_message(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        data = rtorrent.downloads / "one"
        data.write_bytes(os.urandom(400_000))
        item = d.load("one", content=data, announce="udp://127.0.0.1:1/announce")
        with data.open("r+b") as file:
            file.write(b"other")
        d.check(at=0)
        eventually(lambda: d.rtorrent.rows("main", ["d.is_active=", "d.completed_chunks="]) == [("1", "24")], 20)
        moments: list[int] = []
        close_on_full_disk(d, item, "")
        for at in range(15, 901, 15):
            if d.check(at=at).started:
                moments.append(at)
                close_on_full_disk(d, item, "")
        waits = [after - before for before, after in pairwise(moments)]
        assert len(moments) >= 3
        assert waits[-1] >= 2 * waits[0]


def test_an_item_that_others_started_and_whose_tracker_refuses_it_stays_closed(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    """The message would have kept the queue from starting it."""
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = d.load("one")
        d.rtorrent.call("d.start", item)
        close_on_full_disk(d, item, "Tracker: [unregistered torrent]")
        assert sum(d.check(at=at).started for at in range(0, 400, 15)) == 0
        assert "it starts again" not in explain_item(d.queue, item, moment(400)).text


def test_odd_names_do_not_block_the_whole_queue(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        odd = [d.load(b"bell\x07"), d.load(b"\xff\xfe not utf-8")]
        plain = d.load("plain")
        for at in range(0, 45, 15):
            assert d.check(at=at).started == 1
        assert d.running() == {*odd, plain}
        assert "bell\\x07" in explain_queue(d.queue, moment(60)).text
        explained = explain_item(d.queue, "not utf-8", moment(60))
        assert (explained.data["hash"], explained.data["verdict"]) == (odd[1], "downloading")


def test_an_item_in_hash_check_takes_its_slot_also_after_a_restart(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    job = queue_job(schedule="second=*", downloading_max=1, downloading_min=0)
    (rtorrent.downloads / "large").touch()
    os.truncate(rtorrent.downloads / "large", 2_000_000_000)
    with queue_scene(rtorrent, tmp_path, job) as d:
        checked = d.load("large", size=2_000_000_000, piece_length=2**20, priority=3)
        d.load("next")
        assert d.queue.check(moment(0), "tick").started == 1
        starter = d.job_table.starter
        assert starter is not None
        starter.verify(time.monotonic() + 60)
        assert d.event_types() == ["TorrentStarted"]
    with queue_scene(rtorrent, tmp_path, job, at=15) as d:
        assert d.queue.check(moment(15), "tick").hold.reason == "no_slot"
        assert explain_item(d.queue, checked, moment(15)).data["verdict"] == "checked"
        assert d.rtorrent.call("d.is_active", checked) == 0
        assert d.store.db.execute("SELECT count(*) FROM checked_items").fetchone() == (1,)
        eventually(lambda: d.rtorrent.call("d.is_active", checked) == 1, 60)
        assert d.queue.check(moment(30), "tick").hold.reason == "no_slot"
        assert d.store.db.execute("SELECT count(*) FROM checked_items").fetchone() == (0,)


def test_of_thousands_of_items_held_by_a_full_disk_the_history_keeps_some(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        d.load("started")
        assert d.check(at=0).started == 1
    with queue_scene(rtorrent, tmp_path, queue_job(min_free=10**15)) as d:
        for number in range(30):
            d.load(f"item {number}")
        for at in range(15, 75, 15):
            assert d.check(at=at).hold.reason == "disk"
        explained = d.job_table.history.latest(1000)
        assert len([each for each in explained if each.info_hash and each.verdict == "disk"]) == 20
        assert explained[-1].verdict == "started"


def test_an_item_in_hash_check_takes_no_slot_of_another_queue(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    large = queue_job("large", startable="custom_1=large done=0", downloading="custom_1=large", downloading_max=1)
    other = queue_job("other", startable="custom_1=other done=0", downloading="custom_1=other", downloading_max=1)
    with queue_scene(rtorrent, tmp_path, large, other) as d:
        (rtorrent.downloads / "large").touch()
        os.truncate(rtorrent.downloads / "large", 1_500_000_000)
        checked = d.load("large", "d.custom1.set=large", size=1_500_000_000, piece_length=2**20)
        d.load("more of it", "d.custom1.set=large")
        small = d.load("small", "d.custom1.set=other")
        assert d.job_table.queues["large"].check(moment(0), "tick").started == 1
        assert d.rtorrent.call("d.is_active", checked) == 0
        assert d.job_table.queues["large"].check(moment(15), "tick").hold.reason == "no_slot"
        assert d.job_table.queues["other"].check(moment(0), "tick").started == 1
        assert small in d.running()
