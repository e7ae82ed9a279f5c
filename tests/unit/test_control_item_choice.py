"""Names where hashes are accepted."""

import pytest

from pyrotorque_control.group import CommandError
from pyrotorque_control.item_choice import matching_item

ITEMS = [("A" * 40, "Debian 12"), ("B" * 40, "Debian 12 netinst"), ("C" * 40, "Ubuntu\x1b[2J")]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("debian 12", "A" * 40), ("netinst", "B" * 40), ("UBUNTU", "C" * 40)],
)
def test_an_item_is_found_by_its_name_or_a_part_of_it(text: str, chosen: str) -> None:
    assert matching_item(ITEMS, text) == chosen


@pytest.mark.parametrize("text", ["fedora", "", "  "])
def test_no_item_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandError, match="no item") as raised:
        matching_item(ITEMS, text)
    assert raised.value.exit_code == 64


def test_several_items_are_listed_and_none_is_chosen() -> None:
    with pytest.raises(CommandError, match="2 items match 'deb'") as raised:
        matching_item(ITEMS, "deb")
    assert "A" * 40 in str(raised.value)
    with pytest.raises(CommandError, match=r"and 5 more"):
        matching_item([(f"{number:040X}", f"item {number}") for number in range(10)], "item")


def test_a_name_cannot_control_the_terminal() -> None:
    with pytest.raises(CommandError) as raised:
        matching_item([*ITEMS, ("D" * 40, "Ubuntu 2")], "ubuntu")
    assert "\x1b" not in str(raised.value)
