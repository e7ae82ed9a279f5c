"""A condition that cannot be evaluated never counts against an item."""

from typing import Any, cast

from pyrotorque.conditions import parse, parse_sort
from pyrotorque.housekeeping.inventory import InventoryReader
from pyrotorque.housekeeping.limits import RemovalLimits
from pyrotorque.housekeeping.survey import Conditions, Surveyor, is_match
from pyrotorque.items import Item

SLOW = parse("name=/^(a|aa)+$/")


def named(name: str) -> Item:
    found = Item()
    found["name"] = name
    return found


def test_a_regular_expression_without_end_has_no_result() -> None:
    assert is_match(SLOW, named("a" * 60 + "b"), 0.0) is None
    assert is_match(SLOW, named("aaa"), 0.0) is True
    assert is_match(SLOW, named("b"), 0.0) is False


def test_a_rule_that_cannot_be_evaluated_removes_nothing() -> None:
    rules = [(SLOW, RemovalLimits(min_ratio=0.1)), (parse("name=*"), RemovalLimits(min_ratio=5.0))]
    conditions = Conditions(parse("name=*"), parse("name=x"), parse_sort("name"), rules, RemovalLimits())
    nothing = cast(Any, None)
    surveyor = Surveyor(nothing, nothing, cast(InventoryReader, None), nothing, conditions, nothing, nothing, nothing)
    assert surveyor.limits_of(named("a" * 60 + "b"), 0.0).never
    assert surveyor.limits_of(named("b"), 0.0).min_ratio == 5.0
    assert surveyor.limits_of(named("aaa"), 0.0).min_ratio == 0.1
