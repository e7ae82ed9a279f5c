"""Limits per group and fair turns: tables, and invariants over random queues that run for a while."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrotorque.errors import ConditionError
from pyrotorque.fields import check_group_field
from pyrotorque.fields.kinds import Kind
from pyrotorque_scheduler.queue.explain_text import hold_data, hold_text
from pyrotorque_scheduler.queue.groups import NO_NAME, GroupLimits, GroupRoom, Turns, group_key, group_named
from pyrotorque_scheduler.queue.model import Candidate, Grant, Hold, Instant, Limits, QueueStart, QueueState
from pyrotorque_scheduler.queue.policy import Batch, DiskBudget, decide, group_hold

NOW = Instant(1_000.0, 1_000.0, "boot")


def limits(default: int = 0, **by_name: int) -> GroupLimits:
    return GroupLimits("alias", default, by_name)


def order(groups: str, room: GroupRoom, ranks: list[int] | None = None, starts: bool = True) -> str:
    """The items that are tried, if each of them starts (or none does)."""
    tried = ""
    for index in Turns(list(groups), room, ranks or []):
        tried += groups[index]
        if starts:
            room.start(groups[index])
    return tried


@pytest.mark.parametrize(
    ("value", "key"),
    [
        pytest.param("SLOW", "slow", id="capitals make no difference"),
        pytest.param("", NO_NAME, id="an empty value is a group"),
        pytest.param(frozenset({"b", "a"}), "a,b", id="tags"),
        pytest.param(3, "3", id="a number"),
        pytest.param(False, "false", id="no"),
        pytest.param("TV%20Shows", "tv shows", id="as ruTorrent stores it"),
        pytest.param("%D0%A4", "ф", id="and Unicode"),
        pytest.param("100%", "100%", id="a percent sign"),
    ],
)
def test_the_group_of_a_value(value: object, key: str) -> None:
    assert group_key(value) == key


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("TV Shows", "any", "tv shows"),
        ("a.b", "text", "a.b"),
        ("a%3Ab", "text", "a:b"),
        ("b, A", "tags", "a,b"),
        ("b,a", "text", "b,a"),
        ("none", "tags", NO_NAME),
        (",", "tags", NO_NAME),
        ("Yes", "bool", "true"),
        ("0", "bool", "false"),
        ("none", "bool", NO_NAME),
        ("yes", "any", "yes"),
        ("3", "number", "3"),
    ],
)
def test_the_group_that_a_setting_names(name: str, kind: Kind, key: str) -> None:
    assert group_named(name, kind) == key


@pytest.mark.parametrize(
    ("groups", "running", "expected"),
    [
        pytest.param("aaabbb", "", "ababab", id="groups take turns"),
        pytest.param("aaabbb", "aa", "bbabaa", id="those with fewer running items are first"),
        pytest.param("aabc", "", "abca", id="each group before the second of one"),
        pytest.param("", "ab", "", id="nothing waits"),
    ],
)
def test_turns_are_fair(groups: str, running: str, expected: str) -> None:
    assert order(groups, GroupRoom(limits(), running)) == expected


def test_without_groups_the_order_of_the_queue_is_kept() -> None:
    assert list(Turns([""] * 5, GroupRoom(GroupLimits()), [0, 0, 1, 1, 2])) == [0, 1, 2, 3, 4]


def test_a_full_group_is_left_out_and_named_with_its_first_item() -> None:
    room = GroupRoom(limits(1, b=2), "")
    turns = Turns(list("aabbb"), room)
    tried: list[int] = []
    for index in turns:
        tried.append(index)
        room.start("aabbb"[index])
    assert tried == [0, 2, 3]
    assert turns.full == {"a": 1, "b": 4}


def test_a_limit_of_0_is_none_also_for_one_group() -> None:
    assert order("aaab", GroupRoom(limits(1, a=0))) == "abaa"


def test_an_item_that_does_not_start_uses_no_slot_of_its_group() -> None:
    assert order("aaab", GroupRoom(limits(1)), starts=False) == "aaab"


def test_priority_precedes_fairness() -> None:
    assert order("aabb", GroupRoom(limits()), [0, 0, 1, 1]) == "aabb"


def test_one_slot_is_given_to_each_group_in_turn() -> None:
    latest: dict[str, int] = {}
    given_to = ""
    for _ in range(6):
        room = GroupRoom(limits(), "", latest)
        group = "aaaaabc"[next(iter(Turns(list("aaaaabc"), room)))]
        room.start(group)
        given_to += group
    assert given_to == "abcabc"


def test_starts_are_numbered_from_1_and_a_group_without_one_is_first() -> None:
    room = GroupRoom(limits())
    room.start("a")
    room.start("b")
    assert room.latest == {"a": 1, "b": 2}
    room.stop("a")
    room.stop("b")
    assert next(iter(Turns(list("abc"), room))) == 2
    assert next(iter(Turns(list("ac"), GroupRoom(limits(), latest={"a": 1})))) == 1


def test_a_hold_names_the_group_but_its_summary_does_not() -> None:
    hold = group_hold(GroupRoom(limits(2), "aa"), "a", "AA", "x")
    assert hold_text(hold, 0.0) == "2 of 2 slots of a are taken"
    assert hold_text(hold, 0.0, error=False) == "2 of 2 slots of its group are taken"
    assert hold_data(hold, 0.0)["group"] == "a"


@pytest.mark.parametrize("name", ["size", "loaded", "files", "seedtime", "nope"])
def test_fields_without_a_few_equal_values_are_refused(name: str) -> None:
    with pytest.raises(ConditionError, match=name):
        check_group_field(name, {})


@pytest.mark.parametrize("name", ["alias", "custom_1", "label", "tagged", "is_private", "prio", "throttle"])
def test_fields_to_group_by(name: str) -> None:
    check_group_field(name, {})


NAMES = "abcd"
GROUPS = st.lists(st.sampled_from(NAMES), max_size=30)
LIMITS = st.builds(
    GroupLimits,
    st.just("alias"),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4), max_size=3),
)


@given(GROUPS, GROUPS, LIMITS, st.integers(0, 6), st.integers(0, 6), st.integers(0, 4))
@settings(max_examples=400)
def test_no_limit_is_exceeded_and_no_free_slot_is_left_while_an_item_could_use_it(
    waiting: list[str], running: list[str], group_limits: GroupLimits, slots: int, at_once: int, at_least: int
) -> None:
    candidates = [Candidate(f"{n:02}", "x", group=group) for n, group in enumerate(waiting)]
    before = GroupRoom(group_limits, running)
    granted = Grant(0.0, at_once, 1.0, None)
    queue_limits = Limits(downloading_max=slots, downloading_min=at_least, start_at_once=at_once)
    decisions = decide(candidates, len(running), queue_limits, QueueState(), granted, NOW, room=before)
    started = [candidates[int(each.info_hash)] for each in decisions if isinstance(each, QueueStart)]
    assert before.running == Counter(running), "the facts are not changed"
    after = Counter([*running, *(item.group for item in started)])
    for group in NAMES:
        limit = group_limits.of(group)
        assert not limit or after[group] <= max(limit, before.running[group])
    room = max(min(at_once, slots - len(running)), at_least - len(running), 0)
    left = Counter(waiting) - Counter(item.group for item in started)
    usable = sum(
        count if not group_limits.of(group) else max(0, min(count, group_limits.of(group) - after[group]))
        for group, count in left.items()
    )
    assert len(started) <= room
    assert len(started) == room or not usable
    for group in NAMES:
        places = [item.info_hash for item in started if item.group == group]
        of_group = [item.info_hash for item in candidates if item.group == group]
        assert places == of_group[: len(places)], "the order within a group is kept"
    holds = {each.group for each in decisions if isinstance(each, Hold) and each.reason == "group_full"}
    assert all(group_limits.of(group) and after[group] >= group_limits.of(group) for group in holds)


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=12), st.integers(1, 3), st.integers(0, 2), st.data())
@settings(max_examples=200)
def test_no_group_starves_however_many_items_of_others_wait(
    first: list[str], slots: int, group_max: int, data: st.DataObject
) -> None:
    """A group without a running item gets one of the next starts, of which there are as many as groups."""
    latest: dict[str, int] = {}
    running: list[str] = []
    groups = sorted(set(first))
    waited = dict.fromkeys(groups, 0)
    for _ in range(60):
        room = GroupRoom(limits(group_max), running, latest)
        # An endless supply of items of each group, the oldest of the first.
        index = next(iter(Turns([*first, *groups], room)), None) if len(running) < slots else None
        if index is None:
            running.pop(data.draw(st.integers(0, len(running) - 1)))
            continue
        started = [*first, *groups][index]
        room.start(started)
        running.append(started)
        for group in groups:
            is_served = group in running
            waited[group] = 0 if is_served else waited[group] + 1
        assert max(waited.values()) <= len(groups)


@given(GROUPS, LIMITS, st.lists(st.integers(0, 2), max_size=30))
def test_every_item_of_a_group_with_room_is_tried_once_and_ranks_are_kept(
    groups: list[str], group_limits: GroupLimits, drawn: list[int]
) -> None:
    ranks = sorted((drawn * 30)[: len(groups)] or [0] * len(groups))
    ranks = (ranks + [9] * len(groups))[: len(groups)]
    tried = list(Turns(groups, GroupRoom(group_limits), ranks))
    assert sorted(tried) == list(range(len(groups))), "nothing was started, so no group became full"
    assert all(ranks[one] <= ranks[other] for one, other in pairwise(tried))


def test_a_full_group_is_a_hold_beside_the_starts_of_others() -> None:
    candidates = [Candidate("AA", "x", group="a"), Candidate("BB", "y", group="b")]
    granted = Grant(0.0, 5, 1.0, None)
    decisions = decide(candidates, 1, Limits(), QueueState(), granted, NOW, room=GroupRoom(limits(1), "a"))
    assert QueueStart("BB", "y") in decisions
    (hold,) = [each for each in decisions if isinstance(each, Hold)]
    assert (hold.reason, hold.group, hold.info_hash) == ("group_full", "a", "AA")


def test_an_item_that_gave_up_its_slot_is_held_until_its_time() -> None:
    batch = Batch(5, DiskBudget({}, 0), {}, 100.0, parked={"AA": 100.5, "BB": 100.0})
    hold = batch.decide(Candidate("AA", "x"))
    assert isinstance(hold, Hold)
    assert (hold.reason, hold.until, hold_text(hold, 0.0)) == ("parked", 100.5, "made no progress and gave up its slot")
    assert isinstance(batch.decide(Candidate("BB", "y")), QueueStart)


def test_only_a_limit_can_be_exceeded() -> None:
    room = GroupRoom(limits(0, b=1, c=2), "aabbcc")
    assert [room.is_over(group) for group in "abcd"] == [False, True, False, False]
    assert [room.is_full(group) for group in "abcd"] == [False, True, True, False]


def test_without_settings_no_group_has_a_limit() -> None:
    assert GroupLimits().of("a") == 0
    assert not GroupRoom(GroupLimits(), "aaa").is_full("a")
