"""A sender and the metafiles that it offers, when another group has the item already."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from pyrotorque.fleet_requests import SettledOffer
from pyrotorque.store import Store, open_store
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import encode_claim
from pyrotorque_fleet.forward import MIGRATIONS
from pyrotorque_fleet.inbox import Inbox
from pyrotorque_fleet.local_group import LocalWatcher
from pyrotorque_fleet.messages import BadValue, Held, decode_claim, decode_found, decode_held, decode_refusal, encode
from pyrotorque_fleet.sender import OfferSender
from pyrotorque_fleet.swaps import ClaimLink, ClaimSwaps
from tests.unit.test_fleet_claims import HASH, a_claim

TURN, TOKEN = 7, "token"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path / "fleet.sqlite3", MIGRATIONS)
    yield found
    found.close()


@dataclass
class HolderLink:
    """The group `two` answers that it has the item, or what is in `answers`."""

    answers: Sequence[Held] = (Held(group="two", items=(HASH,), kept=(HASH,)),)

    def ask_all(self, payload: bytes, timeout: float, expected: int = 1) -> "Future[list[bytes]]":
        found: Future[list[bytes]] = Future()
        found.set_result([encode(each) for each in self.answers])
        return found

    def store(self, info_hash: str, sha256: str, content: bytes) -> "Future[None]":
        return Future()


class OneFile:
    """The ledger has one file, which was recorded as an offer before."""

    def waiting(self, first: int) -> dict[int, str]:
        return {TURN: TOKEN}

    def offers(self, after: int, limit: int) -> list[Any]:
        return []


@dataclass
class SettledBy:
    offers: list[SettledOffer] = field(default_factory=list[SettledOffer])

    def settle(self, offers: Sequence[SettledOffer], now: float) -> bool:
        self.offers += offers
        return True


@pytest.mark.parametrize(("was_offered", "state"), [(True, "placed"), (False, "duplicate")])
def test_an_item_of_another_group_is_ours_if_it_was_offered_before(store: Store, was_offered: bool, state: str) -> None:
    """The bucket was lost, and the group that has the item has not created its claim again yet."""
    table, watcher = ClaimTable(store), SettledBy()
    claim = a_claim(offer=f"{TURN}-{TOKEN}")
    table.add_offer(TURN, TOKEN, b"/x.torrent", claim, encode_claim(claim))
    if was_offered:
        table.mark_stored(TURN)
    swaps = ClaimSwaps(table, cast(ClaimLink, HolderLink()), lambda: None)
    sender = OfferSender(
        "one", table, swaps, cast(Inbox, OneFile()), cast(LocalWatcher, watcher), lambda: 2, lambda: None
    )
    for now in range(1, 5):
        sender.step(float(now))
        swaps.finish(float(now))
    (found,) = watcher.offers
    assert (found.turn, found.state, found.keeps_file) == (TURN, state, False)
    assert "two" in (found.group or found.reason)
    assert table.offers() == []


def test_an_offer_waits_while_the_claim_of_the_group_that_has_it_is_lost(store: Store) -> None:
    """That group is away, so it cannot say so itself."""
    table, watcher = ClaimTable(store), SettledBy()
    claim = a_claim(offer=f"{TURN}-{TOKEN}")
    table.add_offer(TURN, TOKEN, b"/x.torrent", claim, encode_claim(claim))
    table.mark_stored(TURN)
    table.enter("bucket", "one")
    has_it = a_claim(offer=claim.offer, state="granted", owner="two", generation=1)
    table.apply([(7, has_it, encode_claim(has_it))])
    table.enter("another", "one")

    class SilentLink(HolderLink):
        def ask_all(self, payload: bytes, timeout: float, expected: int = 1) -> "Future[list[bytes]]":
            found: Future[list[bytes]] = Future()
            found.set_result([])
            return found

    # It has no `swap`: an offer would raise an error.
    swaps = ClaimSwaps(table, cast(ClaimLink, SilentLink()), lambda: None)
    sender = OfferSender(
        "one", table, swaps, cast(Inbox, OneFile()), cast(LocalWatcher, watcher), lambda: 2, lambda: None
    )
    for now in range(1, 4):
        sender.step(float(now))
        swaps.finish(float(now))
    assert (watcher.offers, len(table.offers())) == ([], 1)


class OfferLink(HolderLink):
    """No group has the item; claims are accepted."""

    def __init__(self) -> None:
        super().__init__([])
        self.written: list[bytes] = []

    def swap(self, info_hash: str, value: bytes, revision: int) -> "Future[int]":
        self.written.append(value)
        found: Future[int] = Future()
        found.set_result(revision + 1)
        return found


@pytest.mark.parametrize(
    ("state", "settled", "is_offered"),
    [
        ("offered", [], False),
        ("assigned", [], False),
        ("granted", [], False),
        ("done", [], False),
        ("withdrawn", [], True),
        ("failed", [], True),
    ],
)
def test_a_file_that_another_group_offered_waits_until_a_group_has_its_item(
    store: Store, state: Any, settled: list[str], is_offered: bool
) -> None:
    """A duplicate is disposed of: with `on_loaded = delete` that was the only copy when the other one was removed."""
    table, watcher, link = ClaimTable(store), SettledBy(), OfferLink()
    mine = a_claim(sender="one", offer=f"{TURN}-{TOKEN}")
    table.add_offer(TURN, TOKEN, b"/x.torrent", mine, encode_claim(mine))
    table.mark_stored(TURN)
    owner = "three" if state in ("assigned", "granted", "done") else ""
    other = a_claim(sender="two", offer="1-other", state=state, owner=owner, generation=1)
    table.apply([(3, other, encode_claim(other))])
    swaps = ClaimSwaps(table, cast(ClaimLink, link), lambda: None)
    sender = OfferSender(
        "one", table, swaps, cast(Inbox, OneFile()), cast(LocalWatcher, watcher), lambda: 2, lambda: None
    )
    for now in range(1, 4):
        sender.step(float(now))
        swaps.finish(float(now))
    assert [each.state for each in watcher.offers] == settled
    assert [decode_claim(HASH, value).sender for value in link.written] == ["one"] * is_offered


KEPT, INCOMPLETE = Held(group="three", items=(HASH,), kept=(HASH,)), Held(group="three", items=(HASH,), kept=())
LOOKED, COULD_NOT_LOOK = Held(group="three", kept=()), Held(group="three")


@pytest.mark.parametrize("is_mine", [True, False])
@pytest.mark.parametrize(
    ("answers", "stays"),
    [
        ([KEPT], ""),
        ([COULD_NOT_LOOK], "did not say"),
        ([], "did not say"),
        ([INCOMPLETE], "without its metadata"),
        ([LOOKED], "has it no more"),
    ],
)
def test_a_file_is_given_up_only_when_a_group_says_that_it_has_the_item(
    store: Store, is_mine: bool, answers: list[Held], stays: str
) -> None:
    """The claim says that `three` had it: it may have been erased there since."""
    table, watcher, link = ClaimTable(store), SettledBy(), OfferLink()
    mine = a_claim(sender="one", offer=f"{TURN}-{TOKEN}")
    table.add_offer(TURN, TOKEN, b"/x.torrent", mine, encode_claim(mine))
    table.mark_stored(TURN)
    sent = {"sender": "one", "offer": mine.offer} if is_mine else {"sender": "two", "offer": "1-other"}
    done = a_claim(**sent, state="done", owner="three", generation=3)
    table.apply([(3, done, encode_claim(done))])
    link.answers = answers
    swaps = ClaimSwaps(table, cast(ClaimLink, link), lambda: None)
    sender = OfferSender(
        "one", table, swaps, cast(Inbox, OneFile()), cast(LocalWatcher, watcher), lambda: 2, lambda: None
    )
    for now in range(1, 200):
        if not (watcher.offers or link.written):
            sender.step(float(now))
            swaps.finish(float(now))
    if not is_mine and answers == [LOOKED]:
        # No group has it: it is offered, as what no claim is known of.
        (written,) = (decode_claim(HASH, value) for value in link.written)
        assert (written.sender, written.state, written.generation, written.owner) == ("one", "offered", 3, "")
        assert watcher.offers == []
        return
    (found,) = watcher.offers
    assert found.state == ("placed" if is_mine else "duplicate")
    assert (stays in found.reason, found.keeps_file) == (True, bool(stays))
    assert link.written == []


@pytest.mark.parametrize("name", ["", "Two", "two\n", "\x1b[31mtwo", "t" * 64, "\u202etwo", "../two", "two three"])
@pytest.mark.parametrize("what", ["items", "siblings"])
def test_an_answer_with_a_name_that_no_group_has_changes_no_offer(store: Store, name: str, what: str) -> None:
    """It became a part of the claim, which was then valid for no group: the metafile was offered no more, silently."""
    table, watcher, bad = ClaimTable(store), SettledBy(), list[int]()
    claim = a_claim(offer=f"{TURN}-{TOKEN}")
    table.add_offer(TURN, TOKEN, b"/x.torrent", claim, encode_claim(claim))
    link = HolderLink([Held(group=name, items=(HASH,)) if what == "items" else Held(group=name, siblings=(HASH,))])
    sender = OfferSender(
        "one",
        table,
        swaps := ClaimSwaps(table, cast(ClaimLink, link), lambda: None),
        cast(Inbox, OneFile()),
        cast(LocalWatcher, watcher),
        lambda: 2,
        lambda: bad.append(1),
    )
    sender.step(1.0)
    swaps.finish(1.0)
    assert (watcher.offers, bad) == ([], [1])
    assert [offer[2] for offer in table.offers()] == [claim]


@pytest.mark.parametrize("decode", [decode_held, decode_found, decode_refusal])
def test_the_name_in_an_answer_is_one_that_a_group_can_have(decode: Callable[[bytes], object]) -> None:
    decode(b'{"group": "box-1"}')
    for name in ("", "Box", "box 1", "box\\n", "\\u001b[31m", "\\u202ebox", "b" * 64):
        with pytest.raises(BadValue):
            decode(f'{{"group": "{name}"}}'.encode())


@pytest.mark.parametrize("field", ["info_hash", "sha256", "job", "sender", "owner"])
def test_a_text_of_a_claim_has_no_line_break_at_its_end(field: str) -> None:
    claim = msgspec.structs.replace(a_claim(), owner="two", state="done")
    assert decode_claim(HASH, encode_claim(claim)) == claim
    wrong = msgspec.structs.replace(claim, **{field: f"{getattr(claim, field)}\n"})
    with pytest.raises(BadValue):
        decode_claim(wrong.info_hash, encode_claim(wrong))
