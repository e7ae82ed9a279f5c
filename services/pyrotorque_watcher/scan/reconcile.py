"""Compares a file that was found with the ledger: `decide` is pure, `Reconciler` records the decision."""

import logging
from dataclasses import dataclass, field
from enum import Enum

from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.rows import PENDING, FoundFile, KnownFile, Sighting
from pyrotorque_watcher.scan.content import hash_in
from pyrotorque_watcher.scan.files import look
from pyrotorque_watcher.scan.open_file import FileReader, Writers

log = logging.getLogger(__name__)


class Verdict(Enum):
    KEEP = "nothing new"
    BACK = "a known file is back where it was"
    LOAD = "a file to load"
    BASELINE = "it is older than the watch of its root"
    MOVED = "a known file has another path"
    LINKED = "another name of a known file that is still there"
    CHANGED = "a known file whose attributes changed: its content decides"
    SAME = "a known file on another mount, or with changed attributes"


@dataclass(frozen=True, slots=True)
class FileDecision:
    verdict: Verdict
    origin: bytes = b""
    """For MOVED and LINKED: the path of the file in the ledger."""


class FileEvent(Enum):
    """What the kernel reported about this very file since the last look at it."""

    NONE = "nothing: a walk found it, or its attributes changed"
    WRITTEN = "its writer closed it"
    RENAMED = "it was renamed within the watched folders"
    ARRIVED = "it was moved in from elsewhere, or linked"


@dataclass(frozen=True, slots=True)
class Situation:
    """How a file was found: `baseline_before` is set (ns) while a root is listed for the first time; `arrived` means
    that an event reported it or its folder, so that it is new here even if its ctime is old."""

    baseline_before: int | None = None
    arrived: bool = False
    event: FileEvent = FileEvent.NONE

    @property
    def is_new(self) -> bool:
        """Whether the event makes a file new: it is loaded again, unless rTorrent still has its item."""
        return self.event in (FileEvent.WRITTEN, FileEvent.ARRIVED)


def decide(
    found: FoundFile, known: KnownFile | None, same: KnownFile | None, same_is_there: bool, situation: Situation
) -> FileDecision:
    """What `found` is. `known` is the ledger's row for its path, `same` one for the same file under another path,
    `same_is_there` whether that other path still holds it."""
    if known is not None and known.version == found.version:
        return FileDecision(unchanged(found, known, situation))
    if situation.is_new:
        return FileDecision(Verdict.LOAD)
    if same is not None and not same_is_there:
        return FileDecision(Verdict.MOVED, same.path)
    if same is not None and same.inode == found.inode and same.device == found.device and found.links > 1:
        return FileDecision(Verdict.LINKED, same.path)
    before = situation.baseline_before
    if known is None and before is not None and found.ctime_ns < before and not situation.arrived:
        return FileDecision(Verdict.BASELINE)
    return FileDecision(Verdict.LOAD)


def unchanged(found: FoundFile, known: KnownFile, situation: Situation) -> Verdict:
    """What a file at a known path is; LOAD if it is not the one that the ledger has there.

    Size and time of the last write are the same, which others can set: so an event that it was written or moved in
    counts. Without one, a changed ctime requires a look at the content. Device and inode change with mounts.
    """
    if known.version != found.version:
        return Verdict.LOAD
    is_same = found.is_same_state(known)
    if known.state in PENDING:
        return Verdict.LOAD if situation.is_new and known.state == "seen" and not is_same else _present(known)
    if situation.event is FileEvent.ARRIVED or (situation.is_new and not is_same):
        return Verdict.LOAD
    if known.gone and situation.arrived:
        return Verdict.LOAD  # its folder was moved away and in again
    if known.state == "baseline":
        # Its tree was moved in while the root was listed for the first time.
        is_late = situation.arrived and situation.baseline_before is not None
        return Verdict.LOAD if is_late else _present(known)
    if found.ctime_ns != known.ctime_ns:
        # Version 1.0.0 recorded a file that could not be read as failed: it is readable now.
        return Verdict.LOAD if known.kind == "io" and known.state == "failed" else Verdict.CHANGED
    return Verdict.SAME if found.device != known.device else _present(known)


def _present(known: KnownFile) -> Verdict:
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
        same = None if is_known or situation.is_new else self.ledger.same_file(self.job, found)
        same_is_there = same is not None and _is_there(same)
        if same is not None and not same_is_there and not self._is_same_torrent(found, same):
            same = None
        decision = decide(found, known, same, same_is_there, situation)
        if decision.verdict is Verdict.CHANGED and known is not None:
            decision = FileDecision(self._by_content(found, known))
        self._record(root, found, decision, now, closed)
        return decision.verdict

    def _by_content(self, found: FoundFile, known: KnownFile) -> Verdict:
        """What a known file is whose size and time of the last write are the same, but not its ctime."""
        try:
            file = self.reader.read(found.path)
        except OSError:
            return Verdict.KEEP  # the next walk reads it
        if file is None or file.writers is Writers.OPEN or file.changed:
            return Verdict.KEEP  # an event or the next walk reports it
        info_hash = hash_in(file)
        is_other_name = known.state == "duplicate" and not known.info_hash
        return Verdict.SAME if info_hash in ("", known.info_hash) or is_other_name else Verdict.LOAD

    def _is_same_torrent(self, found: FoundFile, same: KnownFile) -> bool:
        """Sizes, times and the inodes of deleted files are used again: a loaded metafile is recognized by its hash."""
        try:
            if not same.info_hash:
                return True
            file = self.reader.read(found.path)
            return file is not None and hash_in(file) == same.info_hash
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
            case Verdict.SAME:
                self.ledger.update_identity(self.job, found)
            case Verdict.KEEP | Verdict.CHANGED:
                pass


def _is_there(same: KnownFile) -> bool:
    there = look(same.path)
    if there is None or there.version != same.version:
        return False
    return there.inode == same.inode or there.device != same.device  # inodes change with the mount
