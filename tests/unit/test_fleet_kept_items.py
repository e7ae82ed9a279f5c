"""Which answers of groups permit that a metafile is removed, and what follows when they do not."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import cast

import pytest

from pyrotorque.store import Store, open_store
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.exchange import LinkError
from pyrotorque_fleet.forward import MIGRATIONS
from pyrotorque_fleet.kept_items import Keeping, KeepingAnswer, KeptItems, verdict
from pyrotorque_fleet.messages import Held, decode_held, encode
from pyrotorque_fleet.swaps import ClaimLink, ClaimSwaps
from tests.unit.test_fleet_claims import HASH

OTHER = "B" * 40
LOOKED = Held(group="two", kept=())
KEPT = Held(group="two", items=(HASH,), kept=(HASH,))
INCOMPLETE = Held(group="two", items=(HASH,), kept=())
COULD_NOT_LOOK = Held(group="two")
OLD_HAS_IT = decode_held(b'{"group": "two", "items": ["%s"]}' % HASH.encode())


@pytest.mark.parametrize(
    ("answers", "keeping"),
    [
        ([], Keeping.UNKNOWN),
        ([COULD_NOT_LOOK], Keeping.UNKNOWN),
        ([LOOKED], Keeping.GONE),
        ([Held(group="three", kept=())], Keeping.UNKNOWN),
        ([KEPT], Keeping.KEPT),
        ([LOOKED, Held(group="three", items=(HASH,), kept=(HASH,))], Keeping.KEPT),
        ([INCOMPLETE], Keeping.INCOMPLETE),
        ([LOOKED, Held(group="three", items=(HASH,), kept=())], Keeping.INCOMPLETE),
        ([Held(group="two", items=(OTHER,), kept=(OTHER,))], Keeping.GONE),
        ([OLD_HAS_IT], Keeping.KEPT),
        ([decode_held(b'{"group": "two"}')], Keeping.UNKNOWN),
    ],
)
def test_what_the_answers_say(answers: Sequence[Held], keeping: Keeping) -> None:
    assert verdict(answers, HASH, "two").keeping is keeping


def test_an_answer_says_whether_its_group_could_look() -> None:
    assert decode_held(encode(LOOKED)).kept == ()
    assert decode_held(encode(COULD_NOT_LOOK)).kept is None


class Answers:
    """What the groups answer now; None: there is no connection."""

    def __init__(self) -> None:
        self.held: Sequence[Held] | None = ()
        self.asked = 0

    def ask_all(self, payload: bytes, timeout: float, expected: int = 1) -> "Future[list[bytes]]":
        self.asked += 1
        found: Future[list[bytes]] = Future()
        if self.held is None:
            found.set_exception(LinkError("not connected"))
        else:
            found.set_result([encode(each) for each in self.held])
        return found


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ClaimTable]:
    store: Store = open_store(tmp_path / "fleet.sqlite3", MIGRATIONS)
    yield ClaimTable(store)
    store.close()


def asked(kept: KeptItems, now: float, revision: int = 1) -> KeepingAnswer | None:
    """One turn of the service."""
    found = kept.of(HASH, revision, "two", now)
    kept.ask(now)
    kept.swaps.finish(now)
    return found


def test_an_answer_is_used_once(table: ClaimTable) -> None:
    link = Answers()
    kept = KeptItems(ClaimSwaps(table, cast(ClaimLink, link), lambda: None), lambda: 2, lambda: None)
    link.held = [KEPT]
    assert asked(kept, 1.0) is None
    link.held = [LOOKED]
    assert asked(kept, 2.0) == KeepingAnswer(Keeping.KEPT, "two")
    assert asked(kept, 3.0) is None, "the answer of a while ago says nothing"
    assert asked(kept, 4.0) == KeepingAnswer(Keeping.GONE, "two")


def test_an_answer_that_nothing_was_decided_by_in_its_turn_is_dropped(table: ClaimTable) -> None:
    """The same metafile was dropped again, after its item had been erased: an earlier answer made it a duplicate."""
    link = Answers()
    kept = KeptItems(ClaimSwaps(table, cast(ClaimLink, link), lambda: None), lambda: 2, lambda: None)
    link.held = [KEPT]
    assert asked(kept, 1.0) is None
    kept.ask(2.0)
    link.held = [LOOKED]
    assert [asked(kept, now) for now in (3.0, 4.0)] == [None, KeepingAnswer(Keeping.GONE, "two")]


def test_an_answer_from_before_a_claim_was_written_says_nothing_about_it(table: ClaimTable) -> None:
    link = Answers()
    kept = KeptItems(ClaimSwaps(table, cast(ClaimLink, link), lambda: None), lambda: 2, lambda: None)
    link.held = [LOOKED]
    assert asked(kept, 1.0, revision=1) is None
    link.held = [KEPT]
    assert asked(kept, 2.0, revision=2) is None
    assert asked(kept, 3.0, revision=2) == KeepingAnswer(Keeping.KEPT, "two")


def test_one_question_waits_for_answers(table: ClaimTable) -> None:
    class Slow(Answers):
        def ask_all(self, payload: bytes, timeout: float, expected: int = 1) -> "Future[list[bytes]]":
            self.asked += 1
            self.pending: Future[list[bytes]] = Future()
            return self.pending

    link = Slow()
    kept = KeptItems(ClaimSwaps(table, cast(ClaimLink, link), lambda: None), lambda: 2, lambda: None)
    assert [asked(kept, now) for now in (1.0, 2.0, 3.0)] == [None] * 3
    link.pending.set_result([encode(KEPT)])
    assert [asked(kept, now) for now in (4.0, 5.0)] == [None, KeepingAnswer(Keeping.KEPT, "two")]
    assert link.asked == 1


@pytest.mark.parametrize(("answer", "keeping"), [(INCOMPLETE, Keeping.INCOMPLETE), (None, Keeping.UNKNOWN)])
def test_what_decides_nothing_is_repeated_for_a_minute(
    table: ClaimTable, answer: Held | None, keeping: Keeping
) -> None:
    link = Answers()
    link.held = [answer] if answer else []
    kept = KeptItems(ClaimSwaps(table, cast(ClaimLink, link), lambda: None), lambda: 2, lambda: None)
    found = [(now, one) for now in range(1, 200) if (one := asked(kept, float(now))) is not None]
    assert 50 <= found[0][0] <= 90
    assert found[0][1].keeping is keeping
    assert link.asked < 150


def test_an_outage_is_no_answer(table: ClaimTable) -> None:
    link = Answers()
    link.held = None
    kept = KeptItems(ClaimSwaps(table, cast(ClaimLink, link), lambda: None), lambda: 2, lambda: None)
    assert [asked(kept, float(now)) for now in range(1, 200)] == [None] * 199
    link.held = [KEPT]
    assert [asked(kept, now) for now in (300.0, 301.0)][-1] == KeepingAnswer(Keeping.KEPT, "two")
