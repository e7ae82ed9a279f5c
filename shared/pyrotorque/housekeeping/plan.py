"""Plans a run: which items go, in which order, what that frees, and why the others stay. Preview and run share it."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from pyrotorque.housekeeping.claims import Claims, FreedSpace
from pyrotorque.housekeeping.item_files import OwnedFile
from pyrotorque.housekeeping.limits import Kept
from pyrotorque.humanize import size
from pyrotorque.text import counted

DataChoice: TypeAlias = Literal["keep", "quarantine", "delete"]
SharedChoice: TypeAlias = Literal["skip", "keep", "together"]

DAY: Final = 86_400.0
_FLOOR: Final = 5


@dataclass(frozen=True, slots=True)
class RemovalCandidate:
    """An item that may go as far as its own facts say; in the order in which items go."""

    info_hash: str
    name: str
    tracker: str = ""
    text: str = ""
    """The facts to show, such as `ratio 2.1, seeded 31 d`."""


@dataclass(frozen=True, slots=True)
class PlannedRemoval:
    """An item that goes; `frees` are the bytes that its removal adds to the free ones."""

    candidate: RemovalCandidate
    frees: int
    size: int = 0
    """The same if its data is deleted, whatever is done with it: it counts for `max_bytes`."""
    kept_files: Mapping[bytes, frozenset[str]] = field(default_factory=dict[bytes, frozenset[str]])
    """Files that stay because other items have them, and which items."""
    files: Sequence[OwnedFile] = ()
    disposal: str = ""
    """What decides about the data besides the files: the settings `data`, `quarantine`, `keep_for`."""

    @property
    def effect(self) -> str:
        """Identifies what the removal does, to which files. An approval is for this only."""
        parts = [self.candidate.info_hash, self.disposal]
        parts += [
            f"{each.path.hex()}:{each.found.inode.device}:{each.found.inode.number}"
            for each in self.files
            if each.found is not None and each.path not in self.kept_files
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SpentRemoval:
    """An earlier removal that counts for the limits of a day."""

    at: float
    info_hash: str
    tracker: str
    size: int


@dataclass(frozen=True, slots=True)
class Caps:
    """RemovalLimits for 24 hours; 0: no limit. `max_percent` of all items may be chosen at once without approval."""

    max_items: int = 10
    max_bytes: int = 500 << 30
    per_tracker: int = 5
    max_percent: float = 5.0


@dataclass(frozen=True, slots=True)
class SpaceGoal:
    """Bytes to free; what frees nothing is not removed for space."""

    needed: int


@dataclass(frozen=True)
class Plan:
    """`held` says why nothing is done until the plan is approved; empty if it may be carried out."""

    removals: tuple[PlannedRemoval, ...] = ()
    kept: Mapping[str, Kept] = field(default_factory=dict[str, Kept])
    held: str = ""
    missing: int = 0
    """Bytes that cannot be freed although they are needed."""

    @property
    def frees(self) -> int:
        return sum(removal.frees for removal in self.removals)

    @property
    def held_back(self) -> str:
        """Which fact about all items keeps data that could go otherwise; empty if there is none."""
        return next((kept.text for kept in self.kept.values() if kept.reason == "magnet"), "")

    @property
    def id(self) -> str:
        """Identifies the effects of the plan, whatever their order."""
        effects = sorted(removal.effect for removal in self.removals)
        return hashlib.sha256("".join(effects).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class PlanRules:
    """How a job removes: what happens to data, to shared files, the limits, and the plan that its owner approved."""

    data: DataChoice = "keep"
    shared: SharedChoice = "skip"
    caps: Caps = Caps()
    spent: Sequence[SpentRemoval] = ()
    items: int = 0
    """The number of all items, for `max_percent`."""
    approved: Mapping[str, str] = field(default_factory=dict[str, str])
    """The effects that the owner approved, by info-hash."""
    disposal: str = ""
    """See `PlannedRemoval.disposal`."""
    goal: SpaceGoal | None = None


def plan(candidates: Sequence[RemovalCandidate], claims: Claims, rules: PlanRules) -> Plan:
    """Choose from the candidates, the first ones first."""
    kept: dict[str, Kept] = {}
    groups = list(_groups(candidates, claims, rules, kept))
    chosen: list[PlannedRemoval] = []
    gone: set[str] = set()
    space = FreedSpace(claims)
    missing = rules.goal.needed if rules.goal else 0
    for group in groups:
        if rules.goal:
            frees = space.would_free([each.info_hash for each in group]) if rules.data == "delete" else 0
            if missing <= 0:
                _keep(kept, group, Kept("space", "not needed: enough space is free"))
                continue
            if not frees:
                _keep(kept, group, Kept("space", "removing it frees nothing"))
                continue
            missing -= frees
        for each in group:
            gone.add(each.info_hash)
            taken = space.add(each.info_hash) if rules.data != "keep" else 0
            stays = claims.shared_files(each.info_hash, gone) if rules.data != "keep" else {}
            files = claims.files[each.info_hash] if rules.data != "keep" else ()
            frees = taken if rules.data == "delete" else 0
            chosen.append(PlannedRemoval(each, frees, taken, stays, files, rules.disposal))
    held = _held(chosen, rules)
    return Plan(tuple(chosen if held else _within_caps(chosen, rules, kept)), kept, held, max(0, missing))


def _groups(
    candidates: Sequence[RemovalCandidate], claims: Claims, rules: PlanRules, kept: dict[str, Kept]
) -> Sequence[Sequence[RemovalCandidate]]:
    """The candidates, items that share files together if that is set; those that may not go alone are `kept`."""
    by_hash = {each.info_hash: each for each in candidates}
    groups: list[Sequence[RemovalCandidate]] = []
    grouped: set[str] = set()
    for each in candidates:
        if each.info_hash in grouped:
            continue
        others = claims.sharing(each.info_hash) if rules.data != "keep" else frozenset[str]()
        if not others or rules.shared == "keep":
            groups.append([each])
            continue
        names = ", ".join(sorted(claims.contents[other].name for other in others)[:3])
        if rules.shared == "skip":
            kept[each.info_hash] = Kept("shared", f"shares files with {names}")
            continue
        members = _closure(each.info_hash, claims)
        if members <= by_hash.keys():
            grouped |= members
            groups.append([by_hash[member] for member in by_hash if member in members])
        else:
            staying = sorted(claims.contents[other].name for other in members - by_hash.keys())
            kept[each.info_hash] = Kept("shared", f"shares files with {', '.join(staying[:3])}, which stays")
    return groups


def _closure(info_hash: str, claims: Claims) -> frozenset[str]:
    found, pending = {info_hash}, [info_hash]
    while pending:
        for other in claims.sharing(pending.pop()) - found:
            found.add(other)
            pending.append(other)
    return frozenset(found)


def _keep(kept: dict[str, Kept], group: Sequence[RemovalCandidate], reason: Kept) -> None:
    kept.update((each.info_hash, reason) for each in group)


def _held(chosen: Sequence[PlannedRemoval], rules: PlanRules) -> str:
    """Why the plan needs approval; removals that were approved as they are do not count."""
    approved = rules.approved
    known = [each for each in chosen if each.candidate.info_hash in approved]
    count = len(chosen) - sum(approved[each.candidate.info_hash] == each.effect for each in known)
    most = max(_FLOOR, int(rules.items * rules.caps.max_percent / 100))
    if count <= most:
        return ""
    return f"{counted(count, 'item')} of {rules.items} would be removed, more than max_percent allows ({most})"


def _within_caps(chosen: Sequence[PlannedRemoval], rules: PlanRules, kept: dict[str, Kept]) -> list[PlannedRemoval]:
    items, used = len(rules.spent), sum(each.size for each in rules.spent)
    by_tracker = Counter(each.tracker for each in rules.spent)
    within: list[PlannedRemoval] = []
    for each in chosen:
        candidate, caps = each.candidate, rules.caps
        if caps.max_items and items >= caps.max_items:
            kept[candidate.info_hash] = Kept("cap", f"max_items: {caps.max_items} in 24 hours")
        elif caps.max_bytes and each.size and used + each.size > caps.max_bytes:
            kept[candidate.info_hash] = Kept("cap", f"max_bytes: {size(caps.max_bytes)} in 24 hours")
        elif caps.per_tracker and by_tracker[candidate.tracker] >= caps.per_tracker:
            kept[candidate.info_hash] = Kept("cap", f"per_tracker: {caps.per_tracker} in 24 hours")
        else:
            items, used = items + 1, used + each.size
            by_tracker[candidate.tracker] += 1
            within.append(each)
    return within
