"""Records what a look at a file means, once for all ways in which files are found: events, listings, polling."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger, Seen
from pyrotorque_watcher.scan.content import first_hash
from pyrotorque_watcher.scan.files import Found, look
from pyrotorque_watcher.scan.reconcile import Decision, Known, Situation, Verdict, decide

log = logging.getLogger(__name__)

# A file that a listing found, not an event of its writer's close, counts as closed when it was quiet for so long.
QUIET = 2.0


@dataclass
class Sightings:
    """The eyes of one job: `note` may be called for the same file any number of times."""

    job: str
    ledger: Ledger
    look: Callable[[bytes], Found | None] = look
    verdicts: Counter[Verdict] = field(default_factory=Counter[Verdict])

    def note(
        self, root: bytes, found: Found, known: Known | None, situation: Situation, now: float, closed: float | None
    ) -> Verdict:
        """Decide about `found`, whose row is `known`; `closed` is when an event told that its writer has closed it."""
        same = (
            None if known is not None and known.identity == found.identity else self.ledger.same_file(self.job, found)
        )
        same_is_there = same is not None and self._is_there(same)
        if same is not None and not same_is_there and not self._is_same_torrent(found, same):
            same = None
        decision = decide(found, known, same, same_is_there, situation)
        if decision.verdict is not Verdict.KEEP:
            self._record(root, found, decision, now, closed)
        self.verdicts[decision.verdict] += 1
        return decision.verdict

    def _is_there(self, same: Known) -> bool:
        there = self.look(same.path)
        return there is not None and there.identity == same.identity and there.inode == same.inode

    def _is_same_torrent(self, found: Found, same: Known) -> bool:
        """Sizes, times and the inodes of deleted files are given out again: what was loaded is known by its hash."""
        return not same.info_hash or first_hash(found.path) == same.info_hash

    def _record(self, root: bytes, found: Found, decision: Decision, now: float, closed: float | None) -> None:
        match decision.verdict:
            case Verdict.LOAD:
                written = found.ctime_ns / 1e9
                settled = closed is not None or now - written >= QUIET
                seen = Seen(written if closed is None else closed, settled)
                self.ledger.see(self.job, root, found, now, seen)
            case Verdict.BASELINE:
                reason = "it was here before pyrotorque watched this folder"
                self.ledger.see(self.job, root, found, now, Seen(found.ctime_ns / 1e9, state="baseline", reason=reason))
            case Verdict.MOVED:
                log.info("%s: %s is now %s", self.job, printable(decision.origin), printable(found.path))
                self.ledger.move(self.job, decision.origin, root, found)
            case Verdict.LINKED:
                reason = f"another name of {printable(decision.origin)}"
                self.ledger.see(self.job, root, found, now, Seen(now, state="duplicate", reason=reason))
            case Verdict.BACK:
                self.ledger.back(self.job, found.path)
            case Verdict.KEEP:
                pass
