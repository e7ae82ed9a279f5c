"""Creates claims again that the servers lost: the files of the groups are the truth, the bucket an index.

A claim that was granted stays granted: its owner writes it again, or, after a while, any group that knows it. So no
other group is granted the item while its owner is away.
"""

import logging
from dataclasses import dataclass
from typing import Final

import msgspec

from pyrotorque import logs
from pyrotorque.text import printable
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim
from pyrotorque_fleet.swaps import ClaimSwaps

log = logging.getLogger(__name__)

_CLAIMS_MAX: Final = 256


@dataclass
class LostClaims:
    """`group` is the name of this one. `now` is CLOCK_MONOTONIC; with `may_bid` the time for the claims is over."""

    group: str
    table: ClaimTable
    swaps: ClaimSwaps

    def restore(self, now: float, *, may_bid: bool) -> None:
        """Write what this group has, and what others have once they had time for it; the rest is offered again."""
        lost = self.table.lost(_CLAIMS_MAX)
        if not lost:
            return
        finished: list[str] = []
        for claim in lost:
            found = self.table.get(claim.info_hash)
            known = None if found is None else found[1]
            is_granted = claim.state in ("granted", "done")
            if known is not None and not (is_granted and _is_earlier(known, claim)):
                finished.append(claim.info_hash)
                if is_granted and claim.owner == self.group != known.owner:
                    self._report_conflict(claim, known)
            elif is_granted:
                if claim.owner == self.group or may_bid:
                    self._write(claim, found, now)
            elif may_bid and claim.state not in ("offered", "assigned"):
                finished.append(claim.info_hash)
        waits = [claim for claim in lost if claim.state in ("offered", "assigned")]
        if len(waits) > _CLAIMS_MAX // 2 and may_bid:
            finished += [claim.info_hash for claim in waits[: _CLAIMS_MAX // 4]]
        if finished:
            self.table.forget_lost(finished)

    def _write(self, claim: Claim, found: tuple[int, Claim] | None, now: float) -> None:
        """Create it, or replace an older value that the servers have left."""
        if self.swaps.is_full or not self.swaps.is_free(claim.info_hash, now):
            return
        revision, known = found or (0, claim)
        if known.generation > claim.generation:  # an assignment since then, which ends by this
            claim = msgspec.structs.replace(claim, generation=known.generation)
            if claim.owner == self.group:
                self.table.renumber(claim.info_hash, claim.generation)
        self.swaps.swap(claim, revision)

    def _report_conflict(self, mine: Claim, other: Claim) -> None:
        text = (
            f"{printable(mine.facts.name)} ({mine.info_hash}) is in this group, and {other.owner or other.sender} has "
            "its claim: erase the item in one of them"
        )
        log.error("%s", text)
        logs.owner_event("fleet conflict", text)


def _is_earlier(known: Claim, claim: Claim) -> bool:
    """Whether the servers have left a value from before this one, which was granted or done."""
    was_granted = known.state == "granted" and claim.state == "done" and known.owner == claim.owner
    return was_granted or known.state in ("offered", "assigned")
