"""Finds unfinished moves of jobs that no longer run: a job that was renamed, removed or switched off in between."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.jobs.move_journal import MoveJournal
from pyrotorque.text import counted, printable

_SHOWN: Final = 3


def left_moves(state_dir: Path, active: Collection[str]) -> Iterator[str]:
    """One sentence for each job with unfinished moves whose name is not in `active`."""
    for folder in sorted(state_dir.glob("jobs/*")):
        job = unquote(folder.name)
        if job in active or not (names := list(_moved_items(folder))):
            continue
        shown = ", ".join(names[:_SHOWN]) + ", …" * (len(names) > _SHOWN)
        yield printable(
            f"job.{job} is not active, and has {counted(len(names), 'unfinished move')} ({shown}): their items may be "
            "stopped, with their data at the new place; give the mover this name again until they are finished"
        )


def _moved_items(folder: Path) -> Iterator[str]:
    journal = MoveJournal(folder)
    for info_hash in journal.hashes():
        try:
            yield journal.read(info_hash).name
        except MoveRefused:  # a file of another kind of job
            continue
