"""Bids for offered metafiles when the turn of this group has come, as `choice` decides."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyrotorque_fleet import claims
from pyrotorque_fleet.choice import CandidateGroup, OfferTurns, PlacementRules, bids
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim
from pyrotorque_fleet.holders import ItemHolders
from pyrotorque_fleet.messages import GroupFacts
from pyrotorque_fleet.swaps import ClaimSwaps

log = logging.getLogger(__name__)

OFFERS_MAX: Final = 256
_EACH: Final = 1.0
_RARELY: Final = 5.0
"""Seconds between two looks at offers that no group takes: only changes of facts matter."""
_TIMEOUT: Final = 2.0


@dataclass
class ClaimBidder:
    """`candidates` returns the facts of this group and all that are present. `now` is CLOCK_MONOTONIC."""

    rules: PlacementRules
    table: ClaimTable
    swaps: ClaimSwaps
    candidates: Callable[[], Sequence[GroupFacts]]
    holders: ItemHolders
    placed: Callable[[], None]
    due: float = 0.0
    """When offers are looked at again, also if no claim changes; 0: there are none."""
    _turns: OfferTurns = field(default_factory=OfferTurns)
    _changes: int = -1

    def step(self, now: float) -> None:
        """Write the bids that are due."""
        if now < self.due and self.table.changes == self._changes:
            return
        self._changes, self.due = self.table.changes, 0.0
        offers = self.table.in_state("offered", OFFERS_MAX)
        self._turns.keep(claim.info_hash for _, claim in offers)
        if not offers:
            return
        revisions = {claim.info_hash: revision for revision, claim in offers}
        waiting = [
            (claim, self._turns.waited(claim.info_hash, revision, now))
            for revision, claim in offers
            if self.swaps.is_free(claim.info_hash, now) and not self.table.lost_holder(claim.info_hash)
        ]
        # When the turn of each group has come, only changes of facts matter.
        has_turns = len(waiting) < len(offers) or any(waited <= self.rules.wait_max for _, waited in waiting)
        self.due = now + (min(_EACH, max(0.05, self.rules.turn / 2)) if has_turns else _RARELY)
        wanted = bids(self.rules, waiting, self._groups(), now)
        there = self._there([claim.info_hash for claim in wanted]) if wanted else None
        if there is None:
            return
        for claim in wanted:
            revision = revisions[claim.info_hash]
            if claim.info_hash in there:
                self.swaps.swap(claims.has_item(claim, self.rules.group), revision, self.placed)
            else:
                self.swaps.swap(claims.assign(claim, self.rules.group), revision)

    def _groups(self) -> list[CandidateGroup]:
        counts = self.table.open_counts()
        return [CandidateGroup(facts, counts.get(facts.name, 0)) for facts in self.candidates()]

    def _own(self) -> CandidateGroup | None:
        return next((each for each in self._groups() if each.facts.name == self.rules.group), None)

    def _there(self, hashes: Sequence[str]) -> set[str] | None:
        """Those of these items that rTorrent has; None if it does not answer."""
        found = self.holders.present(hashes)
        return None if found is None else found - self.holders.held()

    # -- reasons

    def unwanted(self, claim: Claim) -> str:
        """Why this group never takes such a metafile, also if another one assigned it; empty if it does."""
        own = self._own()
        return "it is not ready" if own is None else self.rules.unwanted(claim, own, time.time())

    def refusal(self, claim: Claim, now: float) -> str:
        """Why this group does not take this offer; empty if it does, when its turn has come."""
        own = self._own()
        return "it is not ready" if own is None else self.rules.refusal(claim, own, now)
