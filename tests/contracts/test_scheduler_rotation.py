"""Stall rotation over a real rTorrent: closed, tried again, forgiven; never when nothing waits or the line is down."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque_scheduler.queue import line
from pyrotorque_scheduler.queue.explain import explain_queue
from pyrotorque_scheduler.queue.model import Instant
from tests.scheduling import QueueScene, moment, queue_job, queue_scene

STALL: dict[str, Any] = {"stall_after": 60.0, "stall_grace": 0.0}
HOUR = 3600.0


@pytest.fixture(autouse=True)
def line_is_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Nothing is transferred here, and no tracker answers: that would count as a line that is down."""

    def let(up: bool) -> None:
        def answer(*_: object) -> bool:
            return up

        monkeypatch.setattr(line, "line_is_up", answer)

    let(True)
    return let


def job(slots: int = 1, **more: Any) -> Any:
    return queue_job(downloading_max=slots, start_at_once=9, **{**STALL, **more})


def states(d: QueueScene, item: str) -> list[object]:
    return list(d.rtorrent.multicall([(state, (item,)) for state in ("d.state", "d.is_open", "d.is_active")]))


def test_an_item_without_progress_gives_its_slot_to_one_that_waits(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job()) as d:
        dead, waiting = d.load("dead"), d.load("waiting")
        d.check(at=0)
        assert [d.check(at=at).started for at in (15, 30, 45, 60)] == [0, 0, 0, 0]
        assert d.check(at=75).started == 1
        assert d.running() == {waiting}
        assert states(d, dead) == [0, 0, 0]
        record = next(r for r in d.job_table.history.latest() if r.verdict == "stalled")
        assert (record.info_hash, record.text) == (
            dead,
            "no progress for 1 min: gave up its slot, strike 1, tried again in 30 min",
        )


def test_nothing_gives_up_its_slot_while_nothing_waits(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job(2)) as d:
        dead = {d.load("dead"), d.load("also dead")}
        d.load("off", priority=0)
        for at in range(0, 7200, 300):
            d.check(at=float(at))
        assert d.running() == dead
        assert "2 of 2 slots stalled for" in explain_queue(d.queue, moment(7200)).text


def test_a_suspended_machine_makes_no_item_stand_still(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job()) as d:
        running, waiting = d.load("running"), d.load("waiting")
        for at in (0, 15):
            d.check(at=at)

        def check(at: float) -> set[str]:
            """`at` seconds after the begin, of which the machine slept for eight hours."""
            now = moment(at)
            d.queue.check(Instant(now.wall, now.ticks, now.boot, slept=28_800.0), "tick")
            return d.running()

        assert [check(28_800.0 + at) for at in (30, 45, 60)] == [{running}] * 3
        assert check(28_800.0 + 75) == {waiting}, "it stood still for a minute, too"


@pytest.mark.parametrize("by", [86_400.0, -86_400.0])
def test_a_clock_that_is_set_does_not_change_when_an_item_is_tried_again(
    rtorrent: PrivateRTorrent, tmp_path: Path, by: float
) -> None:
    with queue_scene(rtorrent, tmp_path, job(stall_retry=1800.0)) as d:
        dead = d.load("dead")
        d.check(at=0)
        waiting = d.load("waiting")
        for at in (15, 75):
            d.check(at=at)
        assert d.running() == {waiting}
        d.rtorrent.call("d.erase", waiting)
        d.job_table.clock_was_set(by)

        def check(at: float) -> bool:
            now = moment(at)
            d.queue.check(Instant(now.wall + by, now.ticks, now.boot), "tick")
            return dead in d.running()

        assert [check(at) for at in (100, 1000, 1860, 1890)] == [False, False, False, True]


