"""The policy of the queue, as histories and tables."""

import pytest

from pyrotorque_scheduler.queue.explain_text import hold_text
from pyrotorque_scheduler.queue.groups import GroupLimits, GroupRoom
from pyrotorque_scheduler.queue.model import (
    Candidate,
    Decision,
    Failure,
    Grant,
    GrantUse,
    Hold,
    Instant,
    Limits,
    QueueStart,
    QueueState,
)
from pyrotorque_scheduler.queue.policy import (
    FAILURES_MAX,
    Batch,
    DiskBudget,
    after_start,
    batch_size,
    batch_time,
    decide,
    schedule_hold,
    traffic_hold,
)
from tests.histories import history


def test_a_download_starts_when_another_completes() -> None:
    queue = history(slots=1).queued("AA", "BB").step(at=0).completes("AA").step(at=60)
    assert queue.started == ["AA", "BB"]


def test_one_item_is_started_at_each_tick() -> None:
    queue = history().queued("AA", "BB", "CC").step(at=0).step(at=15).step(at=30)
    assert (queue.started, queue.times) == (["AA", "BB", "CC"], [0, 15, 30])


def test_start_at_once_bounds_a_batch() -> None:
    queue = history(at_once=2).queued("AA", "BB", "CC").step(at=0)
    assert queue.started == ["AA", "BB"]


def test_no_more_than_downloading_max_are_running() -> None:
    queue = history(slots=2, at_once=5).queued("AA", "BB", "CC").step(at=0).step(at=15)
    assert (queue.started, queue.reason) == (["AA", "BB"], "no_slot")


def test_items_that_their_owner_started_take_slots_and_are_left_alone() -> None:
    queue = history(slots=2).runs("X", "Y", "Z").queued("AA").step(at=0)
    assert (queue.started, queue.running) == ([], ["X", "Y", "Z"])


def test_downloading_min_overrides_start_at_once() -> None:
    queue = history(at_least=3).queued("AA", "BB", "CC", "DD").step(at=0)
    assert queue.started == ["AA", "BB", "CC"]


def test_downloading_min_overrides_downloading_max() -> None:
    queue = history(slots=1, at_least=2).queued("AA", "BB", "CC").step(at=0)
    assert queue.started == ["AA", "BB"]


def test_a_grant_larger_than_the_minimum_is_used_up_to_the_maximum() -> None:
    queue = history(slots=4, at_least=2, at_once=9).queued("A", "B", "C", "D", "E").step(at=0)
    assert queue.started == ["A", "B", "C", "D"]


def test_intermission_overrides_downloading_min() -> None:
    queue = history(at_least=3, intermission=60, every=5).queued("AA").step(at=0).queued("BB").step(at=5)
    assert (queue.started, queue.reason) == (["AA"], "intermission")


def test_the_next_batch_comes_when_the_intermission_is_over() -> None:
    queue = history(intermission=60, every=5).queued("AA", "BB").step(at=0).step(at=55).step(at=60)
    assert queue.times == [0, 60]


def test_an_event_between_two_ticks_spends_what_the_last_one_left() -> None:
    queue = history().step(at=0).queued("AA").event(at=4)
    assert (queue.started, queue.times) == (["AA"], [4])


def test_the_pace_is_as_the_table_of_the_page_shows_it() -> None:
    queue = history().queued("A", "B").step(at=0).queued("C").event(at=4).step(at=15).step(at=30).step(at=45)
    assert queue.queued("D").event(at=52).started == ["A", "B", "C", "D"]
    assert queue.times == [0, 15, 30, 52]


def test_an_event_cannot_speed_up_the_pace() -> None:
    queue = history().queued("AA", "BB").step(at=0).event(at=1).event(at=14)
    assert (queue.started, queue.reason) == (["AA"], "pace")


def test_a_tick_soon_after_an_event_waits_until_the_gap_is_over() -> None:
    queue = history().step(at=0).queued("AA", "BB").event(at=14).step(at=15).event(at=29)
    assert queue.times == [14, 29]


def test_ticks_that_come_a_little_late_do_not_drift() -> None:
    queue = history().queued("AA", "BB", "CC").step(at=0.4).step(at=15.1).step(at=30.0)
    assert queue.times == [0.4, 15.1, 30.0]


def test_a_tick_that_comes_much_too_late_does_not_cut_the_intermission_after_it() -> None:
    queue = history(intermission=60, every=60).queued("AA", "BB").step(at=50).step(at=60).event(at=109).event(at=110)
    assert queue.times == [50, 110]


def test_the_starts_used_of_a_fire_time_are_stored() -> None:
    queue = history(at_once=3).queued("AA", "BB").step(at=30)
    assert queue.state.used == GrantUse(30.0, 2)
    assert queue.queued("CC").step(at=45).state.used == GrantUse(45.0, 1)


