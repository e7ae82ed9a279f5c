"""The result of the last run of a clean-up job, for `pyrotorque status` and metrics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from pyrotorque.json_input import decode_json
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.text import encode_json

CLEANUP: Final = "pyrotorque.jobs.cleanup:Cleanup"
HANDLERS: Final = (CLEANUP, "pyrotorque.jobs.orphans:Orphans")
FILE: Final = "last-run.json"
Problem: TypeAlias = Literal["refused", "waiting", "space", "failed"]
"""Nothing may be removed; a plan waits for approval; less can be freed than needed; an item could not be removed."""
PROBLEMS: Final[tuple[Problem, ...]] = get_args(Problem)


class LastRun(msgspec.Struct, frozen=True, kw_only=True):
    """`kept` counts by reason the items that the condition chose and that stay; `missing` is in bytes."""

    at: float
    problem: Problem | None = None
    text: str = ""
    about: str = ""
    """What the problem is, without figures that change while it lasts; empty: the text says it."""
    dry_run: bool = False
    planned: int = 0
    kept: Mapping[str, int] = {}
    missing: int = 0
    used: int = 0
    max_used: int = 0
    notes: tuple[str, ...] = ()
    orphans: int = 0
    orphan_bytes: int = 0
    entries: int = 0
    """In the quarantines of this job."""
    quarantined: int = 0
    """Their bytes."""

    @property
    def subject(self) -> str:
        """A problem with the same subject is reported once."""
        return self.about or self.text


def write_last_run(folder: Path, run: LastRun) -> None:
    """Store it in the private folder of the job. Raises StateError."""
    write_atomically(folder / FILE, encode_json(run))


def read_last_run(folder: Path) -> LastRun | None:
    """The last run of the job with this folder; None before the first one."""
    try:
        return decode_json(read_regular_file(folder / FILE), type=LastRun)
    except (OSError, msgspec.DecodeError):
        return None


def has_open_problem(folder: Path, *, since: float | None = None) -> bool:
    """Whether the last run of the job with this folder had a problem: it reports each only once, and then succeeds.

    With `since`, only a run that ended after this time counts.
    """
    found = read_last_run(folder)
    return found is not None and found.problem is not None and (since is None or found.at >= since)
