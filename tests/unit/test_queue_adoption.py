"""Which items that others started are above the limits of a queue."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pyrotorque_scheduler.queue.adoption import surplus
from pyrotorque_scheduler.queue.groups import GroupLimits, GroupRoom
from pyrotorque_scheduler.queue.stall import RunningItem

NO_GROUPS = GroupRoom(GroupLimits())


def running(*names: str, priority: int = 2, ignored: bool = False, group: str = "") -> list[RunningItem]:
    """Items that were started one after the other."""
    return [
        RunningItem(name, name, 0, 1, float(number), group, priority, ignored) for number, name in enumerate(names, 1)
    ]


def chosen(items: list[RunningItem], kept: set[str], slots: int, room: GroupRoom = NO_GROUPS) -> list[str]:
    return [item.info_hash for item in surplus(items, kept, len(items), slots, room)]


def test_the_last_started_go_first() -> None:
    assert chosen(running("a", "b", "c", "d"), set(), 2) == ["d", "c"]
    assert chosen(running("a", "b", "c", "d"), {"d"}, 2) == ["c", "b"]
    assert chosen(running("a", "b"), set(), 2) == []


def test_forced_and_ignored_items_stay() -> None:
    assert chosen(running("a", "b", priority=3), set(), 0) == []
    assert chosen(running("a", "b", ignored=True), set(), 0) == []


def test_a_group_above_its_limit_gives_its_last() -> None:
    items = [*running("a", "b", "c", group="x"), *running("d", group="y")]
    room = GroupRoom(GroupLimits("alias", 1), [item.group for item in items])
    assert chosen(items, set(), 9, room) == ["c", "b"]
    assert room.running["x"] == 3, "the caller's counts are unchanged"


ITEMS = st.lists(
    st.tuples(st.floats(0, 100), st.sampled_from("xyz"), st.sampled_from((1, 2, 3)), st.booleans(), st.booleans()),
    max_size=20,
)


@given(ITEMS, st.integers(0, 8), st.integers(0, 4))
def test_no_more_are_closed_than_needed_and_never_one_that_is_kept(
    rows: list[tuple[float, str, int, bool, bool]], slots: int, group_max: int
) -> None:
    items = [
        RunningItem(str(number), "n", 0, 1, started, group, priority, ignored)
        for number, (started, group, priority, ignored, _) in enumerate(rows)
    ]
    kept = {str(number) for number, row in enumerate(rows) if row[4]}
    room = GroupRoom(GroupLimits("alias", group_max), [item.group for item in items])
    closed = surplus(items, kept, len(items), slots, room)
    assert all(item.info_hash not in kept and item.priority < 3 and not item.ignored for item in closed)
    left = [item for item in items if item not in closed]
    free = [item for item in left if item.info_hash not in kept and item.priority < 3 and not item.ignored]
    counts = Counter(item.group for item in left)
    # Whatever may be closed and is above a limit was closed.
    assert len(left) <= slots or not free
    assert all(not group_max or counts[item.group] <= group_max for item in free)
    # Nothing is closed while no limit is exceeded.
    before = Counter(item.group for item in items)
    if len(items) <= slots and all(not group_max or count <= group_max for count in before.values()):
        assert not closed
