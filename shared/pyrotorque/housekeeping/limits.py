"""Decides whether an item may be removed: all minima, whatever made it a candidate. What is unknown keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pyrotorque.humanize import duration

Reason: TypeAlias = Literal[
    "protected", "never", "unknown", "checking", "moving", "ratio", "seedtime", "seeds", "idle", "fresh", "tracker",
    "magnet", "names", "outside", "missing", "changed", "special", "shared", "linked", "cap", "space",
    "failed",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """Why an item, or a file of it, stays."""

    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class RemovalLimits:
    """The minima of an item. With `satisfied = any`, ratio or seed time is enough; 0 is no minimum."""

    min_ratio: float = 1.0
    min_seedtime: float = 7 * 86_400.0
    min_seeds: int = 0
    min_idle: float = 0.0
    satisfied: Literal["all", "any"] = "all"
    never: bool = False
    rule: str = ""
    """The number of the rule that they are from; empty for those of the job."""


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What is known of an item; None if it is not known."""

    ratio: float | None
    seedtime: float | None
    seeds: int | None
    idle: float | None
    unknown: tuple[str, ...] = ()
    """The fields of conditions whose values are not known."""
    protected: bool = False
    hashing: bool = False
    moving: bool = False
    matched_for: float | None = None
    """Seconds for which the condition has held; None before the second run."""
    tracker_problem: str = ""
    failed: str = ""
    """Why its removal failed, while the next try waits."""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])


def reason_to_keep(facts: ItemFacts, limits: RemovalLimits, matched_for: float) -> Kept | None:
    """The first reason why the item stays; None if it may go."""
    if facts.protected:
        return Kept("protected", "protected")
    if limits.never:
        return Kept("never", f"rule {limits.rule}: never")
    if facts.unknown:
        return Kept("unknown", f"{facts.unknown[0]} not known")
    if facts.hashing:
        return Kept("checking", "its data is being checked")
    if facts.moving:
        return Kept("moving", "it is being moved")
    if found := _minima(facts, limits):
        return found
    if facts.failed:
        return Kept("failed", facts.failed)
    if facts.tracker_problem:
        return Kept("tracker", facts.tracker_problem)
    if matched_for and (facts.matched_for is None or facts.matched_for < matched_for):
        return Kept("fresh", f"matched for {duration(facts.matched_for or 0)} of {duration(matched_for)}")
    return None


def _minima(facts: ItemFacts, limits: RemovalLimits) -> Kept | None:
    ratio = _below("ratio", facts.ratio, limits.min_ratio, "{:.2f}")
    seedtime = _below("seedtime", facts.seedtime, limits.min_seedtime, "")
    if limits.satisfied == "any" and limits.min_ratio and limits.min_seedtime:
        first = ratio if ratio and seedtime else None
    else:
        first = ratio or seedtime
    return (
        first
        or _below("seeds", facts.seeds, limits.min_seeds, "{:.0f}")
        or _below("idle", facts.idle, limits.min_idle, "")
    )


def _below(
    what: Literal["ratio", "seedtime", "seeds", "idle"], value: float | None, least: float, form: str
) -> Kept | None:
    if not least:
        return None
    if value is None or value != value:
        return Kept(what, f"{what} not known, {form.format(least) if form else duration(least)} needed")
    if value >= least:
        return None
    shown, needed = (form.format(value), form.format(least)) if form else (duration(value), duration(least))
    return Kept(what, f"{what} {shown} of {needed}")
