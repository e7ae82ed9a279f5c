"""Decides what a file that was found means, by what the ledger knows; pure, so that a case is a line of a test."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from pyrotorque_watcher.scan.files import Found

State = Literal["seen", "sent", "visible", "loaded", "duplicate", "failed", "baseline"]

PENDING: Final[tuple[State, ...]] = ("seen", "sent", "visible")


@dataclass(frozen=True, slots=True)
class Known:
    """What reconciling needs of a row of the ledger."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int
    state: State
    kind: str = ""
    gone: bool = False
    info_hash: str = ""

    @property
    def identity(self) -> tuple[int, int]:
        return self.size, self.mtime_ns


class Verdict(Enum):
    KEEP = "nothing new"
    BACK = "a known file is back where it was"
    LOAD = "a file to load"
    BASELINE = "it was here before us"
    MOVED = "a known file has another path"
    LINKED = "another name of a known file that is still there"


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    origin: bytes = b""
    """For MOVED and LINKED: the path under which the ledger knows the file."""


@dataclass(frozen=True, slots=True)
class Situation:
    """How a file was found: `baseline_before` is set (ns) while a root is listed for the first time; `arrived` says
    that an event brought it (itself, or its folder), so that its ctime may be old and still it is new here."""

    baseline_before: int | None = None
    arrived: bool = False


def decide(
    found: Found, known: Known | None, same: Known | None, same_is_there: bool, situation: Situation
) -> Decision:
    """What `found` means. `known` is the ledger's row for its path, `same` one for the same file under another path,
    `same_is_there` whether that other path still holds it."""
    if known is not None and known.identity == found.identity:
        return Decision(unchanged(found, known, situation))
    if same is not None and not same_is_there:
        return Decision(Verdict.MOVED, same.path)
    if same is not None and same.inode == found.inode and same.device == found.device and found.links > 1:
        return Decision(Verdict.LINKED, same.path)
    before = situation.baseline_before
    if known is None and before is not None and found.ctime_ns < before and not situation.arrived:
        return Decision(Verdict.BASELINE)
    return Decision(Verdict.LOAD)


def unchanged(found: Found, known: Known, situation: Situation) -> Verdict:
    """What the file at a known path means; LOAD when it is not the one that is known there."""
    if known.identity != found.identity:
        return Verdict.LOAD
    if known.state == "failed" and known.kind == "io" and known.ctime_ns != found.ctime_ns:
        return Verdict.LOAD  # made readable
    if known.state == "baseline" and situation.arrived and situation.baseline_before is not None:
        return Verdict.LOAD  # a tree moved in while its root was listed for the first time
    return Verdict.BACK if known.gone else Verdict.KEEP
