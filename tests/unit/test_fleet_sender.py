"""A sender and the metafiles that it offers, when another group has the item already."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from pyrotorque.fleet_requests import SettledOffer
from pyrotorque.store import Store, open_store
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import encode_claim
from pyrotorque_fleet.forward import MIGRATIONS
from pyrotorque_fleet.inbox import Inbox
from pyrotorque_fleet.local_group import LocalWatcher
from pyrotorque_fleet.messages import Held, encode
from pyrotorque_fleet.sender import OfferSender
from pyrotorque_fleet.swaps import ClaimLink, ClaimSwaps
from tests.unit.test_fleet_claims import HASH, a_claim

TURN, TOKEN = 7, "token"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path / "fleet.sqlite3", MIGRATIONS)
    yield found
    found.close()


class HolderLink:
    """The group `two` answers that it has the item."""

    def ask_all(self, payload: bytes, timeout: float, expected: int = 1) -> "Future[list[bytes]]":
        found: Future[list[bytes]] = Future()
        found.set_result([encode(Held(group="two", items=(HASH,)))])
        return found


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
    for now in range(1, 4):
        sender.step(float(now))
        swaps.finish(float(now))
    (found,) = watcher.offers
    assert (found.turn, found.state) == (TURN, state)
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
