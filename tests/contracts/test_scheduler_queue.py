"""The queue over a real rTorrent: what it starts, in which order, and which events it publishes."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import ConditionError, RTorrentUnavailable
from pyrotorque.open_loads import OpenLoads
from pyrotorque.rtorrent.session import Session
from pyrotorque.settings.schema import QueueSettings
from pyrotorque_scheduler.due_jobs import Cause
from pyrotorque_scheduler.queue.explain import explain_queue
from tests.scheduling import QueueScene, moment, queue_job, queue_scene, without_trackers
from tests.waiting import eventually

FAST = queue_job(start_at_once=9)


def test_a_stopped_item_is_started_and_published_once(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        loaded = d.load("one")
        assert d.check(at=0).started == 1
        assert d.check(at=15).started == 0
        assert (d.running(), d.event_types()) == ({loaded}, ["TorrentStarted"])


def test_a_started_item_is_still_started_after_rtorrent_was_killed(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        loaded = {d.load("one"), d.load("two")}
        assert d.check(at=0).started == 2
        rtorrent.kill()
        rtorrent.start()
        assert d.running() == loaded
        assert d.check(at=15).started == 0


def test_items_start_by_priority_and_age(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        _old, _new, urgent = d.load("old"), d.load("new"), d.load("urgent", priority=3)
        d.check(at=0)
        assert d.running() == {urgent}
        d.check(at=15)
        assert d.running() == {urgent, _old}


def test_items_that_are_off_wait_for_their_owner(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        held = d.load("off", priority=0)
        assert d.check(at=0).hold.reason == "nothing_startable"
        d.rtorrent.call("d.priority.set", held, 1)
        assert d.check(at=15).started == 1


@pytest.mark.parametrize(
    "setting",
    [
        {"startable": "prio>0 d_custom1_set=0"},
        {"startable": "prio>0 d_try_start=0"},
        {"downloading": "d_erase=0"},
        {"sort_fields": "d_priority_set, name"},
        {"group_by": "d_start", "group_max": 1},
    ],
)
def test_a_setting_that_would_change_items_changes_and_starts_none(
    rtorrent: PrivateRTorrent, tmp_path: Path, setting: dict[str, Any]
) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(**setting)) as d:
        d.load("one", "d.custom1.set=mine")
        with pytest.raises(ConditionError, match="which changes something"):
            d.check(at=0)
        assert d.rtorrent.rows("main", ["d.name=", "d.state=", "d.custom1=", "d.priority="]) == [
            ("one", "0", "mine", "2")
        ]


def test_no_more_than_downloading_max_run(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=2, start_at_once=9)) as d:
        for name in "abcde":
            d.load(name)
        for at in range(0, 150, 15):
            d.check(at=at)
        assert len(d.running()) == 2


def test_no_more_run_when_events_follow_a_look_at_once(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    """Such a check only counts what runs."""
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=2, start_at_once=9, schedule="second=*/1")) as d:
        for name in "abc":
            d.load(name)
        assert d.check(at=0).started == 2
        first = d.running()
        assert d.check(at=1, cause="event").hold.reason == "no_slot"
        d.rtorrent.call("d.stop", min(first))
        assert d.check(at=2, cause="event").started == 1
        assert (d.check(at=3, cause="event").downloading, len(d.running())) == (2, 2)


def test_items_that_rtorrent_still_checks_take_slots(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(schedule="second=*", downloading_max=1, downloading_min=0)) as d:
        for name in "abcde":
            d.load(name)
        # One fire time after the other without a pause: d.is_active is set later than d.start returns.
        for at in range(5):
            d.check(at=at)
        assert len(d.running()) == 1


def test_a_slot_that_gets_free_is_filled(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=1)) as d:
        first, second = d.load("first"), d.load("second")
        d.check(at=0)
        assert d.check(at=15).hold.reason == "no_slot"
        d.rtorrent.call("d.erase", first)
        d.check(at=22, cause="event")
        assert d.running() == {second}


def test_items_hidden_by_the_downloading_condition_take_no_slot(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=1, downloading_min=0, downloading="prio>1")) as d:
        first, _ = d.load("first"), d.load("second")
        d.check(at=0)
        eventually(lambda: d.rtorrent.call("d.is_active", first) == 1)
        assert d.check(at=15).hold.reason == "no_slot"
        d.rtorrent.call("d.priority.set", first, 1)
        assert d.check(at=30).started == 1


def test_odd_names_do_not_stop_the_queue(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        names: list[str | bytes] = [
            b"bell\x07 and escape\x1b[31m",
            b"not utf-8 \xff\xfe",
            "new\nline",
            'quote" and $dollar',
            "plain",
        ]
        loaded = {d.load(name) for name in names}
        d.check(at=0)
        assert d.running() == loaded


def test_an_item_that_cannot_start_is_published_and_does_not_block_the_next(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        blocked = rtorrent.folder / "a file"
        blocked.write_text("not a folder")
        broken = d.load("broken", f'd.directory.set="{blocked}"', priority=3)
        whole = d.load("whole")
        outcome = d.check(at=0)
        assert (outcome.started, d.event_types()) == (1, ["StartFailed", "TorrentStarted"])
        assert whole in d.running()
        assert d.job_table.history.latest(item=broken)[0].verdict == "failed"


def test_an_item_that_failed_is_not_tried_again_at_once(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(schedule="second=*")) as d:
        blocked = rtorrent.folder / "a file"
        blocked.write_text("not a folder")
        d.load("broken", f'd.directory.set="{blocked}"')
        d.check(at=0)
        assert d.check(at=1).hold.reason == "failed_before"
        hold = explain_queue(d.queue, moment(2)).data["hold"]
        assert (hold["reason"], hold["name"], hold["summary"]) == (
            "failed_before",
            "broken",
            "did not start, next attempt in 13 s",
        )
        assert hold["error"] in hold["text"]
        assert d.event_types() == ["StartFailed"]


def test_an_item_that_failed_starts_when_the_cause_is_gone(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(schedule="second=*")) as d:
        blocked = rtorrent.folder / "a file"
        blocked.write_text("not a folder")
        mended = d.load("mended", f'd.directory.set="{blocked}"')
        d.check(at=0)
        blocked.unlink()
        d.check(at=20)
        eventually(lambda: d.rtorrent.call("d.is_active", mended) == 1)
        assert d.event_types() == ["StartFailed", "TorrentStarted"]


def test_a_dry_run_starts_nothing_and_keeps_the_pace(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(dry_run=True, intermission=60.0)) as d:
        d.load("one")
        assert d.check(at=0).started == 1
        assert d.check(at=15).hold.reason == "intermission"
        assert (d.running(), d.event_types()) == (set(), [])


def test_the_last_start_survives_a_restart_and_a_reboot(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    job = queue_job(intermission=60.0)
    with queue_scene(rtorrent, tmp_path, job) as d:
        d.load("one")
        d.load("two")
        d.check(at=0)
        began = d.metrics.last_start.get("queue")
        assert began > 0
    with queue_scene(rtorrent, tmp_path, job, at=15) as d:
        assert d.check(at=15).hold.reason == "intermission"
        assert d.metrics.last_start.get("queue") == pytest.approx(began, abs=1.0)
    with queue_scene(rtorrent, tmp_path, job, at=60) as d:
        assert d.check(at=60).started == 1


def test_a_pause_survives_a_restart(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        d.load("one")
        d.job_table.job_states.pause("queue", 0.0)
    with queue_scene(rtorrent, tmp_path) as d:
        assert d.check(at=0).hold.reason == "paused"


def test_several_queues_keep_their_own_limits(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    def of_label(label: str, slots: int) -> QueueSettings:
        mine = f"custom_1={label}"
        return queue_job(
            label, startable=f"{mine} done=0 prio>0", downloading=mine, downloading_max=slots, start_at_once=9
        )

    with queue_scene(rtorrent, tmp_path, of_label("tv", 1), of_label("films", 2)) as d:
        for number in range(3):
            d.load(f"tv {number}", "d.custom1.set=tv")
            d.load(f"film {number}", "d.custom1.set=films")
        outcomes = [d.check(at=0, job=job) for job in ("tv", "films")]
        assert [outcome.started for outcome in outcomes] == [1, 2]
        assert [d.check(at=15, job=job).hold.reason for job in ("tv", "films")] == ["no_slot", "no_slot"]


def test_max_down_rate_holds_only_at_that_rate(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(max_down_rate=1)) as d:
        d.load("one")
        assert d.check(at=0).started == 1


def test_an_item_larger_than_the_disk_waits(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(min_free=10**15)) as d:
        d.load("one")
        outcome = d.check(at=0)
        assert (outcome.started, outcome.hold.reason) == (0, "disk")


def test_items_closed_on_a_full_disk_are_started_again(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        closed, other = d.load("closed"), d.load("other", priority=0)
        without_trackers(d)
        for item in (closed, other):
            d.rtorrent.call("d.start", item)
        # The view `active` has them already while they are checked.
        eventually(lambda: d.rtorrent.rows("active", ["d.is_active="]) == [("1",), ("1",)])
        d.rtorrent.call("close_low_diskspace", "", 10**15)
        assert d.rtorrent.call("d.message", closed) == "Low diskspace."
        assert d.check(at=0).started == 1
        eventually(lambda: d.rtorrent.call("d.is_active", closed) == 1)
        assert d.rtorrent.call("d.is_active", other) == 0


def test_the_queue_continues_after_rtorrent_was_unavailable(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        item = d.load("one")
        saved = Session()
        saved.locate(d.rtorrent, d.rtorrent.identity())
        eventually(lambda: saved.holds(item), why="the item is in the session")
        rtorrent.kill()
        with pytest.raises(RTorrentUnavailable):
            d.check(at=0)
        rtorrent.start()
        assert d.check(at=15).started == 1


def insert_intent(d: QueueScene, info_hash: str) -> None:
    """The row that is stored when the process dies between intent and result."""
    with d.store.transaction() as db:
        db.execute("INSERT INTO intents VALUES (?, 'queue', 'name', 0, 0)", (info_hash,))


def has_published(d: QueueScene) -> bool:
    """Whether all starts are published, after what is due now was verified."""
    starter = d.job_table.starter
    assert starter is not None
    starter.verify(time.monotonic())
    return starter.wait(0.0) > 1e6


def test_an_interrupted_start_is_published_after_recovery(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path) as d:
        begun, not_begun, gone = d.load("begun"), d.load("not begun"), "0" * 40
        d.rtorrent.call("d.start", begun)
        for item in (begun, not_begun, gone):
            insert_intent(d, item)
        assert d.job_table.starter is not None
        d.job_table.starter.recover(time.monotonic())
        eventually(lambda: has_published(d), why="rTorrent saves the start")
        assert not d.job_table.starter.has_open_intents()
        assert (d.event_types(), d.running()) == (["TorrentStarted"], {begun})


def test_each_start_of_a_batch_is_progress_so_that_a_long_one_is_no_hang(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        for name in "abc":
            d.load(name)
        running: list[int] = []
        d.queue.progressed = lambda: running.append(len(d.running()))
        assert d.check(at=0).started == 3
        assert running == [1, 2, 3]


def test_an_event_reads_what_waits_beside_what_runs_if_a_slot_was_free(
    rtorrent: PrivateRTorrent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at a fire time, and not while all slots are taken."""
    requests: list[str] = []
    with queue_scene(rtorrent, tmp_path, queue_job(start_at_once=9, downloading_max=2)) as d:
        find, rules = d.queue.items.reader.find, d.queue.rules
        names = {id(rules.startable): "startable", id(rules.downloading): "running"}

        def noting(view: str, condition: Any, *more: Any, **options: Any) -> Any:
            what = names.get(id(condition), "closed")
            requests.append(f"{what} begins")
            found = find(view, condition, *more, **options)
            requests.append(f"{what} ends")
            return found

        monkeypatch.setattr(d.queue.items.reader, "find", noting)

        def check(at: float, cause: Cause) -> int:
            requests.clear()
            return d.check(at=at, cause=cause).started

        one_by_one = ["running begins", "running ends", "startable begins", "startable ends"]
        assert (check(0, "event"), requests) == (0, one_by_one), "nothing is known before the first check"
        loaded = [d.load("one")]
        beside = ["running begins", "startable begins", "startable ends", "running ends"]
        assert (check(15, "event"), requests) == (1, beside)
        loaded.append(d.load("two"))
        assert (check(30, "tick"), requests) == (1, [*one_by_one, "closed begins", "closed ends"])
        d.load("three")
        assert check(45, "tick") == 0
        assert (check(60, "event"), requests) == (0, ["running begins", "running ends"])
        assert d.running() == set(loaded)


