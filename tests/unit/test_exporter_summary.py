"""Each item is in one state, and the states add up even if items change between two calls."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque_exporter.collectors.summary import STATES, Flags, state, states

ACTIVE, IDLE = ("1", "0"), ("0", "0")
FLAGS = st.tuples(*[st.sampled_from("01")] * 4)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("0", "0", "0", "0"), "stopped"),
        (("0", "0", "0", "1"), "stopped"),
        (("0", "1", "0", "0"), "paused"),
        (("0", "1", "1", "0"), "leeching"),
        (("0", "1", "1", "1"), "seeding"),
    ],
)
def test_flags_determine_the_state(flags: Flags, expected: str) -> None:
    assert state(flags) == expected


def test_started_items_that_are_not_active_are_paused() -> None:
    counts = states(Counter({ACTIVE: 2, ("1", "1"): 3, IDLE: 5}), 7, Counter(), Counter())
    assert {name: count for name, count in counts.items() if count} == {
        "leeching": 2.0,
        "seeding": 3.0,
        "paused": 2.0,
        "stopped": 3.0,
    }


def test_items_in_error_and_in_hashing_leave_their_state() -> None:
    hashing, broken = Counter({("1", "1", "0", "0"): 1}), Counter({("0", "0", "0", "0"): 2})
    counts = states(Counter({IDLE: 5}), 1, hashing, broken)
    assert (counts["hashing"], counts["error"], counts["stopped"], counts["paused"]) == (1.0, 2.0, 2.0, 0.0)


def test_an_item_that_is_hashed_is_not_in_error() -> None:
    both = Counter({("1", "0", "0", "0"): 1})
    counts = states(Counter({IDLE: 1}), 0, both, both)
    assert (counts["hashing"], counts["error"]) == (1.0, 0.0)


@given(
    st.dictionaries(st.tuples(st.sampled_from("01"), st.sampled_from("01")), st.integers(0, 50)),
    st.integers(0, 100),
    st.dictionaries(FLAGS, st.integers(0, 20)),
    st.dictionaries(FLAGS, st.integers(0, 20)),
)
def test_no_state_is_negative_and_all_add_up_whatever_changes_in_between(
    activity: dict[tuple[str, str], int], started: int, hashing: dict[Flags, int], broken: dict[Flags, int]
) -> None:
    counts = states(Counter(activity), started, Counter(hashing), Counter(broken))
    assert tuple(counts) == STATES
    assert min(counts.values()) >= 0
    assert sum(counts.values()) == sum(activity.values())
