"""Placement of metafiles: follows the claims, bids for offers, takes back what a group that is gone was assigned."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pyrotorque import logs
from pyrotorque.errors import StateError
from pyrotorque.layout import Layout
from pyrotorque.placement_rules import parse_accepts, parse_prefer
from pyrotorque.requests import Answer, wrong
from pyrotorque.settings.schema import FleetSettings
from pyrotorque.text import printable
from pyrotorque_fleet import claims
from pyrotorque_fleet.bidding import OFFERS_MAX, ClaimBidder
from pyrotorque_fleet.choice import OfferTurns, PlacementRules
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim
from pyrotorque_fleet.exchange import BucketState, ClaimUpdate
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
_EACH: Final = 1.0
_IDLE: Final = 5.0
"""Seconds between two steps while no claim is open: what arrives or is dropped wakes this process."""
_SOON: Final = 0.03
_SOON_SHARE: Final = 0.1
"""Between two looks at the ledger while a claim waits for the watcher: 30 ms, and up to a second if nothing changes."""
_READ_WITHIN: Final = 5.0
_VERIFY_FOR: Final = 75.0
"""After a connection: a loss is certain when it is seen twice, 15 s apart."""
_VERIFY_EVERY: Final = 20.0
_VERIFIED_MAX: Final = 60


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
    wake: Callable[[], None]
    bad_value: Callable[[], None]
    placed: Callable[[], None]
    holders: ItemHolders
    rebuild: float = REBUILD
    holds_name: Callable[[float], bool] = lambda _: True
    """Whether no other process uses the name of this group: what that one was permitted, this one would start."""
    _stands: OfferTurns = field(default_factory=OfferTurns)
    _step_at: float = 0.0
    _ledger_at: float = 0.0
    _step_changes: int = -1
    _claims_seen: int = 0
    _wanted_at: float = 0.0
    _wanted: BucketState | None = None
    _no_bids_until: float = 0.0
    _watch_at: float = 0.0
    _verify_at: float = 0.0
    _verify_until: float = 0.0
    _waits: bool = False
    _changed: tuple[int, float] = (-1, 0.0)
    _problem: str = ""

    def __post_init__(self) -> None:
        self.swaps = ClaimSwaps(self.table, self.link, self.wake, self._wait_for_owners)
        self.inbox = Inbox(self.layout.state_dir)
        watcher = LocalWatcher(self.layout)
        shared = (self.settings.name, self.table, self.swaps, self.inbox, watcher, self._present, self.bad_value)
        self.lost = LostClaims(self.settings.name, self.table, self.swaps)
        self.sender = OfferSender(*shared)
        rules = PlacementRules(
            self.settings.name,
            parse_accepts(self.settings.accepts),
            parse_prefer(self.settings.prefer),
            self.settings.turn,
            self.settings.pending_max,
        )
        self.bidder = ClaimBidder(rules, self.table, self.swaps, self.groups.candidates, self.holders, self.placed)
        self.receiver = ClaimReceiver(*shared, self.placed, self.bidder.unwanted)

    # -- what arrives

    def follow(self, state: BucketState) -> None:
        """The bucket as it is now."""
        if self.table.enter(state.identity, self.settings.name, cut=state.cut):
            self._wait_for_owners()
            self._wanted = None
            text = "the claims of the fleet were lost at the servers; this group creates its own again"
            log.warning("%s", text)
            logs.owner_event(
                "fleet rebuilt", "the fleet's claims were lost at the servers; this group creates its own again"
            )
            self._claims_seen = 0
        self._claims_seen = max(self._claims_seen, self.table.known().newest)
        if self._wanted is None:
            self._wanted, self._wanted_at = state, time.monotonic()
            self._verify_until = self._wanted_at + _VERIFY_FOR

    def _wait_for_owners(self) -> None:
        """The servers lost claims: no bids until each group had time to write what it has."""
        self._no_bids_until = float("inf")  # set by the next step

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
            taken = self.table.taken_from(self.settings.name, (claim for _, claim, _ in found))
            here = self.holders.present([claim.info_hash for claim in taken]) if taken else None
            for claim in taken:
                if here is None or claim.info_hash in here:
                    self._report_taken(claim)
            self.table.apply(found)

    def _report_taken(self, claim: Claim) -> None:
        """It was released by hand while this group was away: afterwards it would see both steps. What this group has no
        more may be offered again by anyone."""
        text = (
            f"{printable(claim.facts.name)} ({claim.info_hash}) was released by hand while this group was away, and "
            f"{claim.owner} has it now: if its item is still here, erase it in one of them"
        )
        log.error("%s", text)
        logs.owner_event("fleet conflict", text)

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
        """Seconds until `step` has something to do; the end of a call wakes this process."""
        if not (self.is_current and self.holds_name(now)):
            return _EACH
        if self.table.changes != self._step_changes or (self.sender.has_news and now >= self._no_bids_until):
            return 0.0
        due = min(self._step_at, self.bidder.due or self._step_at, self._ledger_at if self._waits else self._step_at)
        return max(0.0, due - now)

    def step(self, now: float) -> None:
        """Do what can be done without waiting."""
        has_finished = self.swaps.finish(now)
        if not (self.is_current and self.holds_name(now)) or not (has_finished or self._is_due(now)):
            return
        if self._no_bids_until == float("inf"):
            self._no_bids_until = now + self.rebuild
        self._step_changes = self.table.changes
        self.lost.restore(now, may_bid=now >= self._no_bids_until)
        if self._verify_at <= now < self._verify_until:
            self._verify_at = now + _VERIFY_EVERY
            self._verify(now)
        try:
            if now >= self._no_bids_until:
                self.sender.step(now)
                self.bidder.step(now)
                if now >= self._watch_at:
                    self._watch_at = now + _EACH
                    self._take_back(now)
            self._waits = self.receiver.step(now)
            self._problem = ""
        except StateError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("%s", error)
        self._plan(now)

    def _plan(self, now: float) -> None:
        """When the next step is due."""
        if self._changed[0] != self.table.changes:
            self._changed = (self.table.changes, now)
        since = now - self._changed[1]
        self._ledger_at = now + min(_EACH, max(_SOON, _SOON_SHARE * since))
        is_open = self._waits or self._problem or now < self._no_bids_until or self.table.has_open()
        self._step_at = now + (_EACH if is_open else _IDLE)

    def _is_due(self, now: float) -> bool:
        """Whether something changed or is due: heartbeats of other groups alone cost nothing."""
        return (
            (self._waits and now >= self._ledger_at)
            or self.sender.has_news
            or self.table.changes != self._step_changes
            or now >= self._step_at
            or 0.0 < self.bidder.due <= now
        )

    def _present(self) -> int:
        return len(self.groups.candidates())

    def refusal(self, info_hash: str, now: float) -> str:
        """Why this group does not take this claim; empty if it does, when its turn has come."""
        found = self.table.get(info_hash)
        if found is None:
            return "it has no claim on it"
        claim = found[1]
        if claim.state != "offered":
            return f"the claim is {claim.state}{claim.owner and f' to {claim.owner}'}"
        if not self.holds_name(now):
            return "it makes sure that no other group has its name"
        if now < self._no_bids_until:
            return "the claims were lost and are created again: it waits a minute"
        return self.bidder.refusal(claim, now)

    def _verify(self, now: float) -> None:
        """Compare what this group was granted last with the servers, which may have lost it while it was away."""
        for _, claim in self.table.newest_of(self.settings.name, _VERIFIED_MAX):
            if self.swaps.is_free(claim.info_hash, now) and not self.swaps.is_full:
                self.swaps.read(claim.info_hash)

    # -- what others do not finish

    def _take_back(self, now: float) -> None:
        gone = frozenset(self.groups.gone())
        for revision, claim in self.table.in_state("assigned", OFFERS_MAX):
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

    def release(self, info_hash: str, done: Callable[[Answer], None], now: float) -> None:
        """Take back a granted or finished claim; `done` gets the answer when it is written."""
        found = self.table.get(info_hash)
        if found is None:
            done(wrong(f"the fleet has no claim on {info_hash}"))
            return
        released = claims.release(found[1])
        if released is None:
            text = f"the claim is {found[1].state}: only granted, done and failed ones are released"
            done(Answer(ok=False, text=text))
            return
        if not self.swaps.is_free(info_hash, now):
            done(Answer(ok=False, text="the claim is being changed: try again"))
            return
        owner = found[1].owner
        outcome = f"{printable(found[1].facts.name)} was released from {owner or 'the fleet'}"
        text = (
            f"{outcome} and is offered again" if released.state == "offered" else f"{outcome}: it can be dropped again"
        )

        def written(result: Any, error: BaseException | None) -> None:
            if error is None:
                self.table.apply([(int(result), released, claims.encode_claim(released))])
                done(Answer(ok=True, text=text))
            else:
                self.swaps.read(info_hash)
                unknown = f"it is not known whether it was written: {error or 'no answer'}"
                done(Answer(ok=False, text=unknown))

        self.swaps.run(info_hash, self.link.swap(info_hash, claims.encode_claim(released), found[0]), written)
