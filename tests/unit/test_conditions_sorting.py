"""Sort orders are stable, go up or down by field, and put what is not known first."""

from typing import Any

import pytest

from pyrotorque.conditions import parse_sort
from tests.condition_items import ITEMS

ORDERS = [
    ("", "abcdefghijkl"),
    ("prio", "aeibfjcgkdhl"),
    ("-prio", "dhlcgkbfjaei"),
    ("-prio, name", "ldhcgkfbjaie"),
    ("-prio -name", "hdlkgcjbfeia"),
    ("-fno", "lkjihgfedcba"),
    ("is_open is_active", "ghijkldefabc"),
    ("seedtime", "abjcdefghikl"),
    ("name", "acilfbdegkhj"),
    ("-size,prio", "jihgfedclkba"),
    ("tagged fno", "ahkfbcldegij"),
]


@pytest.mark.parametrize(("text", "letters"), ORDERS)
def test_items_come_in_this_order(text: str, letters: str) -> None:
    order = parse_sort(text)
    named = [{**item, "letter": name} for name, item in ITEMS.items()]
    assert "".join(item["letter"] for item in order.sorted(named)) == letters


def test_an_order_knows_its_fields_and_its_text() -> None:
    order = parse_sort(" -prio,loaded , custom_x")
    assert order.fields == {"prio", "loaded", "custom_x"}
    assert str(order) == "-prio, loaded, custom_x"
    assert parse_sort(str(order)).keys == order.keys


def test_values_that_are_not_known_do_not_break_the_order() -> None:
    items: list[dict[str, Any]] = [{"is_ghost": True}, {"is_ghost": None}, {"is_ghost": False}]
    assert [item["is_ghost"] for item in parse_sort("is_ghost").sorted(items)] == [None, False, True]


@pytest.mark.parametrize("name", ["custom_x", "custom_1", "d_peers_connected"])
def test_numbers_in_untyped_fields_are_compared_by_value(name: str) -> None:
    ordered = [None, "-3", "0", "2", "9", "9.5", "10", "100", "1" + "0" * 19, "10 km", "1e3", "B", "a", "é"]
    items: list[dict[str, Any]] = [{name: value} for value in reversed(ordered)]
    assert [item[name] for item in parse_sort(name).sorted(items)] == ordered
    assert [item[name] for item in parse_sort(f"-{name}").sorted(items)] == ordered[::-1]