def test_grants_do_not_add_up_over_quiet_times() -> None:
    queue = history(at_once=1).step(at=0).step(at=15).step(at=30).queued("AA", "BB").event(at=31).event(at=32)
    assert queue.started == ["AA"]


def test_an_event_outside_the_window_of_the_schedule_starts_nothing() -> None:
    queue = history(until=60).step(at=60).queued("AA").event(at=76)
    assert (queue.started, queue.reason) == ([], "pace")


def test_the_last_grant_of_the_window_holds_for_its_gap() -> None:
    assert history(until=60).step(at=60).queued("AA").event(at=74).started == ["AA"]


def test_a_completion_fills_the_slot_at_once_when_the_grant_is_fresh() -> None:
    queue = history(slots=1).queued("AA", "BB").step(at=0).step(at=15).completes("AA").event(at=22)
    assert (queue.started, queue.times) == (["AA", "BB"], [0, 22])


def test_a_clock_set_back_an_hour_does_not_prolong_the_intermission() -> None:
    queue = history(intermission=60).queued("AA", "BB").step(at=7200).clock_steps(-3600).step(at=7260)
    assert queue.times == [7200, 7260]


def test_a_clock_set_forward_does_not_cut_the_intermission() -> None:
    queue = history(intermission=60).queued("AA", "BB").step(at=0).clock_steps(+3600).step(at=15)
    assert (queue.started, queue.reason) == (["AA"], "intermission")


def test_nothing_is_started_while_the_job_is_paused() -> None:
    queue = history().queued("AA")
    queue.state = QueueState(paused=True)
    assert queue.step(at=0).reason == "paused"


def test_nothing_is_started_outside_the_hours_of_the_job() -> None:
    queue = history().queued("AA")
    queue.opens = 3600
    assert queue.step(at=0).reason == "hours"


def test_an_empty_queue_has_nothing_startable() -> None:
    assert history().step(at=0).reason == "nothing_startable"


NOW = 1000.0
ITEMS = [Candidate("AA", "a"), Candidate("BB", "b"), Candidate("CC", "c")]


def batch_of(
    items: list[Candidate], count: int, broken: str = "", disks: DiskBudget | None = None, **failures: Failure
) -> list[Decision]:
    """What a batch decides when the items in `broken` do not start."""
    batch = Batch(count, disks or DiskBudget({}, 0), failures, NOW)
    decisions: list[Decision] = []
    for item in items:
        decisions.append(batch.decide(item))
        if isinstance(decisions[-1], QueueStart):
            batch.failed() if item.info_hash in broken.split() else batch.succeeded(item)
    return decisions


def summary(decisions: list[Decision]) -> list[str]:
    assert all(hold_text(d, NOW) for d in decisions if isinstance(d, Hold)), "each hold has a text"
    return [d.reason if isinstance(d, Hold) else f"start {d.info_hash}" for d in decisions]


def test_an_item_that_fails_to_start_does_not_block_those_behind_it() -> None:
    assert summary(batch_of(ITEMS, 2, broken="AA")) == ["start AA", "start BB", "start CC"]


def test_an_item_that_failed_recently_is_skipped() -> None:
    decisions = batch_of(ITEMS, 1, AA=Failure(1060.0, "no such folder"))
    assert summary(decisions) == ["failed_before", "start BB", "batch_full"]


def test_an_item_that_failed_is_tried_again_when_its_time_has_come() -> None:
    assert summary(batch_of(ITEMS, 1, AA=Failure(1000.0, "no such folder")))[0] == "start AA"


def test_a_queue_full_of_failing_items_tries_some_at_a_time() -> None:
    items = [Candidate(f"{n:02}", "x") for n in range(FAILURES_MAX + 2)]
    decisions = batch_of(items, 1, broken=" ".join(item.info_hash for item in items))
    assert summary(decisions).count("batch_full") == 2
    assert FAILURES_MAX == 10


def test_an_item_that_would_fill_the_disk_waits_and_a_smaller_one_goes() -> None:
    items = [Candidate("BIG", "big", need=90, free=100, disk=1), Candidate("SMALL", "small", need=20, free=100, disk=1)]
    assert summary(batch_of(items, 2, disks=DiskBudget({1: 30}, 50))) == ["disk", "start SMALL"]


def test_items_of_one_batch_share_the_disk() -> None:
    items = [Candidate(name, name, need=40, free=100, disk=1) for name in ("AA", "BB", "CC")]
    assert summary(batch_of(items, 3, disks=DiskBudget({}, 10))) == ["start AA", "start BB", "disk"]


def test_traffic_holds_the_queue_only_with_max_down_rate() -> None:
    busy = traffic_hold(Limits(max_down_rate=1000), 1000)
    assert busy is not None
    assert busy.reason == "traffic"
    assert traffic_hold(Limits(max_down_rate=1000), 999) is None
    assert traffic_hold(Limits(), 10**9) is None


