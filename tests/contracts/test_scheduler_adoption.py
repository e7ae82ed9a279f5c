"""Items that others start above the limit are closed and wait in the queue, over a real rTorrent."""

import time
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.requests import StartTorrent
from pyrotorque.rtorrent.availability import Availability
from pyrotorque_scheduler.fire_times import FireTimes
from pyrotorque_scheduler.queue.parked_items import ParkedItem, ParkedItems
from pyrotorque_scheduler.requests import RequestHandler
from tests.contracts.test_scheduler_completion import detect
from tests.other_rtorrent import other
from tests.scheduling import QueueScene, moment, queue_job, queue_scene, since_begin
from tests.waiting import eventually

ADOPT: dict[str, Any] = {"adopt": "custom_1=radarr", "startable": "is_ignored=no done=0 message= prio>0"}


def job(slots: int = 2, **more: Any) -> Any:
    return queue_job(downloading_max=slots, start_at_once=9, **{**ADOPT, **more})


def started_by_others(d: QueueScene, name: str, *commands: str, priority: int = 2) -> str:
    item = d.load(name, "d.custom1.set=radarr", *commands, priority=priority)
    d.rtorrent.call("d.start", item)
    eventually(lambda: (item, "1") in d.rtorrent.rows("main", ["d.hash=", "d.is_active="]), 20)
    return item


def no_check(_job: str, _cause: object) -> None:
    """A request that runs a queue has another test."""


def states(d: QueueScene, item: str) -> list[object]:
    return list(d.rtorrent.multicall([(state, (item,)) for state in ("d.state", "d.is_open", "d.is_active")]))


def test_what_is_above_the_limit_waits_and_is_started_in_its_turn(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job()) as d:
        ours = d.load("ours")
        d.check(at=0)
        first, second = started_by_others(d, "first"), started_by_others(d, "second")
        assert d.check(at=15).downloading == 2
        closed = [item for item in (first, second) if states(d, item) == [0, 0, 0]]
        assert len(closed) == 1
        assert ours in d.running()
        record = next(each for each in d.job_table.history.latest() if each.verdict == "adopted")
        assert record.info_hash == closed[0]
        assert d.check(at=30).started == 0
        d.rtorrent.call("d.erase", ours)
        assert d.check(at=45).started == 1
        assert d.running() == {first, second}
        assert d.check(at=60).downloading == 2, "now the queue has started it"


def test_what_downloading_min_would_start_again_is_not_closed(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job(1, downloading_min=2)) as d:
        items = {started_by_others(d, "one"), started_by_others(d, "two")}
        d.check(at=0)
        assert d.running() == items
        assert not d.queue.rotation.rows
        started_by_others(d, "three")
        d.check(at=15)
        assert len(d.running()) == 2


def test_what_matches_makes_room_for_what_does_not(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job(1)) as d:
        item = started_by_others(d, "matches")
        d.check(at=0)
        assert d.running() == {item}, "it is within the limit"
        other = d.load("other", priority=0)
        d.rtorrent.call("d.start", other)
        eventually(lambda: (other, "1") in d.rtorrent.rows("main", ["d.hash=", "d.is_active="]), 20)
        d.check(at=15)
        assert d.running() == {other}
        assert states(d, item) == [0, 0, 0]


def test_the_owner_forces_an_item(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job(1, stall_after=60.0, stall_grace=0.0)) as d:
        high = started_by_others(d, "high", priority=3)
        again, by_hand = started_by_others(d, "again"), started_by_others(d, "by hand")
        requests = RequestHandler(d.job_table, FireTimes({}, 0.0, 0.0), Availability("jobs wait"))
        assert requests.answer(StartTorrent(info_hash=by_hand), moment(0), no_check).ok
        d.check(at=0)
        assert d.running() == {high, by_hand}
        d.rtorrent.multicall([("d.open", (again,)), ("d.start", (again,))])
        d.load("waits")
        for at in (15, 30, 90, 200):
            d.check(at=float(at))
        assert {high, again, by_hand} <= d.running(), "nothing is closed that its owner started again, or forces"


def test_an_adopted_item_survives_a_restart_of_both(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job(1)) as d:
        items = {started_by_others(d, "one"), started_by_others(d, "two")}
        d.check(at=0)
        (closed,) = items - d.running()
    rtorrent.kill()
    rtorrent.start()
    with queue_scene(rtorrent, tmp_path, job(1), at=100) as d:
        for item in items - {closed}:
            d.rtorrent.call("d.erase", item)
        d.check(at=105)
        d.check(at=120)
        assert d.running() == {closed}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (("d.pause",), [1, 1, 0]),
        (("d.stop",), [0, 1, 0]),
        (("d.priority.set", 3), [1, 1, 1]),
        (("d.ignore_commands.set", 1), [1, 1, 1]),
    ],
)
def test_what_its_owner_does_at_the_last_moment_counts(
    rtorrent: PrivateRTorrent,
    tmp_path: Path,
    call: tuple[str, *tuple[int, ...]],
    expected: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The owner pauses, stops, prefers or ignores an item after the queue has read it, and before it closes it."""
    with queue_scene(rtorrent, tmp_path, job(1)) as d:
        kept, item = started_by_others(d, "first"), started_by_others(d, "second")
        d.rtorrent.call("d.priority.set", kept, 3)
        put = ParkedItems.put

        def put_late(parked: ParkedItems, row: ParkedItem) -> None:
            put(parked, row)
            d.rtorrent.call(call[0], item, *call[1:])

        monkeypatch.setattr(ParkedItems, "put", put_late)
        d.check(at=0)
        assert states(d, item) == expected
        assert item not in d.queue.rotation.rows, "the queue does not start it either"
        assert not ParkedItems(d.store).of("queue")
        monkeypatch.undo()
        d.rtorrent.call("d.erase", kept)
        d.check(at=15)
        assert states(d, item) == expected


def test_an_item_is_adopted_although_the_scheduler_was_killed_before_it_was_closed(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, job(1)) as d:
        first, second = started_by_others(d, "first"), started_by_others(d, "second")
        parked = time.time() + 60  # rTorrent has the time of the start, which is real
        for item in (first, second):
            ParkedItems(d.store).put(ParkedItem(item, "queue", item, 0, 0, parked, parked))
        d.check(at=parked + 15 - since_begin(0))
        assert len(d.running()) == 1
        (closed,) = {first, second} - d.running()
        assert set(d.queue.rotation.held_until) == {closed}


@pytest.mark.parametrize("settings", [{"adopt": ""}, {"dry_run": True}], ids=["off", "dry run"])
def test_nothing_is_closed_in_a_dry_run_or_without_the_setting(
    rtorrent: PrivateRTorrent, tmp_path: Path, settings: dict[str, Any]
) -> None:
    with queue_scene(rtorrent, tmp_path, job(1, **settings)) as d:
        items = {started_by_others(d, "one"), started_by_others(d, "two")}
        d.check(at=0)
        assert items <= d.running()


def test_nothing_is_closed_in_another_rtorrent(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    """It has items of others only, so all of them would count as started by others."""
    with queue_scene(rtorrent, short_folder, job(1, stall_after=60.0, stall_grace=0.0)) as d:
        for number in range(12):
            d.load(f"known {number}", priority=0)
        detect(d)
        with other(rtorrent, short_folder):
            items = {started_by_others(d, "one"), started_by_others(d, "two")}
            d.load("waits")
            for at in (15, 90, 200):
                d.check(at=float(at))
            assert items <= d.running()
            assert not d.queue.rotation.held_until
