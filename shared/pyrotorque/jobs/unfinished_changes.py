"""Whether another job has begun to move or remove the data of an item: it finishes first, also after a kill.

Each job records what it begins, and looks for the records of the others afterwards: so at least one of two sees it.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pyrotorque.housekeeping import FOLDER
from pyrotorque.housekeeping.journal import FOLDER as REMOVALS
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.jobs.move_journal import MoveJournal
from pyrotorque.text import printable


@dataclass(frozen=True)
class UnfinishedChanges:
    """What other jobs than the mover of `state_dir`, its private folder, have begun and not ended."""

    state_dir: Path

    def refusal(self, info_hash: str) -> str:
        """Which job must finish before the data of the item is moved; empty if none must."""
        removal = self.state_dir.parents[1] / FOLDER / REMOVALS / f"{info_hash}.json"
        if removal.exists():
            return (
                "a clean-up has begun to remove it: the next run of that job finishes the removal, or puts the item "
                f"back (its journal is {printable(str(removal))})"
            )
        for folder in sorted(self.state_dir.parent.glob("*")):
            if folder != self.state_dir and _has_begun(MoveJournal(folder), info_hash):
                return (
                    f"job.{printable(unquote(folder.name))} has begun to move it: a run of that job finishes it first"
                )
        return ""


def _has_begun(journal: MoveJournal, info_hash: str) -> bool:
    """Whether the item was, or is about to be closed for a move."""
    if not journal.has(info_hash):
        return False
    try:
        return journal.read(info_hash).is_begun
    except MoveRefused:  # a file of another kind of job
        return False