@pytest.mark.parametrize(("late", "counts_for_the_fire_time"), [(0.0, True), (0.5, True), (1.0, False), (1.5, False)])
def test_a_batch_less_than_a_second_late_counts_for_its_fire_time(late: float, counts_for_the_fire_time: bool) -> None:
    granted, now = Grant(100.0, 1, 15.0, None), Instant(100.0 + late, 7.0, "boot")
    assert batch_time(granted, now, tick=True) == (now.earlier(late) if counts_for_the_fire_time else now)
    assert batch_time(granted, now, tick=False) == now
    assert batch_time(Grant(None, 0, 15.0, None), now, tick=True) == now


def test_a_batch_without_groups_counts_none() -> None:
    batch = Batch(2, DiskBudget({}, 0), {}, NOW, GroupRoom(GroupLimits()))
    batch.succeeded(ITEMS[0])
    assert not batch.room.running
    assert not batch.room.latest


def test_a_batch_size_is_never_negative() -> None:
    assert batch_size(Limits(downloading_max=2), 5, 7) == 0


def batch(size: int = 9, **failures: Failure) -> Batch:
    return Batch(size, DiskBudget({}, 0), failures, NOW)


def test_the_reason_why_a_batch_is_not_larger() -> None:
    empty, started, failed, held = batch(), batch(), batch(), batch(AA=Failure(1060.0, "x"), BB=Failure(1070.0, "y"))
    started.succeeded(ITEMS[0])
    failed.failed()
    held.decide(ITEMS[0])
    held.decide(ITEMS[1])
    held.succeeded(ITEMS[2])
    reasons = [(each.hold().reason, each.hold().case) for each in (empty, started, failed)]
    assert reasons == [("nothing_startable", ""), ("nothing_startable", "no_other"), ("failed_before", "all_failed")]
    assert (held.hold().reason, held.hold().info_hash) == ("failed_before", "AA"), "the first that was held"
    failed.succeeded(ITEMS[0])
    assert failed.hold().case == "no_other"


def test_the_first_hold_is_shown_whether_it_was_decided_or_noted() -> None:
    noted, decided = Hold("group_full", info_hash="X"), batch(AA=Failure(1060.0, "x"))
    decided.decide(ITEMS[0])
    decided.note(noted)
    assert decided.hold().info_hash == "AA"
    other = batch(AA=Failure(1060.0, "x"))
    other.note(noted)
    other.note(Hold("group_full", info_hash="Y"))
    other.decide(ITEMS[0])
    assert other.hold() is noted


GRANTED = Grant(0.5, 1, 1.0, None)


def test_a_full_batch_ends_at_the_next_item_and_a_held_one_does_not() -> None:
    now = Instant(0.5, 0.5, "boot")
    decisions = decide(ITEMS, 0, Limits(), QueueState(), GRANTED, now)
    assert summary(decisions) == ["start AA", "batch_full"], "with the defaults of a test there are no hours"
    failing = QueueState(failures={"AA": Failure(9.0, "x")})
    assert summary(decide(ITEMS, 0, Limits(), failing, GRANTED, now)) == ["failed_before", "start BB", "batch_full"]
    assert summary(decide(ITEMS, 0, Limits(max_down_rate=1), QueueState(), GRANTED, now))[0] == "start AA"


def test_what_running_items_need_is_reserved_to_the_byte() -> None:
    big = Candidate("BIG", "big", need=50, free=100, disk=1)
    now, limits = Instant(0.5, 0.5, "boot"), Limits(min_free=50)
    assert summary(decide([big], 0, limits, QueueState(), GRANTED, now)) == ["start BIG"]
    assert summary(decide([big], 0, limits, QueueState(), GRANTED, now, reserved={1: 1})) == ["disk"]
    disks = DiskBudget({}, 20)
    disks.reserve(Candidate("A", "a", need=40, free=100, disk=1))
    assert disks.hold(Candidate("B", "b", need=40, free=100, disk=1)) is None
    assert disks.hold(Candidate("B", "b", need=41, free=100, disk=1)) is not None


def test_a_start_counts_for_its_fire_time_or_for_its_own() -> None:
    at = Instant(7.0, 7.0, "boot")
    assert after_start(QueueState(), GRANTED, at).used == GrantUse(0.5, 1)
    assert after_start(QueueState(), Grant(None, 0, 1.0, None), at).used == GrantUse(7.0, 1)


def test_the_gap_ends_so_many_seconds_after_the_last_batch() -> None:
    state = QueueState(last_batch=Instant(100.0, 100.0, "boot"))
    hold = schedule_hold(Limits(), state, Grant(90.0, 1, 15.0, None), 0.0, Instant(104.0, 104.0, "boot"))
    assert hold is not None
    assert (hold.case, hold.until, hold.numbers) == ("gap", 115.0, {"since": 4.0, "gap": 15.0})
