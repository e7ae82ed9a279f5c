"""Plans a run: which items go, in which order, what that frees, and why the others stay. Preview and run share it."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    def shortage(self) -> str:
        """How much less than needed becomes free, and why; empty if it is enough."""
        return f"{size(self.missing)} less than needed can be freed: {self.why_short}" if self.missing else ""

    @property
    def why_short(self) -> str:
        """Why not enough can be freed."""
        is_capped = any(kept.reason == "cap" for kept in self.kept.values())
        return "the limits of 24 hours keep the rest" if is_capped else "nothing else may be removed"

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
    groups = _groups(candidates, claims, rules, kept)
    # What waits for an approval is all of it, whatever may go in one day.
    found = _chosen(groups, claims, replace(rules, caps=replace(rules.caps, max_items=0, max_bytes=0, per_tracker=0)))
    held = _held(found.removals, rules)
    if not held and _exceeds_limits(found.removals, rules):
        found = _chosen(groups, claims, rules)
        held = _held(found.removals, rules)  # several small items may go in place of one that a limit keeps
    return replace(found, kept={**kept, **found.kept}, held=held)


def _exceeds_limits(chosen: Sequence[PlannedRemoval], rules: PlanRules) -> bool:
    """Whether not all of them may go in one day."""
    return bool(_Allowance(rules).refusal([each.candidate for each in chosen], sum(each.size for each in chosen)))


def _chosen(groups: Sequence[Sequence[RemovalCandidate]], claims: Claims, rules: PlanRules) -> Plan:
    """The groups that go, each as a whole, within the limits of a day, until enough is free."""
    kept: dict[str, Kept] = {}
    chosen: list[PlannedRemoval] = []
    gone: set[str] = set()
    space, allowance = FreedSpace(claims), _Allowance(rules)
    missing = rules.goal.needed if rules.goal else 0
    for group in groups:
        taken = space.would_free([each.info_hash for each in group]) if rules.data != "keep" else 0
        frees = taken if rules.data == "delete" else 0
        if rules.goal and missing <= 0:
            _keep(kept, group, Kept("space", "not needed: enough space is free"))
            continue
        if rules.goal and not frees:
            _keep(kept, group, Kept("space", "removing it frees nothing"))
            continue
        if reason := allowance.refusal(group, taken):
            _keep(kept, group, Kept("cap", reason))
            continue
        missing -= frees
        allowance.spend(group, taken)
        chosen += _removals(group, claims, rules, space, gone)
    return Plan(tuple(chosen), kept, "", max(0, missing))


def _removals(
    group: Sequence[RemovalCandidate], claims: Claims, rules: PlanRules, space: FreedSpace, gone: set[str]
) -> Iterator[PlannedRemoval]:
    for each in group:
        gone.add(each.info_hash)
        if rules.data == "keep":
            yield PlannedRemoval(each, 0, disposal=rules.disposal)
            continue
        taken = space.add(each.info_hash)
        stays = claims.shared_files(each.info_hash, gone)
        frees = taken if rules.data == "delete" else 0
        yield PlannedRemoval(each, frees, taken, stays, claims.files[each.info_hash], rules.disposal)


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


class _Allowance:
    """What may still go within 24 hours. Items that go together go within it, or stay together."""

    def __init__(self, rules: PlanRules) -> None:
        self._caps = rules.caps
        self._items, self._bytes = len(rules.spent), sum(each.size for each in rules.spent)
        self._by_tracker = Counter(each.tracker for each in rules.spent)

    def refusal(self, group: Sequence[RemovalCandidate], taken: int) -> str:
        """Which limit the group, with its bytes, exceeds; empty if it exceeds none."""
        caps, together = self._caps, f" ({len(group)} items go together)" if len(group) > 1 else ""
        if caps.max_items and self._items + len(group) > caps.max_items:
            return f"max_items: {caps.max_items} in 24 hours{together}"
        if caps.max_bytes and taken and self._bytes + taken > caps.max_bytes:
            return f"max_bytes: {size(caps.max_bytes)} in 24 hours{together}"
        wanted = Counter(each.tracker for each in group)
        if caps.per_tracker and any(self._by_tracker[name] + wanted[name] > caps.per_tracker for name in wanted):
            return f"per_tracker: {caps.per_tracker} in 24 hours{together}"
        return ""

    def spend(self, group: Sequence[RemovalCandidate], taken: int) -> None:
        self._items, self._bytes = self._items + len(group), self._bytes + taken
        self._by_tracker.update(each.tracker for each in group)
