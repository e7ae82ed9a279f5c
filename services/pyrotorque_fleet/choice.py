"""Which group takes an offered metafile: the order of the groups by their facts, and how long each waits for its turn.

Each group computes the order by itself, from the same facts and claims, and bids when its turn has come. Nothing rests
on that they agree: the first compare-and-set decides.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pyrotorque_fleet.claims import Claim, is_missing
from pyrotorque_fleet.messages import GroupFacts

if TYPE_CHECKING:
    from pyrotorque.conditions import Condition, SortOrder

_WAIT_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class CandidateGroup:
    """A group that may take metafiles, with its open claims."""

    facts: GroupFacts
    open_claims: int

    def values(self) -> dict[str, Any]:
        """By the names in GROUP_FIELDS."""
        facts = self.facts
        room = min(facts.rooms, key=lambda each: each.free, default=None)
        downloading = facts.downloading or 0
        return {
            "group": facts.name,
            "free": room.free if room else 0,
            "free_share": 100 * room.free / room.size if room and room.size else 0.0,
            "slots": facts.slots or 0,
            # Without a queue the one with the fewest is first.
            "free_slots": (facts.slots or 0) - downloading - self.open_claims,
            "downloading": downloading,
            "items": facts.items or 0,
            "open_claims": self.open_claims,
            "down_rate": facts.down_rate or 0,
            "up_rate": facts.up_rate or 0,
        }


@dataclass(frozen=True, slots=True)
class PlacementRules:
    """What this group takes, and in which order groups are preferred."""

    group: str
    accepts: "Condition | None"
    prefer: "SortOrder"
    turn: float
    pending_max: int

    def refusal(self, claim: Claim, own: CandidateGroup, now: float) -> str:
        """Why this group does not take it; empty if it does."""
        if reason := unfit(claim, own, self.pending_max):
            return reason
        room = min((each.free for each in own.facts.rooms), default=None)
        if room is not None and room < claim.facts.size:
            return "its disk has no room for it"
        return self.unwanted(claim, own, now)

    def unwanted(self, claim: Claim, own: CandidateGroup, now: float) -> str:
        """Why this group never takes such a metafile, also if another group assigned it; empty if it does."""
        if claim.job not in own.facts.jobs:
            return _no_job(claim)
        if self.accepts is not None and not self.accepts.matches(_item(claim, own), now):
            return f"fleet.accepts does not match: {self.accepts}"
        return ""

    def order(self, claim: Claim, candidates: Sequence[CandidateGroup]) -> list[str]:
        """The groups that may take it, the first one first: those with a sibling, then as preferred, then by a number
        that differs for each metafile."""
        fit = [each for each in candidates if not unfit(claim, each, self.pending_max)]
        key = partial(_spread, claim.info_hash)
        values = sorted((each.values() for each in fit), key=lambda each: key(str(each["group"])))
        ordered = [str(each["group"]) for each in self.prefer.sorted(values)]
        return sorted(ordered, key=lambda name: name not in claim.siblings)

    @property
    def wait_max(self) -> float:
        """After so many seconds the turn of each group has come, also by a clock that is a little late."""
        return _WAIT_MAX + 2.0

    def wait(self, place: int) -> float:
        """How long the group at `place` waits for those before it."""
        return min(_WAIT_MAX, place * self.turn)


def unfit(claim: Claim, candidate: CandidateGroup, pending_max: int) -> str:
    """Why a group cannot take it, as far as each group can see that; empty if it can."""
    facts = candidate.facts
    if is_missing(claim):
        return f"{claim.reason} any more: {claim.sender} stores it again, or drop the metafile in another group"
    if claim.job not in facts.jobs:
        return _no_job(claim)
    if facts.name in claim.tried:
        return f"it could not load it before: {claim.reason}"
    if facts.items is None:
        return "its rTorrent does not answer"
    if candidate.open_claims >= pending_max:
        return f"it has {candidate.open_claims} open claims (fleet.pending_max)"
    return ""


def _no_job(claim: Claim) -> str:
    return f"it has no active job {claim.job} with place = fleet"


def _item(claim: Claim, own: CandidateGroup) -> dict[str, Any]:
    facts = claim.facts
    return own.values() | {
        "name": facts.name,
        "size": facts.size,
        "files": facts.files,
        "tracker": facts.tracker,
        "is_private": facts.private,
        "job": claim.job,
        "folder": claim.folder,
        "sender": claim.sender,
    }


def _spread(info_hash: str, group: str) -> int:
    return zlib.crc32(f"{info_hash} {group}".encode())


@dataclass
class OfferTurns:
    """Since when (CLOCK_MONOTONIC) each offer is seen as it is; `revision` changes with each write."""

    _seen: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])

    def waited(self, info_hash: str, revision: int, now: float) -> float:
        """Seconds since this revision was seen first."""
        if self._seen.get(info_hash, (0, 0.0))[0] != revision:
            self._seen[info_hash] = (revision, now)
        return now - self._seen[info_hash][1]

    def keep(self, hashes: Iterable[str]) -> None:
        """Forget all others."""
        kept = set(hashes)
        self._seen = {info_hash: seen for info_hash, seen in self._seen.items() if info_hash in kept}


def bids(
    rules: PlacementRules, offers: Iterable[tuple[Claim, float]], candidates: Sequence[CandidateGroup], now: float
) -> list[Claim]:
    """The offers that this group bids for now, of those with the seconds that they have waited, the oldest first.

    What comes first for a group counts as its open claim for the next, so that a burst is spread at once.
    """
    by_name = {each.facts.name: each for each in candidates}
    found: list[Claim] = []
    for claim, waited in offers:
        order = rules.order(claim, list(by_name.values()))
        if not order:
            continue
        if rules.group in order and waited >= rules.wait(order.index(rules.group)):
            own = by_name[rules.group]
            if not rules.refusal(claim, own, now):
                found.append(claim)
                by_name[rules.group] = CandidateGroup(own.facts, own.open_claims + 1)
                continue
        first = by_name[order[0]]
        if order[0] != rules.group:
            by_name[order[0]] = CandidateGroup(first.facts, first.open_claims + 1)
    return found