@pytest.fixture
def open_loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the ledger of a watcher has as open."""
    found: list[str] = []

    def up_to(_: OpenLoads, limit: int) -> list[str]:
        return found[:limit]

    monkeypatch.setattr(OpenLoads, "up_to", up_to)
    return found


def test_the_event_of_a_load_looks_at_the_new_item_once(
    rtorrent: PrivateRTorrent, tmp_path: Path, open_loads: list[str]
) -> None:
    """The next look is at all items again: another program may have added one at that moment."""
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        d.load("first")
        assert d.check(at=0).started == 1
        open_loads[:] = [d.load("held", priority=0), d.load("one"), "0" * 40]
        other = d.load("of another program")
        found = d.check(at=15, cause="event")
        assert (found.startable, found.started, other in d.running()) == (1, 1, False)
        found = d.check(at=30, cause="event")
        assert (found.startable, found.started, other in d.running()) == (1, 1, True)


@pytest.mark.parametrize("limit", [{"start_at_once": 1}, {"downloading_max": 1}], ids=str)
def test_an_event_looks_at_all_items_while_others_wait(
    rtorrent: PrivateRTorrent, tmp_path: Path, open_loads: list[str], limit: dict[str, Any]
) -> None:
    with queue_scene(rtorrent, tmp_path, msgspec.structs.replace(FAST, **limit)) as d:
        first, waiting = d.load("first", priority=3), d.load("waiting", priority=2)
        assert d.check(at=0).started == 1
        open_loads[:] = [d.load("new")]
        d.rtorrent.call("d.priority.set", first, 0)
        d.rtorrent.call("d.stop", first)
        assert d.check(at=15, cause="event").startable == 2
        assert d.running() == {waiting}


def test_an_event_looks_at_all_items_of_a_view_that_may_lack_the_new_one(
    rtorrent: PrivateRTorrent, tmp_path: Path, open_loads: list[str]
) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(start_at_once=9, view="stopped")) as d:
        assert d.check(at=0).startable == 0
        open_loads[:] = [d.load("new")]
        d.load("other")
        assert d.check(at=15, cause="event").startable == 2


def test_the_event_of_a_load_is_late_for_an_item_that_was_just_started(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        started, waiting = d.load("one"), d.load("off", priority=0)
        d.check(at=0)
        starter = d.job_table.starter
        assert starter is not None
        assert [starter.take_recent(item) for item in (started, started, waiting)] == [True, False, False]
