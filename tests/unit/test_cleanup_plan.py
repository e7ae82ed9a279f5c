"""The plan: caps of a day, approval of large plans, groups that share files, and free space."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.housekeeping.claims import Claims, claims_of
from pyrotorque.housekeeping.plan import (
    Caps,
    Plan,
    PlanRules,
    RemovalCandidate,
    SpaceGoal,
    SpentRemoval,
    plan,
)
from tests.unit.test_cleanup_claims import item

FREE = Caps(max_items=0, max_bytes=0, per_tracker=0, max_percent=100)


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    """A to H, each with 8 KiB of its own; G and H are hard links of one file."""
    items = [item(tmp_path, name, "x") for name in "ABCDEFG"]
    (tmp_path / "H").mkdir()
    os.link(tmp_path / "G/x", tmp_path / "H/x")
    return claims_of([*items, item(tmp_path, "H", "x")])


def made(claims: Claims, names: str, caps: Caps = FREE, **rules: Any) -> Plan:
    candidates = [RemovalCandidate(name, name, tracker="t" if name in "AB" else "u") for name in names]
    return plan(candidates, claims, replace(PlanRules(data="delete", items=100, caps=caps), **rules))


def chosen(found: Plan) -> str:
    return "".join(each.candidate.info_hash for each in found.removals)


def spent(count: int, tracker: str = "t", size: int = 0) -> list[SpentRemoval]:
    return [SpentRemoval(float(number), f"Z{number}", tracker, size) for number in range(count)]


def test_caps_count_what_was_removed_before(claims: Claims) -> None:
    assert chosen(made(claims, "ABCD", Caps(max_items=3, max_percent=100), spent=spent(1))) == "AB"
    assert chosen(made(claims, "ABCD", Caps(per_tracker=1, max_percent=100))) == "AC"
    assert chosen(made(claims, "ABCD", Caps(max_bytes=20_000, max_percent=100))) == "AB"
    assert chosen(made(claims, "AB", Caps(max_bytes=20_000, max_percent=100), spent=spent(1, size=10_000))) == "A"


def test_what_a_cap_keeps_has_a_reason(claims: Claims) -> None:
    kept = made(claims, "ABC", Caps(max_items=1, max_percent=100)).kept
    assert {name: each.reason for name, each in kept.items()} == {"B": "cap", "C": "cap"}


def test_a_large_plan_is_held_as_a_whole_and_a_small_one_is_not(claims: Claims) -> None:
    caps = Caps(max_items=2, max_percent=5)
    assert made(claims, "ABCDE", caps).held == "", "five items are always allowed"
    found = made(claims, "ABCDEF", caps)
    assert found.held.startswith("6 items of 100 would be removed")
    assert chosen(found) == "ABCDEF", "what is to be approved is all of it"
    assert found.kept == {}, "nothing both goes and stays"
    assert made(claims, "ABCDEF", caps, items=200).held == ""
    effects = {each.candidate.info_hash: each.effect for each in found.removals}
    assert made(claims, "ABCDEF", caps, approved={"F": effects["F"]}).held == ""
    assert made(claims, "ABCDEF", caps, approved={"F": effects["E"]}).held
    assert made(claims, "ABCDEF", caps, approved=effects, disposal="another one").held


def test_a_plan_has_the_same_id_in_any_order_and_another_one_for_other_effects(claims: Claims) -> None:
    assert made(claims, "ABC").id == made(claims, "CBA").id != made(claims, "AB").id
    assert made(claims, "ABC").id != made(claims, "ABC", disposal="quarantine /trash").id
    assert made(claims, "ABC").id != made(claims, "ABC", data="keep").id
    assert made(claims, "GA", shared="keep").id == made(claims, "GA", shared="keep").id


def test_items_that_share_files(claims: Claims) -> None:
    assert chosen(made(claims, "AGB")) == "AB"
    assert made(claims, "AGB").kept["G"].reason == "shared"
    assert chosen(made(claims, "AGB", shared="keep")) == "AGB"
    assert chosen(made(claims, "AGB", shared="together")) == "AB", "H is no candidate"
    assert chosen(made(claims, "GAH", shared="together")) == "GHA"


def test_freed_bytes_count_shared_files_once(claims: Claims) -> None:
    found = made(claims, "GH", shared="together")
    assert [each.frees for each in found.removals] == [0, 8192]
    assert made(claims, "AB", data="quarantine").frees == 0


def test_space_is_freed_until_there_is_enough(claims: Claims) -> None:
    goal = SpaceGoal(10_000)
    found = made(claims, "GABC", goal=goal, shared="keep")
    assert chosen(found) == "AB", "G alone frees nothing"
    assert (found.kept["G"].reason, found.kept["C"].reason, found.missing) == ("space", "space", 0)
    assert made(claims, "A", goal=goal).missing == 10_000 - 8192
    assert chosen(made(claims, "ABC", goal=SpaceGoal(0))) == ""


def test_items_that_go_together_stay_together_at_a_limit(claims: Claims) -> None:
    """Else the first one went, and its files stayed for the other one: for space, that freed nothing."""
    for caps in (Caps(max_items=2), Caps(max_bytes=12_000), Caps(per_tracker=2)):
        caps = replace(caps, max_percent=100)
        found = made(claims, "CGH", caps, shared="together")
        assert chosen(found) == "C", caps
        assert {found.kept[name].reason for name in "GH"} == {"cap"}
        assert found.kept["G"].text.endswith("(2 items go together)")
    assert chosen(made(claims, "GH", Caps(max_items=2, max_percent=100), shared="together")) == "GH"
    assert chosen(made(claims, "GHC", Caps(max_items=2, max_percent=100), shared="together")) == "GH"


def test_what_a_limit_keeps_does_not_count_as_freed(claims: Claims) -> None:
    """The next one that may go is taken in its place, and the plan says what is still missing."""
    goal = SpaceGoal(12_000)
    found = made(claims, "ABC", Caps(per_tracker=1, max_percent=100), goal=goal)
    assert (chosen(found), found.missing, found.shortage) == ("AC", 0, "")
    found = made(claims, "ABC", Caps(max_items=1, max_percent=100), goal=goal)
    assert (chosen(found), found.missing) == ("A", 12_000 - 8192)
    assert found.shortage.endswith("less than needed can be freed: the limits of 24 hours keep the rest")
    assert made(claims, "A", goal=goal).shortage.endswith("can be freed: nothing else may be removed")
