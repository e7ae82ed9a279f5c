"""Claims that the servers lost: what a group was granted stays its own, and any group writes the claim again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec
import pytest

from pyrotorque.placement_rules import parse_prefer
from pyrotorque.store import Store, open_store
from pyrotorque_fleet import bidding
from pyrotorque_fleet.choice import PlacementRules
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim, encode_claim
from pyrotorque_fleet.exchange import Conflict
from pyrotorque_fleet.forward import MIGRATIONS
from pyrotorque_fleet.holders import ItemHolders
from pyrotorque_fleet.inbox import Inbox
from pyrotorque_fleet.local_group import LocalWatcher
from pyrotorque_fleet.lost_claims import LostClaims
from pyrotorque_fleet.messages import decode_claim
from pyrotorque_fleet.receiver import ClaimReceiver
from pyrotorque_fleet.swaps import ClaimLink, ClaimSwaps
from tests.unit.test_fleet_claims import HASH, a_claim

TWO_HAS_IT = a_claim(state="granted", owner="two", generation=3)


@dataclass
class Servers:
    """One key with compare-and-set."""

    revision: int = 0
    written: list[Claim] = field(default_factory=list[Claim])

    def swap(self, info_hash: str, value: bytes, revision: int) -> "Future[int]":
        done: Future[int] = Future()
        if revision == self.revision:
            self.revision += 10
            self.written.append(msgspec.structs.replace(decode_claim(info_hash, value), changed=0.0))
            done.set_result(self.revision)
        else:
            done.set_exception(Conflict())
        return done


@dataclass
class Scene:
    """The claims of the group `name`."""

    name: str
    table: ClaimTable
    servers: Servers = field(default_factory=Servers)

    def __post_init__(self) -> None:
        self.swaps = ClaimSwaps(self.table, cast(ClaimLink, self.servers), lambda: None)
        self.lost = LostClaims(self.name, self.table, self.swaps)
        self.table.enter("bucket", self.name)

    def know(self, revision: int, claim: Claim) -> None:
        self.table.apply([(revision, claim, encode_claim(claim))])

    def restore(self, *, may_bid: bool) -> list[Claim]:
        """What was written."""
        self.servers.written.clear()
        self.lost.restore(1.0, may_bid=may_bid)
        self.swaps.finish(1.0)
        return list(self.servers.written)


Making = Callable[[str], Scene]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Making]:
    stores: list[Store] = []

    def make(name: str) -> Scene:
        stores.append(open_store(tmp_path / f"{name}.sqlite3", MIGRATIONS))
        return Scene(name, ClaimTable(stores[-1]))

    yield make
    for store in stores:
        store.close()


@pytest.mark.parametrize("state", ["granted", "done"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_group_writes_what_it_has_at_once(scene: Making, state: str, cut: bool) -> None:
    s = scene("two")
    mine = msgspec.structs.replace(TWO_HAS_IT, state=state)
    s.know(60, mine)
    assert s.table.enter("bucket" if cut else "another", "two", cut=cut)
    assert s.restore(may_bid=False) == [mine]
    assert s.restore(may_bid=True) == []
    assert s.table.lost(9) == []


def test_others_write_it_when_its_owner_had_time(scene: Making) -> None:
    s = scene("one")
    s.know(60, TWO_HAS_IT)
    s.table.enter("another", "one")
    assert s.restore(may_bid=False) == []
    assert s.table.lost_holder(HASH) == "two"
    assert s.restore(may_bid=True) == [TWO_HAS_IT]
    s.restore(may_bid=True)
    assert (s.table.lost_holder(HASH), s.table.lost(9)) == ("", [])


def test_a_finished_claim_of_another_group_is_kept_for_an_offer_that_waits(scene: Making) -> None:
    """Without the offer, nothing would place the metafile again, and there are thousands of such claims."""
    s = scene("one")
    done = msgspec.structs.replace(TWO_HAS_IT, state="done")
    other = a_claim(info_hash="B" * 40, state="done", owner="two", generation=1)
    s.know(60, done)
    s.know(61, other)
    s.table.add_offer(7, "token", b"/x.torrent", a_claim(), encode_claim(a_claim()))
    s.table.enter("another", "one")
    assert s.table.lost(9) == [done]


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("left", [a_claim(), a_claim(state="assigned", owner="three", generation=2)])
def test_an_older_value_that_the_servers_have_left_is_replaced(scene: Making, name: str, left: Claim) -> None:
    s = scene(name)
    s.know(60, TWO_HAS_IT)
    s.table.enter("bucket", name, cut=True)
    s.servers.revision = 50
    s.know(50, left)
    assert s.restore(may_bid=True) == [TWO_HAS_IT]


@pytest.mark.parametrize("lose_again", ["the bucket", "its newest values", "the claim"])
def test_a_second_loss_before_it_was_written_changes_nothing(scene: Making, lose_again: str) -> None:
    s = scene("two")
    s.know(60, TWO_HAS_IT)
    s.table.enter("bucket", "two", cut=True)
    s.know(50, a_claim(state="assigned", owner="two", generation=3))
    match lose_again:
        case "the bucket":
            s.table.enter("another", "two")
        case "its newest values":
            s.table.enter("bucket", "two", cut=True)
        case _:
            s.table.lose(HASH)
    assert s.restore(may_bid=False) == [TWO_HAS_IT]


def test_what_was_done_is_not_granted_again(scene: Making) -> None:
    s = scene("two")
    done = msgspec.structs.replace(TWO_HAS_IT, state="done")
    s.know(60, done)
    s.table.lose(HASH)
    s.servers.revision = 50
    s.know(50, TWO_HAS_IT)
    assert s.restore(may_bid=False) == [done]
    assert s.restore(may_bid=False) == []


def test_an_assignment_since_then_ends(scene: Making) -> None:
    s = scene("two")
    s.know(60, TWO_HAS_IT)
    s.table.record(TWO_HAS_IT, "released", b"/x")
    s.table.enter("bucket", "two", cut=True)
    s.servers.revision = 52
    s.know(52, a_claim(state="assigned", owner="one", generation=4))
    assert s.restore(may_bid=False) == [msgspec.structs.replace(TWO_HAS_IT, generation=4)]
    assert s.table.handovers()[HASH][0].generation == 4


@pytest.mark.parametrize(("name", "conflicts"), [("one", 0), ("two", 1)])
def test_what_another_group_was_granted_meanwhile_is_a_conflict_of_the_owner(
    scene: Making, name: str, conflicts: int, caplog: pytest.LogCaptureFixture
) -> None:
    s = scene(name)
    s.know(60, TWO_HAS_IT)
    s.table.enter("bucket", name, cut=True)
    s.know(52, a_claim(state="granted", owner="three", generation=4))
    assert s.restore(may_bid=True) == []
    assert s.table.lost(9) == []
    assert caplog.text.count("erase the item in one of them") == conflicts


def test_a_single_claim_that_the_servers_lost_is_treated_alike(scene: Making) -> None:
    s = scene("one")
    s.know(60, TWO_HAS_IT)
    s.table.lose(HASH)
    assert (s.table.get(HASH), s.table.lost_holder(HASH)) == (None, "two")
    assert s.restore(may_bid=True) == [TWO_HAS_IT]


def test_no_bid_is_made_for_an_older_offer_of_what_another_group_was_granted(
    scene: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = scene("one")
    s.know(60, TWO_HAS_IT)
    s.table.enter("bucket", "one", cut=True)
    s.know(50, a_claim())
    s.know(51, a_claim(info_hash="B" * 40))
    seen: list[str] = []

    def note(rules: object, waiting: Sequence[tuple[Claim, float]], *more: object) -> list[Claim]:
        seen.extend(claim.info_hash for claim, _ in waiting)
        return []

    monkeypatch.setattr(bidding, "bids", note)
    rules = PlacementRules("one", None, parse_prefer(""), 1.0, 10)
    holders = cast(ItemHolders, None)
    bidding.ClaimBidder(rules, s.table, s.swaps, list, holders, lambda: None).step(1.0)
    assert seen == ["B" * 40]


class HeldItems:
    """The watcher has loaded all of them, held."""

    def loads(self, records: Mapping[str, object]) -> dict[str, str]:
        return dict.fromkeys(records, "held")


@pytest.mark.parametrize(("holder", "written"), [("two", 0), ("one", 1)])
def test_no_older_assignment_is_granted_over_what_another_group_was_granted(
    scene: Making, holder: str, written: int
) -> None:
    """The servers have left the assignment of `one`, which it had lost to the group that was granted the claim."""
    s = scene("one")
    s.know(60, msgspec.structs.replace(TWO_HAS_IT, owner=holder))
    s.table.enter("bucket", "one", cut=True)
    s.servers.revision = 50
    older = a_claim(state="assigned", owner="one", generation=2)
    s.know(50, older)
    s.table.record(older, "handed", b"/x")
    receiver = ClaimReceiver(
        "one", s.table, s.swaps, cast(Inbox, HeldItems()), cast(LocalWatcher, None), lambda: 1, lambda: None
    )
    receiver.step(1.0)
    s.swaps.finish(1.0)
    assert len(s.servers.written) == written
