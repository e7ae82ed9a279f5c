"""When an item counts as loaded again: what rTorrent keeps in its session decides, and in one process its load."""

import pytest

from pyrotorque.rtorrent.item_load import ItemLoad

BEFORE = ItemLoad("a", 1_000, 900)


@pytest.mark.parametrize(
    ("now", "is_same"),
    [
        (BEFORE, True),
        (ItemLoad("b", 2_000, 900), True),
        (ItemLoad("a", 2_000, 900), False),
        (ItemLoad("a", 1_000, 0), False),
        (ItemLoad("b", 2_000, 0), False),
        (ItemLoad("b", 1_000, 1_000), False),
    ],
    ids=["nothing changed", "rTorrent restarted", "loaded", "loaded in that second", "and restarted", "and started"],
)
def test_an_item_that_was_loaded_again_is_another_one(now: ItemLoad, is_same: bool) -> None:
    assert BEFORE.is_same(now) is is_same


def test_an_item_of_which_nothing_was_recorded_is_the_same() -> None:
    assert ItemLoad().is_same(BEFORE)
