"""Which group takes a metafile: the order of the groups, their turns, and what a group does not take."""

import pytest
from msgspec.structs import replace

from pyrotorque.errors import ConditionError
from pyrotorque.placement_rules import PREFER, parse_accepts, parse_prefer
from pyrotorque_fleet.choice import CandidateGroup, OfferTurns, PlacementRules, bids
from pyrotorque_fleet.claims import MISSING, Claim, Metafacts
from pyrotorque_fleet.messages import DiskRoom, GroupFacts
from tests.unit.test_fleet_claims import a_claim


def group(name: str, *, slots: int = 5, free: int = 100, open_claims: int = 0, **more: object) -> CandidateGroup:
    facts = GroupFacts(
        name=name, started=1, number=1, version="1", beat=2.0, items=3, downloading=0, slots=slots,
        rooms=(DiskRoom(path="/", free=free, size=200),), jobs=("treewatch",),
    )  # fmt: skip
    return CandidateGroup(replace(facts, **more), open_claims)


def rules(name: str = "one", accepts: str = "", prefer: str = PREFER, pending_max: int = 20) -> PlacementRules:
    return PlacementRules(name, parse_accepts(accepts), parse_prefer(prefer), 0.5, pending_max)


def offers(count: int) -> list[tuple[Claim, float]]:
    return [(replace(a_claim(), info_hash=f"{number:040X}"), 0.0) for number in range(count)]


@pytest.mark.parametrize(
    ("groups", "first"),
    [
        ([group("one", slots=3), group("two", slots=4)], "two"),
        ([group("one", slots=4, free=50), group("two", slots=4, free=60)], "two"),
        ([group("one", slots=4), group("two", slots=9, open_claims=6)], "one"),
        ([group("one", slots=4), group("two", slots=9, downloading=7)], "one"),
    ],
    ids=["free slots", "then the share of room", "open claims count", "downloading items count"],
)
def test_the_order_of_the_groups(groups: list[CandidateGroup], first: str) -> None:
    assert rules().order(a_claim(), groups)[0] == first


def test_a_group_with_a_sibling_is_first() -> None:
    assert rules().order(a_claim(siblings=("two",)), [group("one", slots=9), group("two", slots=1)]) == ["two", "one"]


def test_the_order_can_be_set() -> None:
    groups = [group("one", slots=9), group("two", slots=1)]
    assert rules(prefer="-group").order(a_claim(), groups) == ["two", "one"]
    assert rules(prefer="free_slots").order(a_claim(), groups) == ["two", "one"]


@pytest.mark.parametrize(
    ("own", "claim", "reason"),
    [
        (group("one", jobs=()), a_claim(), "no active job treewatch"),
        (group("one"), a_claim(tried=("one",), reason="disk full"), "disk full"),
        (group("one", items=None), a_claim(), "rTorrent does not answer"),
        (group("one"), a_claim(reason=MISSING), "its content is not stored any more: one stores it again"),
        (group("one", open_claims=20), a_claim(), "20 open claims"),
        (group("one", free=4), a_claim(), "no room"),
    ],
)
def test_what_a_group_does_not_take(own: CandidateGroup, claim: Claim, reason: str) -> None:
    assert reason in rules().refusal(claim, own, 0.0)
    assert bids(rules(), [(claim, 100.0)], [own], 0.0) == []


@pytest.mark.parametrize(
    ("accepts", "is_accepted"),
    [("name=wanted*", False), ("name=n size<10", True), ("tracker=*.org", False), ("free>50 sender=one", True)],
)
def test_a_condition_over_the_metafile_and_the_group(accepts: str, is_accepted: bool) -> None:
    assert bool(rules(accepts=accepts).refusal(a_claim(), group("one"), 0.0)) is not is_accepted
    assert bool(rules(accepts=accepts).unwanted(a_claim(), group("one"), 0.0)) is not is_accepted


@pytest.mark.parametrize("text", ["ratio>1", "custom_1=x", "d_name=x"])
def test_fields_of_items_are_no_fields_of_the_fleet(text: str) -> None:
    with pytest.raises(ConditionError):
        parse_accepts(text)


def test_an_order_by_a_field_of_items_is_refused() -> None:
    with pytest.raises(ConditionError):
        parse_prefer("-ratio")


def test_a_burst_is_spread_without_messages_between_the_groups() -> None:
    groups = [group(name) for name in ("one", "two", "three")]
    taken = {
        name: {claim.info_hash for claim in bids(rules(name), offers(30), groups, 0.0)}
        for name in ("one", "two", "three")
    }
    assert all(8 <= len(each) <= 12 for each in taken.values())
    assert len(set().union(*taken.values())) == sum(map(len, taken.values())) == 30


def test_a_group_takes_no_more_than_pending_max() -> None:
    assert len(bids(rules(pending_max=3), offers(30), [group("one")], 0.0)) == 3


def test_the_next_in_order_waits_for_its_turn() -> None:
    groups = [group("one", slots=1), group("two", slots=9)]
    assert bids(rules("one"), [(a_claim(), 0.4)], groups, 0.0) == []
    assert bids(rules("one"), [(a_claim(), 0.5)], groups, 0.0) == [a_claim()]


def test_turns_begin_again_with_each_change() -> None:
    turns = OfferTurns()
    assert turns.waited("A", 1, 10.0) == 0.0
    assert turns.waited("A", 1, 12.0) == 2.0
    assert turns.waited("A", 2, 13.0) == 0.0
    turns.keep(())
    assert turns.waited("A", 2, 20.0) == 0.0


def test_metafacts_of_a_claim_are_bounded() -> None:
    assert Metafacts(name="n").files == 1
