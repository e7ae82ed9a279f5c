"""All minima hold for every reason of removal, and what is unknown keeps."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.housekeeping.limits import ItemFacts, RemovalLimits, reason_to_keep

GOOD = ItemFacts(ratio=2.0, seedtime=900.0, seeds=9, idle=900.0, matched_for=900.0)
LIMITS = RemovalLimits(min_ratio=1.0, min_seedtime=600.0, min_seeds=3, min_idle=60.0)

maybe = st.none() | st.floats(0, 2000) | st.just(float("nan"))


def test_an_item_that_meets_all_minima_may_go() -> None:
    assert reason_to_keep(GOOD, LIMITS, 600.0) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ratio": 0.99}, "ratio"),
        ({"ratio": None}, "ratio"),
        ({"ratio": float("nan")}, "ratio"),
        ({"seedtime": 599.0}, "seedtime"),
        ({"seedtime": None}, "seedtime"),
        ({"seeds": 2}, "seeds"),
        ({"seeds": None}, "seeds"),
        ({"idle": 59.0}, "idle"),
        ({"idle": None}, "idle"),
        ({"matched_for": 10.0}, "fresh"),
        ({"matched_for": None}, "fresh"),
        ({"protected": True}, "protected"),
        ({"hashing": True}, "checking"),
        ({"moving": True}, "moving"),
        ({"unknown": ("seeds",)}, "unknown"),
        ({"tracker_problem": "no success"}, "tracker"),
    ],
    ids=str,
)
def test_each_reason_alone_keeps_the_item(changes: dict[str, Any], reason: str) -> None:
    kept = reason_to_keep(replace(GOOD, **changes), LIMITS, 600.0)
    assert kept is not None
    assert kept.reason == reason


@given(
    ratio=maybe,
    seedtime=maybe,
    seeds=st.none() | st.integers(0, 9),
    idle=maybe,
    satisfied=st.sampled_from(("all", "any")),
)
def test_no_combination_passes_below_a_minimum(
    ratio: float | None, seedtime: float | None, seeds: int | None, idle: float | None, satisfied: Any
) -> None:
    facts = replace(GOOD, ratio=ratio, seedtime=seedtime, seeds=seeds, idle=idle)
    may_go = reason_to_keep(facts, replace(LIMITS, satisfied=satisfied), 600.0) is None
    meets_ratio, meets_time = ratio is not None and ratio >= 1, seedtime is not None and seedtime >= 600
    first = (meets_ratio or meets_time) if satisfied == "any" else (meets_ratio and meets_time)
    assert may_go == (first and seeds is not None and seeds >= 3 and idle is not None and idle >= 60)


def test_any_with_only_one_minimum_means_that_one() -> None:
    limits = RemovalLimits(min_ratio=1.0, min_seedtime=0.0, satisfied="any")
    assert reason_to_keep(replace(GOOD, ratio=0.5), limits, 0.0) is not None


def test_a_rule_that_never_removes_wins_over_good_facts() -> None:
    kept = reason_to_keep(GOOD, RemovalLimits(never=True, rule="99"), 0.0)
    assert kept is not None
    assert kept.text == "rule 99: never"
