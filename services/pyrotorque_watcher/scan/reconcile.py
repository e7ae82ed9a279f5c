"""Compares a file that was found with the ledger: `decide` is pure, `Reconciler` records the decision."""

import logging
from dataclasses import dataclass, field
from enum import Enum

from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.rows import FoundFile, KnownFile, Sighting
from pyrotorque_watcher.scan.content import first_hash
from pyrotorque_watcher.scan.files import look
from pyrotorque_watcher.scan.open_file import FileReader

log = logging.getLogger(__name__)


class Verdict(Enum):
    KEEP = "nothing new"
    BACK = "a known file is back where it was"
    LOAD = "a file to load"
    BASELINE = "it is older than the watch of its root"
    MOVED = "a known file has another path"
    LINKED = "another name of a known file that is still there"


@dataclass(frozen=True, slots=True)
class FileDecision:
    verdict: Verdict
    origin: bytes = b""
    """For MOVED and LINKED: the path of the file in the ledger."""


@dataclass(frozen=True, slots=True)
class Situation:
    """How a file was found: `baseline_before` is set (ns) while a root is listed for the first time; `arrived` means
    that an event reported it or its folder, so that it is new here even if its ctime is old."""

    baseline_before: int | None = None
    arrived: bool = False


def decide(
    found: FoundFile, known: KnownFile | None, same: KnownFile | None, same_is_there: bool, situation: Situation
) -> FileDecision:
    """What `found` is. `known` is the ledger's row for its path, `same` one for the same file under another path,
    `same_is_there` whether that other path still holds it."""
    if known is not None and known.version == found.version:
        return FileDecision(unchanged(found, known, situation))
    if same is not None and not same_is_there:
        return FileDecision(Verdict.MOVED, same.path)
    if same is not None and same.inode == found.inode and same.device == found.device and found.links > 1:
        return FileDecision(Verdict.LINKED, same.path)
    before = situation.baseline_before
    if known is None and before is not None and found.ctime_ns < before and not situation.arrived:
        return FileDecision(Verdict.BASELINE)
    return FileDecision(Verdict.LOAD)


def unchanged(found: FoundFile, known: KnownFile, situation: Situation) -> Verdict:
    """What a file at a known path is; LOAD if it is not the one that the ledger has there."""
    if known.version != found.version:
        return Verdict.LOAD
    if known.state == "failed" and known.kind == "io" and known.ctime_ns != found.ctime_ns:
        return Verdict.LOAD  # made readable
    if known.state == "baseline" and situation.arrived and situation.baseline_before is not None:
        return Verdict.LOAD  # its tree was moved in while the root was listed for the first time
    return Verdict.BACK if known.gone else Verdict.KEEP


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Decides and records for one job, however a file is found; a repeated call for the same file changes nothing."""

    job: str
    ledger: Ledger
    reader: FileReader = field(default_factory=FileReader)

    def reconcile(
        self,
        root: bytes,
        found: FoundFile,
        known: KnownFile | None,
        situation: Situation,
        now: float,
        closed: float | None,
    ) -> Verdict:
        """`known` is the row of the path of `found`; `closed` is when an event reported that its writer closed it."""
        is_known = known is not None and known.version == found.version
        same = None if is_known else self.ledger.same_file(self.job, found)
        same_is_there = same is not None and _is_there(same)
        if same is not None and not same_is_there and not self._is_same_torrent(found, same):
            same = None
        decision = decide(found, known, same, same_is_there, situation)
        self._record(root, found, decision, now, closed)
        return decision.verdict

    def _is_same_torrent(self, found: FoundFile, same: KnownFile) -> bool:
        """Sizes, times and the inodes of deleted files are used again: a loaded metafile is recognized by its hash."""
        try:
            return not same.info_hash or first_hash(found.path, self.reader) == same.info_hash
        except OSError:
            return False  # it is loaded if rTorrent does not have it

    def _record(self, root: bytes, found: FoundFile, decision: FileDecision, now: float, closed: float | None) -> None:
        match decision.verdict:
            case Verdict.LOAD:
                sighting = Sighting(found.ctime_ns / 1e9 if closed is None else closed, closed is not None)
                self.ledger.add(self.job, root, found, now, sighting)
            case Verdict.BASELINE:
                reason = "it was here before pyrotorque watched this folder"
                sighting = Sighting(found.ctime_ns / 1e9, state="baseline", reason=reason)
                self.ledger.add(self.job, root, found, now, sighting)
            case Verdict.MOVED:
                log.info("%s: %s is now %s", self.job, printable(decision.origin), printable(found.path))
                self.ledger.move(self.job, decision.origin, root, found)
            case Verdict.LINKED:
                reason = f"another name of {printable(decision.origin)}"
                self.ledger.add(self.job, root, found, now, Sighting(now, state="duplicate", reason=reason))
            case Verdict.BACK:
                self.ledger.mark_present(self.job, found.path)
            case Verdict.KEEP:
                pass


def _is_there(same: KnownFile) -> bool:
    there = look(same.path)
    return there is not None and there.version == same.version and there.inode == same.inode
