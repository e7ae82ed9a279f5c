"""Placement of metafiles: follows the claims, bids for offers, takes back what a group that is gone was assigned."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pyrotorque import logs
from pyrotorque.errors import RTorrentError, RTorrentFault, StateError
from pyrotorque.layout import Layout
from pyrotorque.placement_rules import parse_accepts, parse_prefer
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import FleetSettings
from pyrotorque.text import printable
from pyrotorque_fleet import claims
from pyrotorque_fleet.choice import CandidateGroup, OfferTurns, PlacementRules, bids
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim
from pyrotorque_fleet.exchange import ClaimsState, ClaimUpdate
from pyrotorque_fleet.holders import ItemHolders
from pyrotorque_fleet.inbox import Inbox
from pyrotorque_fleet.local_group import LocalWatcher
from pyrotorque_fleet.lost_claims import LostClaims
from pyrotorque_fleet.messages import BadValue, GroupFacts, decode_claim
from pyrotorque_fleet.receiver import ClaimReceiver
from pyrotorque_fleet.sender import OfferSender
from pyrotorque_fleet.swaps import ClaimLink, ClaimSwaps

log = logging.getLogger(__name__)

REBUILD: Final = 60.0
"""Seconds without bids after a bucket was replaced: each group first creates the claims that it has."""
_NO_PROGRESS: Final = 600.0
_OFFERS_MAX: Final = 256
_EACH: Final = 1.0
_SOON: Final = 0.03
"""Seconds between two looks at the ledger while a claim waits for the watcher."""
_TIMEOUT: Final = 2.0
_READ_WITHIN: Final = 5.0


class Groups(Protocol):
    """The groups of the fleet, as this one sees them."""

    def candidates(self) -> Sequence[GroupFacts]:
        """This group and all that are present."""
        ...

    def gone(self) -> Sequence[str]: ...


@dataclass
class Placement:
    """`step` is one turn; `now` is CLOCK_MONOTONIC."""

    settings: FleetSettings
    layout: Layout
    table: ClaimTable
    link: ClaimLink
    groups: Groups
    rtorrent: RTorrent | None
    wake: Callable[[], None]
    bad_value: Callable[[], None]
    placed: Callable[[], None]
    holders: ItemHolders
    rebuild: float = REBUILD
    _turns: OfferTurns = field(default_factory=OfferTurns)
    _stands: OfferTurns = field(default_factory=OfferTurns)
    _step_at: float = 0.0
    _step_changes: int = -1
    _claims_seen: int = 0
    _wanted_at: float = 0.0
    _wanted: ClaimsState | None = None
    _no_bids_until: float = 0.0
    _bid_at: float = 0.0
    _watch_at: float = 0.0
    _changes: int = -1
    _waits: bool = False
    _problem: str = ""

    def __post_init__(self) -> None:
        self.swaps = ClaimSwaps(self.table, self.link, self.wake)
        self.inbox = Inbox(self.layout.state_dir)
        watcher = LocalWatcher(self.layout)
        shared = (self.settings.name, self.table, self.swaps, self.inbox, watcher, self._present, self.bad_value)
        self.lost = LostClaims(self.settings.name, self.table, self.swaps)
        self.sender = OfferSender(*shared)
        self.receiver = ClaimReceiver(*shared, self.placed, self._unwanted)
        self.rules = PlacementRules(
            self.settings.name,
            parse_accepts(self.settings.accepts),
            parse_prefer(self.settings.prefer),
            self.settings.turn,
            self.settings.pending_max,
        )

    # -- what arrives

    def follow(self, state: ClaimsState) -> None:
        """The bucket as it is now."""
        if self.table.enter(state.identity, self.settings.name):
            self._no_bids_until = float("inf")  # set by the next step
            text = "the claims of the fleet were lost at the servers; this group creates its own again"
            log.warning("%s", text)
            logs.owner_event(
                "fleet rebuilt", "the fleet's claims were lost at the servers; this group creates its own again"
            )
            self._claims_seen = 0
        self._claims_seen = max(self._claims_seen, self.table.known().newest)
        if self._wanted is None:
            self._wanted, self._wanted_at = state, time.monotonic()

    def update(self, updates: Sequence[ClaimUpdate]) -> None:
        """Values of claims."""
        found: list[tuple[int, Claim, bytes]] = []
        for each in updates:
            self._claims_seen = max(self._claims_seen, each.revision)
            if not each.value:
                continue  # a marker of an operator
            try:
                found.append((each.revision, decode_claim(each.info_hash, each.value), each.value))
            except BadValue as error:
                self.bad_value()
                log.debug("ignored the claim %s: %s", printable(each.info_hash)[:80], error)
        if found:
            self.table.apply(found)

    @property
    def is_current(self) -> bool:
        """Whether all claims that were there when the connection was made are known."""
        if self._wanted is None:
            return False
        # The newest message may have been purged.
        return self._claims_seen >= self._wanted.newest or time.monotonic() - self._wanted_at > _READ_WITHIN

    def disconnected(self) -> None:
        self._wanted = None

    # -- the loop

    def timeout(self, now: float) -> float:
        """Seconds until `step` has something to do."""
        if self._waits or self.swaps.is_busy:
            return _SOON
        return max(0.0, self._bid_at - now) if self._bid_at else _EACH

    def step(self, now: float) -> None:
        """Do what can be done without waiting."""
        has_finished = self.swaps.finish(now)
        if not self.is_current or not (has_finished or self._is_due(now)):
            return
        self._step_at, self._step_changes = now + _EACH, self.table.changes
        if self._no_bids_until == float("inf"):
            self._no_bids_until = now + self.rebuild
        self.lost.restore(now, may_bid=now >= self._no_bids_until)
        try:
            if now >= self._no_bids_until:
                self.sender.step(now)
                self._bid(now)
                if now >= self._watch_at:
                    self._watch_at = now + _EACH
                    self._take_back(now)
            self._waits = self.receiver.step(now)
            self._problem = ""
        except StateError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("%s", error)

    def _is_due(self, now: float) -> bool:
        """Whether something changed or is due: heartbeats of other groups alone cost nothing."""
        return (
            self._waits
            or self.swaps.is_busy
            or self.sender.has_news
            or self.table.changes != self._step_changes
            or now >= self._step_at
            or 0.0 < self._bid_at <= now
        )

    def _present(self) -> int:
        return len(self.groups.candidates())

    def _candidates(self) -> list[CandidateGroup]:
        counts = self.table.open_counts()
        return [CandidateGroup(facts, counts.get(facts.name, 0)) for facts in self.groups.candidates()]

    # -- bids

    def _bid(self, now: float) -> None:
        if now < self._bid_at and self.table.changes == self._changes:
            return
        self._changes, self._bid_at = self.table.changes, 0.0
        offers = self.table.in_state("offered", _OFFERS_MAX)
        self._turns.keep(claim.info_hash for _, claim in offers)
        if not offers:
            return
        revisions = {claim.info_hash: revision for revision, claim in offers}
        waiting = [
            (claim, self._turns.waited(claim.info_hash, revision, now))
            for revision, claim in offers
            if self.swaps.is_free(claim.info_hash, now)
        ]
        self._bid_at = now + min(_EACH, max(0.05, self.settings.turn / 2))
        wanted = bids(self.rules, waiting, self._candidates(), now)
        if not wanted:
            return
        there = self._there([claim.info_hash for claim in wanted])
        if there is None:
            return
        for claim in wanted:
            revision = revisions[claim.info_hash]
            if claim.info_hash in there:
                self.swaps.swap(claims.has_item(claim, self.settings.name), revision, self.placed)
            else:
                self.swaps.swap(claims.assign(claim, self.settings.name), revision)

    def _there(self, hashes: Sequence[str]) -> set[str] | None:
        """Those of these items that rTorrent has; None if it does not answer."""
        if self.rtorrent is None:
            return None
        try:
            answers = self.rtorrent.multicall([("d.hash", (each,)) for each in hashes], timeout=_TIMEOUT, label="fleet")
        except RTorrentError as error:
            log.debug("%s", error)
            return None
        found = {each for each, answer in zip(hashes, answers, strict=True) if not isinstance(answer, RTorrentFault)}
        return found - self.holders.held()

    def _unwanted(self, claim: Claim) -> str:
        own = next((each for each in self._candidates() if each.facts.name == self.settings.name), None)
        return "it is not ready" if own is None else self.rules.unwanted(claim, own, time.time())

    def refusal(self, info_hash: str, now: float) -> str:
        """Why this group does not take this claim; empty if it does, when its turn has come."""
        found = self.table.get(info_hash)
        if found is None:
            return "it has no claim on it"
        claim = found[1]
        if claim.state != "offered":
            return f"the claim is {claim.state}{claim.owner and f' to {claim.owner}'}"
        own = next((each for each in self._candidates() if each.facts.name == self.settings.name), None)
        if own is None:
            return "it is not ready"
        if now < self._no_bids_until:
            return "the claims were lost and are created again: it waits a minute"
        return self.rules.refusal(claim, own, now)

    # -- what others do not finish

    def _take_back(self, now: float) -> None:
        gone = frozenset(self.groups.gone())
        for revision, claim in self.table.in_state("assigned", _OFFERS_MAX):
            if claim.owner == self.settings.name or not self.swaps.is_free(claim.info_hash, now):
                continue
            waited = self._stands.waited(claim.info_hash, revision, now)
            reason = f"{claim.owner} is gone" if claim.owner in gone else ""
            if not reason and waited > _NO_PROGRESS:
                reason = f"{claim.owner} did not load it within {_NO_PROGRESS / 60:.0f} minutes"
            if reason:
                log.info("taking back %s: %s", printable(claim.facts.name), reason)
                self.swaps.swap(claims.take_back(claim, reason), revision)

    # -- requests of the owner

    def release(self, info_hash: str, done: Callable[[bool, str], None], now: float) -> None:
        """Take back a granted or finished claim; `done(ok, text)` is called when it is written."""
        found = self.table.get(info_hash)
        if found is None:
            done(False, f"the fleet has no claim on {info_hash}")
            return
        released = claims.release(found[1])
        if released is None:
            done(False, f"the claim is {found[1].state}: only granted, done and failed ones are released")
            return
        if not self.swaps.is_free(info_hash, now):
            done(False, "the claim is being changed: try again")
            return
        owner = found[1].owner
        outcome = f"{printable(found[1].facts.name)} was released from {owner or 'the fleet'}"
        text = (
            f"{outcome} and is offered again" if released.state == "offered" else f"{outcome}: it can be dropped again"
        )

        def written(result: Any, error: BaseException | None) -> None:
            if error is None:
                self.table.apply([(int(result), released, claims.encode_claim(released))])
                done(True, text)
            else:
                self.swaps.read(info_hash)
                done(False, f"it is not known whether it was written: {error or 'no answer'}")

        self.swaps.run(info_hash, self.link.swap(info_hash, claims.encode_claim(released), found[0]), written)
