"""The claims in the file of a group: newer values win, and what it has is kept when the bucket is lost."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import cast

import pytest

from pyrotorque.store import Store, open_store
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim, encode_claim
from pyrotorque_fleet.exchange import StoredClaim
from pyrotorque_fleet.forward import MIGRATIONS
from pyrotorque_fleet.swaps import ClaimLink, ClaimSwaps
from tests.unit.test_fleet_claims import HASH, a_claim


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path / "fleet.sqlite3", MIGRATIONS)
    yield found
    found.close()


def apply(table: ClaimTable, revision: int, claim: Claim) -> None:
    table.apply([(revision, claim, encode_claim(claim))])


def test_an_older_value_changes_nothing(store: Store) -> None:
    table = ClaimTable(store)
    table.enter("bucket", "one")
    apply(table, 7, a_claim(state="assigned", owner="two"))
    apply(table, 5, a_claim())
    assert table.get("A" * 40) == (7, a_claim(state="assigned", owner="two"))
    assert (table.known().identity, table.known().newest) == ("bucket", 7)
    assert table.open_counts() == {"two": 1}
    assert table.counts() == {"assigned": 1}


def test_what_this_group_has_is_kept_first_when_the_bucket_is_lost(store: Store) -> None:
    table = ClaimTable(store)
    assert not table.enter("bucket", "one")
    for number in range(300):
        apply(table, number + 1, a_claim(info_hash=f"{number:040X}", state="done", owner="two"))
        apply(table, number + 1001, a_claim(info_hash=f"{number + 4096:040X}"))
    mine = {f"{number:040X}" for number in range(0xFFF0, 0xFFF8)}
    for number, info_hash in enumerate(sorted(mine)):
        apply(table, 2000 + number, a_claim(info_hash=info_hash, state="granted", owner="one", generation=3))
    table.record(a_claim(info_hash="A" * 40, generation=2), "handed", b"/x")
    table.record(a_claim(info_hash="B" * 40, generation=2), "released", b"/x")
    assert table.enter("another bucket", "one")
    lost = table.lost(10)
    assert {claim.info_hash for claim in lost[:8]} == mine
    assert all(claim.owner != "two" for claim in table.lost(1000))
    assert (table.known().newest, table.counts()) == (0, {})
    generations = {info_hash: record[0].generation for info_hash, record in table.handovers().items()}
    assert generations == {"A" * 40: 0, "B" * 40: 2}
    assert not table.enter("another bucket", "one")


@pytest.mark.parametrize("stored", [None, StoredClaim(3, encode_claim(a_claim(generation=1)))])
def test_a_claim_that_the_servers_lost_is_forgotten_after_a_while(
    store: Store, stored: StoredClaim | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They acknowledged it, and have nothing or an older value: not only for as long as a stale read takes."""
    table, now = ClaimTable(store), [100.0]
    monkeypatch.setattr("pyrotorque_fleet.swaps.time.monotonic", lambda: now[0])

    class Servers:
        def read_claim(self, info_hash: str) -> "Future[StoredClaim | None]":
            found: Future[StoredClaim | None] = Future()
            found.set_result(stored)
            return found

    swaps = ClaimSwaps(table, cast(ClaimLink, Servers()), lambda: None)
    apply(table, 7, a_claim(generation=2))
    for now[0] in (100.0, 110.0, 116.0):
        assert table.get(HASH) == (7, a_claim(generation=2))
        swaps.read(HASH)
        swaps.finish(now[0])
    assert table.get(HASH) == (None if stored is None else (3, a_claim(generation=1)))
    assert table.lost_generation(HASH) == 2
