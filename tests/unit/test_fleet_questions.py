"""What a group answers to the questions of others."""

from collections import deque
from typing import cast

import pytest

from pyrotorque_fleet.exchange import Asked
from pyrotorque_fleet.holders import ItemHolders
from pyrotorque_fleet.kept_items import Keeping, verdict
from pyrotorque_fleet.messages import Held, Question, SoughtItem, decode_held, encode
from pyrotorque_fleet.questions import GroupQuestions
from tests.unit.test_fleet_claims import HASH

QUESTION = encode(Question(kind="holds", sought=(SoughtItem(info_hash=HASH),)))


class Holders:
    """It answers this."""

    def __init__(self, held: Held) -> None:
        self.held = held

    def answer(self, sought: tuple[SoughtItem, ...]) -> Held:
        return self.held


@pytest.mark.parametrize(
    ("held", "keeping", "joining"),
    [
        (Held(group="two", kept=()), Keeping.GONE, Keeping.UNKNOWN),
        (Held(group="two", items=(HASH,), kept=(HASH,)), Keeping.KEPT, Keeping.KEPT),
        (Held(group="two", items=(HASH,), kept=()), Keeping.INCOMPLETE, Keeping.UNKNOWN),
        (Held(group="two"), Keeping.UNKNOWN, Keeping.UNKNOWN),
    ],
)
@pytest.mark.parametrize("holds_name", [True, False])
def test_a_group_that_may_have_the_name_of_another_one_does_not_say_what_that_lacks(
    held: Held, keeping: Keeping, joining: Keeping, holds_name: bool
) -> None:
    bodies: list[bytes] = []

    def refusal(_info_hash: str, _now: float) -> str:
        return ""

    holders = cast(ItemHolders, Holders(held))
    questions = GroupQuestions("two", None, holders, refusal, lambda: None, lambda _: holds_name)
    questions.answer_all(deque([Asked(QUESTION, bodies.append)]), 100.0)
    expected = keeping if holds_name else joining
    assert verdict([decode_held(each) for each in bodies], HASH, "two").keeping is expected