def test_a_retry_comes_after_its_time_and_after_items_that_never_ran(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    """I16: one slot and three dead items: none is tried twice within its time."""
    with queue_scene(rtorrent, tmp_path, job()) as d:
        items = [d.load(name) for name in ("a", "b", "c")]
        times: dict[str, list[float]] = {item: [] for item in items}
        before: set[str] = set()
        for at in range(0, 7200, 60):
            d.check(at=float(at))
            running = d.running()
            assert len(running) <= 1
            for item in running - before:
                times[item].append(float(at))
            before = running
        starts = [times[item] for item in items]
        assert all(len(each) >= 2 for each in starts)
        assert max(each[0] for each in starts) < min(each[1] for each in starts)
        for first, second, *_ in starts:
            assert second - first >= 1800
        strikes = {row.strikes for row in d.queue.rotation.rows.values()}
        assert max(strikes) >= 2


def test_partly_loaded_items_and_those_with_messages_are_tried_again(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job(startable="is_ignored=no done=0 message= prio>0")) as d:
        dead = d.load("dead")
        d.check(at=0)
        d.check(at=15)
        d.load("waits")
        d.check(at=90)
        d.check(at=105)
        d.rtorrent.call("d.message.set", dead, 'Tracker: [Failure reason "unregistered"]')
        assert d.check(at=90 + HOUR).started == 1
        assert d.running() == {dead}


def test_what_its_owner_turned_off_or_erased_is_not_tried_again(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job()) as d:
        dead = d.load("dead")
        d.check(at=0)
        d.check(at=15)
        waiting = d.load("waits")
        d.check(at=90)
        d.rtorrent.call("d.priority.set", dead, 0)
        d.rtorrent.call("d.erase", waiting)
        assert d.check(at=90 + HOUR).started == 0
        d.rtorrent.call("d.erase", dead)
        assert d.check(at=90 + 2 * HOUR).started == 0


def test_an_item_that_its_owner_starts_again_is_no_longer_parked(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job()) as d:
        dead = d.load("dead")
        d.check(at=0)
        d.check(at=15)
        waiting = d.load("waits")
        d.check(at=90)
        d.rtorrent.multicall([("d.open", (dead,)), ("d.start", (dead,))])
        d.check(at=105)
        assert not d.queue.rotation.held_until
        assert d.running() == {dead, waiting}


@pytest.mark.parametrize("forced", ["priority", "grace"])
def test_an_item_that_its_owner_forces_keeps_its_slot(rtorrent: PrivateRTorrent, tmp_path: Path, forced: str) -> None:
    grace: dict[str, Any] = {"stall_grace": 10 * HOUR} if forced == "grace" else {}
    with queue_scene(rtorrent, tmp_path, job(**grace)) as d:
        dead = d.load("dead", priority=3 if forced == "priority" else 2)
        d.check(at=0)
        d.load("waits")
        for at in (15, 90, 165, 3000):
            d.check(at=float(at))
        assert d.running() == {dead}


def test_nothing_gives_up_its_slot_while_the_line_is_down(
    rtorrent: PrivateRTorrent, tmp_path: Path, line_is_up: Callable[[bool], None]
) -> None:
    line_is_up(False)
    with queue_scene(rtorrent, tmp_path, job()) as d:
        dead = d.load("dead")
        d.check(at=0)
        waiting = d.load("waits")
        for at in (15, 90, 165):
            d.check(at=float(at))
        assert d.running() == {dead}
        assert "the line seems down" in explain_queue(d.queue, moment(166)).text
        line_is_up(True)
        d.check(at=300)
        assert d.running() == {waiting}


def test_strikes_and_parked_items_survive_a_restart_of_both(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job()) as d:
        dead = d.load("dead")
        d.check(at=0)
        d.check(at=15)
        d.load("waits")
        d.check(at=90)
        until = d.queue.rotation.held_until
    rtorrent.kill()
    rtorrent.start()
    with queue_scene(rtorrent, tmp_path, job(), at=100) as d:
        d.check(at=105)
        assert d.queue.rotation.held_until == until
        assert d.queue.rotation.rows[dead].strikes == 1
        assert states(d, dead)[0] == 0


def test_an_item_parked_by_a_queue_that_is_gone_or_without_rotation_starts_again(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, job()) as d:
        dead = d.load("dead")
        d.check(at=0)
        d.check(at=15)
        d.load("waits")
        d.check(at=90)
    with queue_scene(rtorrent, tmp_path, queue_job("other", downloading_max=5, start_at_once=9)) as d:
        d.check(at=90 + HOUR)
        assert dead in d.running()


def test_after_stall_strikes_it_is_left_alone(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job(stall_strikes=1)) as d:
        d.load("dead")
        d.check(at=0)
        d.check(at=15)
        waiting = d.load("waits")
        d.check(at=90)
        d.rtorrent.call("d.erase", waiting)
        assert d.check(at=1000 * HOUR).started == 0


def test_a_full_group_rotates_by_itself(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job(9, group_by="custom_1", group_max=1)) as d:
        dead, other = d.load("dead", "d.custom1.set=a"), d.load("other", "d.custom1.set=b")
        d.check(at=0)
        waiting = d.load("waits", "d.custom1.set=a")
        d.check(at=15)
        d.check(at=90)
        assert d.running() == {waiting, other}
        assert states(d, dead) == [0, 0, 0]


def test_dry_run_closes_nothing(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, job()) as d:
        dead = d.load("dead")
        d.check(at=0)
    with queue_scene(rtorrent, tmp_path, job(dry_run=True)) as d:
        d.load("waits")
        for at in (15, 90, 165):
            d.check(at=float(at))
        assert d.running() == {dead}


def test_explain_names_the_stalled_slots_and_what_would_change_it(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(downloading_max=1)) as d:
        d.load("dead")
        d.load("waits")
        for at in (0, 15, 735):
            d.check(at=float(at))
        text = (
            "1 of 1 slots stalled for 12 min; rotation is off: job.queue.stall_after = 20m gives them to waiting items"
        )
        assert text in explain_queue(d.queue, moment(735)).text
        assert explain_queue(d.queue, moment(735)).data["stalled"] == text
