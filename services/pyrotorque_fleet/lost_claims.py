"""Creates the claims of this group again after their bucket was lost: its file is the truth, the bucket an index."""

import logging
from dataclasses import dataclass
from typing import Final

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
        """Create the claims that this group has, which is the truth; the others are created by theirs."""
        lost = self.table.lost(_CLAIMS_MAX)
        if not lost:
            return
        finished: list[str] = []
        for claim in lost:
            known = self.table.get(claim.info_hash)
            is_ours = claim.owner == self.group and claim.state in ("granted", "done")
            if known is not None:
                finished.append(claim.info_hash)
                if is_ours and known[1].owner != self.group:
                    self._report_conflict(claim, known[1])
            elif is_ours:
                if not self.swaps.is_full and self.swaps.is_free(claim.info_hash, now):
                    self.swaps.swap(claim, 0)
            elif may_bid and claim.state not in ("offered", "assigned"):
                finished.append(claim.info_hash)
        waits = [claim for claim in lost if claim.state in ("offered", "assigned")]
        if len(waits) > _CLAIMS_MAX // 2 and may_bid:
            finished += [claim.info_hash for claim in waits[: _CLAIMS_MAX // 4]]
        if finished:
            self.table.forget_lost(finished)

    def _report_conflict(self, mine: Claim, other: Claim) -> None:
        text = (
            f"{printable(mine.facts.name)} ({mine.info_hash}) is in this group, and {other.owner or other.sender} has "
            "its claim: erase the item in one of them"
        )
        log.error("%s", text)
        logs.owner_event("fleet conflict", text)
