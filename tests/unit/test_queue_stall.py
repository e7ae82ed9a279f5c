"""Stall rotation: what is progress, who gives up a slot, when it is tried again; tables and invariants."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrotorque_scheduler.queue.groups import GroupLimits, GroupRoom
from pyrotorque_scheduler.queue.stall import (
    HIGH_PRIORITY,
    NEVER,
    ItemProgress,
    RunningItem,
    StallLimits,
    is_forgiven,
    line_is_up,
    progress,
    retry_delay,
    stalled,
    swap,
)

LIMITS = StallLimits(after=1200.0)
M = 1 << 20


def item(name: str = "a", done: int = 0, left: int = 100 * M, **more: object) -> RunningItem:
    return RunningItem(name, name, done, left, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("done", "left", "expected"),
    [
        pytest.param(M - 1, 100 * M, 0.0, id="too little"),
        pytest.param(M, 100 * M, 60.0, id="stall_bytes"),
        pytest.param(1, M - 1, 60.0, id="any byte where less is left"),
        pytest.param(0, M - 1, 0.0, id="nothing where little is left"),
        pytest.param(1, M, 0.0, id="not any byte where as much is left"),
    ],
)
def test_progress_is_enough_bytes(done: int, left: int, expected: float) -> None:
    assert progress(item(done=done), ItemProgress(0, left, 0.0, 0.0), LIMITS, 60.0).at == expected


def test_fewer_bytes_are_no_progress_and_the_next_ones_count_from_there() -> None:
    fallen = progress(item(done=2 * M), ItemProgress(5 * M, 100 * M, 7.0, 1.0), LIMITS, 60.0)
    assert fallen == ItemProgress(2 * M, 100 * M, 7.0, 1.0)
    assert progress(item(done=3 * M), fallen, LIMITS, 90.0).at == 90.0


def test_files_that_were_deselected_do_not_count_as_left() -> None:
    known = ItemProgress(5, 100 * M, 0.0, 0.0)
    assert progress(item(done=6, left=1000), known, LIMITS, 60.0).at == 60.0
    assert progress(item(done=5, left=1000), known, LIMITS, 60.0).at == 0.0
    assert progress(item(done=6, left=M - 2), known, LIMITS, 60.0).at == 60.0
    assert progress(item(done=6, left=M - 1), known, LIMITS, 60.0).at == 0.0, "as much was left before that byte"
    assert progress(item(done=6, left=100 * M), ItemProgress(5, 1000, 0.0, 0.0), LIMITS, 60.0).at == 60.0


def test_a_file_that_is_selected_again_before_any_byte_arrives_counts_as_before() -> None:
    known = progress(item(done=5, left=1000), ItemProgress(5, 100 * M, 0.0, 0.0), LIMITS, 30.0)
    assert progress(item(done=6, left=100 * M), known, LIMITS, 60.0).at == 0.0


def test_without_stall_bytes_each_byte_is_progress_but_nothing_is_none() -> None:
    known, limits = ItemProgress(5, 100 * M, 0.0, 0.0), StallLimits(after=1200.0, bytes=0)
    assert progress(item(done=5), known, limits, 60.0).at == 0.0
    assert progress(item(done=6), known, limits, 60.0).at == 60.0


def test_slow_progress_adds_up() -> None:
    known = progress(item(), None, LIMITS, 0.0)
    for minute in range(1, 20):
        known = progress(item(done=minute * M // 10), known, LIMITS, minute * 60.0)
    assert known.at == 600.0


@pytest.mark.parametrize(
    ("still", "seen", "more", "expected"),
    [
        pytest.param(1200.0, 1200.0, {}, True, id="stall_after is over"),
        pytest.param(1199.9, 5000.0, {}, False, id="not yet"),
        pytest.param(1200.0, 1200.0, {"started": 9_900.0}, False, id="started again within the grace"),
        pytest.param(1200.0, 1200.0, {"started": 9_400.0}, True, id="the grace is over"),
        pytest.param(1200.0, 1200.0, {"started": 20_000.0}, True, id="another clock"),
        pytest.param(1200.0, 1200.0, {"priority": HIGH_PRIORITY}, False, id="forced by its owner"),
        pytest.param(1200.0, 1200.0, {"priority": HIGH_PRIORITY - 1}, True, id="normal priority"),
        pytest.param(1200.0, 1200.0, {"ignored": True}, False, id="ignored"),
        pytest.param(1200.0, 1200.0, {"forced": True}, False, id="started by its owner"),
    ],
)
def test_who_may_give_up_a_slot(still: float, seen: float, more: dict[str, object], expected: bool) -> None:
    known = {"a": ItemProgress(0, 1, 10_000.0 - still, 10_000.0 - seen)}
    assert bool(stalled([item(**more)], known, LIMITS, 10_000.0, 10_000.0)) is expected  # type: ignore[arg-type]


def test_within_the_grace_after_it_was_first_seen_nothing_gives_up_its_slot() -> None:
    known = {"a": ItemProgress(0, 1, 0.0, 0.0)}
    short = StallLimits(after=10.0, grace=600.0)
    assert not stalled([item()], known, short, 599.0, 599.0)
    assert stalled([item()], known, short, 600.0, 600.0)
    later = {"a": ItemProgress(0, 1, 500.0, 500.0)}
    assert not stalled([item()], later, short, 1_099.0, 1_099.0)
    assert stalled([item()], later, short, 1_100.0, 1_100.0)


def test_a_start_at_the_beginning_of_the_clock_counts() -> None:
    known = {"a": ItemProgress(0, 1, 0.0, 0.0)}
    assert not stalled([item(started=0.5)], known, StallLimits(after=10.0, grace=600.0), 1000.0, 100.0)
    assert stalled([item(started=0.0)], known, StallLimits(after=10.0, grace=600.0), 1000.0, 100.0)


def test_without_stall_after_nothing_is_stalled_and_unseen_items_are_not() -> None:
    assert not stalled([item()], {"a": ItemProgress(0, 1, 0.0, 0.0)}, StallLimits(), 1e6, 1e6)
    assert not stalled([item()], {}, LIMITS, 1e6, 1e6)
    assert stalled([item()], {"a": ItemProgress(0, 1, 0.0, 0.0)}, StallLimits(after=0.5), 1e6, 1e6)


def test_those_that_stand_still_for_longest_are_first() -> None:
    known = {name: ItemProgress(0, 1, at, 0.0) for name, at in (("a", 30.0), ("b", 10.0), ("c", 20.0))}
    found = stalled(map(item, "abc"), known, LIMITS, 9_000.0, 9_000.0)
    assert [each.info_hash for each in found] == ["b", "c", "a"]


def names(found: list[RunningItem]) -> str:
    return "".join(each.info_hash for each in found)


def room(running: str = "", default: int = 0, **by_name: int) -> GroupRoom:
    return GroupRoom(GroupLimits("alias", default, by_name), running)


A, B, C = (item(name, group=group) for name, group in (("a", "x"), ("b", "x"), ("c", "y")))


@pytest.mark.parametrize(
    ("waiting", "free", "starts", "limit", "expected"),
    [
        pytest.param("", 0, 9, 0, "", id="nothing waits"),
        pytest.param("z", 0, 9, 0, "a", id="one for each"),
        pytest.param("zzzz", 0, 9, 0, "abc", id="no more than there are"),
        pytest.param("zz", 0, 1, 0, "a", id="no more than may be started"),
        pytest.param("zz", 0, 2, 0, "ab", id="as many as may be started"),
        pytest.param("zz", 0, 0, 0, "", id="no start is left"),
        pytest.param("x", 1, 9, 0, "", id="a slot is free for the same group"),
        pytest.param("z", 1, 9, 0, "", id="a slot is free"),
        pytest.param("zz", 1, 9, 0, "a", id="one slot is free, two wait"),
        pytest.param("z", -1, 9, 0, "ab", id="one too many runs"),
        pytest.param("z", -3, 9, 0, "", id="too many run for all of them"),
        pytest.param("y", 5, 9, 1, "c", id="its group is full"),
        pytest.param("xz", 1, 9, 2, "a", id="a full group, and a slot for another"),
        pytest.param("z", 5, 9, 1, "", id="another group is full"),
    ],
)
def test_who_gives_up_a_slot(waiting: str, free: int, starts: int, limit: int, expected: str) -> None:
    assert names(swap([A, B, C], waiting, room("xxy", limit), free, starts)) == expected


def test_a_full_group_does_not_block_those_after_it() -> None:
    assert names(swap([A, B, C], "wz", room("xxyw", 1), 0, 9)) == "a"


def test_more_in_a_group_than_may_be_give_up_nothing_for_one_more() -> None:
    assert swap([A], "x", room("xxx", 2), 5, 9) == []
    assert swap([A], "xx", room("xxx", 2), 5, 9) == []


def test_more_in_a_group_than_may_be_still_make_room_for_other_groups() -> None:
    assert names(swap([A], "xz", room("xxx", 2), 0, 9)) == "a"
    assert names(swap([A, B], "xzx", room("xxx", 2), 0, 9)) == "ab", "then there is room for one of them, too"


@pytest.mark.parametrize(
    ("strikes", "interval", "expected"),
    [
        (1, 0.0, 1800.0),
        (2, 0.0, 3600.0),
        (3, 0.0, 7200.0),
        (60, 0.0, 86_400.0),
        (10_000, 0.0, 86_400.0),
        (1, 2700.0, 2700.0),
        (2, 2700.0, 3600.0),
        (60, 100_000.0, 100_000.0),
    ],
)
def test_a_retry_waits_longer_each_time_and_for_the_tracker(strikes: int, interval: float, expected: float) -> None:
    assert retry_delay(strikes, LIMITS, interval) == expected


def test_after_stall_strikes_it_is_left_alone() -> None:
    limits = StallLimits(after=1.0, strikes=3)
    assert [retry_delay(strikes, limits, 0.0) == NEVER for strikes in (2, 3, 4)] == [False, True, True]


@pytest.mark.parametrize(
    ("then", "done", "left", "expected"),
    [
        pytest.param(0, 50 * M, 900 * M, True, id="stall_reset"),
        pytest.param(M, 50 * M, 900 * M, False, id="a little less"),
        pytest.param(0, M, M, True, id="half of a small one"),
        pytest.param(0, 1, 1, True, id="half of two bytes"),
        pytest.param(5, 5, 0, False, id="nothing"),
    ],
)
def test_strikes_are_forgiven_after_progress(then: int, done: int, left: int, expected: bool) -> None:
    assert is_forgiven(then, item(done=done, left=left), LIMITS) is expected


@pytest.mark.parametrize(
    ("moved", "answered", "expected"),
    [
        pytest.param(900.0, [], True, id="a byte moved"),
        pytest.param(899.0, [], False, id="too long ago"),
        pytest.param(float("-inf"), [0.0, 9_900.0], True, id="a tracker answered"),
        pytest.param(float("-inf"), [10_000.0], True, id="it answers now"),
        pytest.param(float("-inf"), [0.0, 9_899.0], False, id="all answers are old"),
        pytest.param(float("-inf"), [10_001.0], False, id="an answer in the future"),
        pytest.param(float("-inf"), [], False, id="neither"),
    ],
)
def test_the_line_is_down_only_if_no_byte_moved_and_no_tracker_answered(
    moved: float, answered: list[float], expected: bool
) -> None:
    assert line_is_up(moved, answered, 100.0, 1000.0, 10_000.0) is expected


ITEMS = st.lists(st.sampled_from("xyz"), max_size=8)


@given(
    ITEMS,
    st.lists(st.sampled_from("wxyz"), max_size=12),
    ITEMS,
    st.integers(0, 3),
    st.integers(0, 9),
    st.integers(0, 5),
)
@settings(max_examples=500)
def test_a_swap_exceeds_no_limit_and_closes_no_more_than_can_start(
    stalled_groups: list[str], waiting: list[str], others: list[str], group_max: int, slots: int, starts: int
) -> None:
    candidates = [item(f"{n}", group=group) for n, group in enumerate(stalled_groups)]
    running = [*stalled_groups, *others]
    before = GroupRoom(GroupLimits("alias", group_max), running)
    free = slots - len(running)
    given_up = swap(candidates, waiting, before, free, starts)
    assert len({each.info_hash for each in given_up}) == len(given_up)
    assert before.running == Counter(running), "the facts are not changed"
    if not waiting or starts == 0 or (free >= len(waiting) and not group_max):
        assert not given_up
    # All that wait and can be started then: at least one for each that gave up its slot beyond the excess.
    after = Counter(running) - Counter(each.group for each in given_up)
    left, started = slots - after.total(), 0
    for group in waiting:
        if started < starts and left > 0 and (not group_max or after[group] < group_max):
            after[group] += 1
            left -= 1
            started += 1
    assert started <= starts
    if given_up:
        assert started >= max(1, len(given_up) - max(0, -free))


@given(
    st.lists(st.tuples(st.integers(0, 3 * M), st.integers(1, 400)), min_size=1, max_size=40),
    st.sampled_from([300.0, 1200.0]),
)
def test_an_item_that_makes_progress_is_never_stalled(steps: list[tuple[int, int]], after: float) -> None:
    """I15: within stall_after before it counts as stalled, less than stall_bytes arrived."""
    limits = StallLimits(after=after, grace=0.0)
    now, done, known = 0.0, 0, None
    history = [(0.0, 0)]
    for grown, seconds in steps:
        now, done = now + seconds, done + grown
        known = progress(item(done=done), known, limits, now)
        history.append((now, done))
        if stalled([item(done=done)], {"a": known}, limits, now, now):
            since = max((at for at, _ in history if at <= now - after), default=0.0)
            then = next(amount for at, amount in history if at == since)
            assert done - then < limits.bytes * 2
            recent = [amount for at, amount in history if at > known.at]
            assert all(amount - known.bytes_done < limits.bytes for amount in recent)


@given(st.integers(1, 200), st.floats(600.0, 7200.0), st.floats(0.0, 9000.0))
def test_no_item_is_tried_twice_within_stall_retry_or_the_interval_of_its_tracker(
    strikes: int, retry: float, interval: float
) -> None:
    """I16."""
    limits = StallLimits(after=1.0, retry=retry)
    wait = retry_delay(strikes, limits, interval)
    assert wait >= max(retry, interval)
    assert wait <= max(limits.retry_max, interval)


def test_high_is_the_highest_priority_of_rtorrent() -> None:
    assert HIGH_PRIORITY == 3


def test_no_more_slots_are_given_up_for_a_group_than_it_may_use() -> None:
    room = GroupRoom(GroupLimits("alias", 0, {"a": 1}), ["b", "b"])
    assert swap([item("x", group="b"), item("y", group="b")], ["a", "a"], room, 0, 9) == [item("x", group="b")]


def test_never_is_what_the_database_has_of_items_that_are_not_tried_again() -> None:
    assert NEVER == 9e15
