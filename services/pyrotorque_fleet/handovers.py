"""What a group does next about a claim: a pure function of the claim, its own record of it, and its watcher's ledger.

The record is written before each effect, so every step may be repeated after a kill. An item is loaded held, and
released only while the stored claim is granted to this group for the assignment that it was loaded for.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

from pyrotorque_fleet.claims import Claim, may_start

Stage: TypeAlias = Literal["taken", "handed", "released"]
"""taken: assigned to this group; handed: the metafile is in the inbox; released: the watcher has the permission."""

Load: TypeAlias = Literal["none", "pending", "held", "open", "foreign", "failed", "bad"]
"""What the watcher's ledger has of a metafile in the inbox. none: nothing; pending: it is being loaded; held: its item
waits for the permission; open: it has the permission, and the item its priority; foreign: rTorrent had the item before;
failed: it cannot be loaded here; bad: it cannot be loaded anywhere."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """This group's record of an assignment."""

    info_hash: str
    generation: int
    stage: Stage


class HandOverStep(Enum):
    """The next thing to do."""

    NOTHING = "nothing"
    RECORD = "record the assignment"
    FETCH = "fetch the metafile, and put it into the inbox"
    GRANT = "ask for the permission"
    RELEASE = "give the permission to the watcher"
    REPORT = "report that it is done"
    REPORT_FOREIGN = "report that the item was there before"
    GIVE_BACK = "report that it cannot be loaded here"
    GIVE_UP = "report that it cannot be loaded anywhere"
    DISCARD = "erase what is held, and forget the assignment"
    FORGET = "forget the assignment"
    CONFLICT = "report that another group was given an item which this group may have started"


def next_step(
    claim: Claim | None, mine: HandOver | None, load: Load, group: str, *, fence: bool = True
) -> HandOverStep:
    """`claim` is what is stored, None if there is none; `fence` is off in tests only."""
    if claim is None:
        return HandOverStep.NOTHING  # a bucket that was lost is built again from `mine`
    is_ours = claim.owner == group and claim.state in ("assigned", "granted", "done")
    if mine is None:
        return HandOverStep.RECORD if is_ours and claim.state in ("assigned", "granted") else HandOverStep.NOTHING
    if claim.generation < mine.generation:
        return HandOverStep.NOTHING  # an old value: a read proves nothing
    if not is_ours or claim.generation != mine.generation:
        return _lost(mine, load)
    if claim.state == "assigned":
        return _assigned(mine, load, fence=fence)
    return _granted(claim, mine, load, group)


def _assigned(mine: HandOver, load: Load, *, fence: bool) -> HandOverStep:
    match load:
        case "none":
            return HandOverStep.FETCH
        case "pending":
            return HandOverStep.NOTHING
        case "held":
            return HandOverStep.GRANT if fence or mine.stage == "released" else HandOverStep.RELEASE
        case "foreign":
            return HandOverStep.REPORT_FOREIGN
        case "failed":
            return HandOverStep.GIVE_BACK
        case "bad":
            return HandOverStep.GIVE_UP
        case "open":
            return HandOverStep.GRANT  # only without the fence


def _granted(claim: Claim, mine: HandOver, load: Load, group: str) -> HandOverStep:
    if mine.stage == "released" and load in ("open", "foreign"):
        return HandOverStep.REPORT if claim.state == "granted" else HandOverStep.FORGET
    match load:
        case "none":
            # Its ledger was lost, or the item was erased by its owner after it was released.
            if mine.stage == "released":
                return HandOverStep.REPORT if claim.state == "granted" else HandOverStep.FORGET
            return HandOverStep.FETCH
        case "held" | "open":
            return HandOverStep.RELEASE if may_start(claim, group, mine.generation) else HandOverStep.NOTHING
        case "foreign":
            return HandOverStep.REPORT if claim.state == "granted" else HandOverStep.FORGET
        case "pending" | "failed" | "bad":
            return HandOverStep.NOTHING


def _lost(mine: HandOver, load: Load) -> HandOverStep:
    """Another group has it, or none: what was not released never ran, and has no data."""
    if mine.stage == "released":
        return HandOverStep.CONFLICT
    return HandOverStep.FORGET if load in ("open", "foreign") else HandOverStep.DISCARD
