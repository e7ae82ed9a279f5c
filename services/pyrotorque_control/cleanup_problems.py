"""What the last runs of the clean-up jobs report: why nothing is removed, or less than needed, and orphaned files."""

from collections.abc import Iterator, Sequence
from urllib.parse import unquote

import msgspec

from pyrotorque.housekeeping.last_run import FILE, LastRun, read_last_run
from pyrotorque.humanize import age, size
from pyrotorque.layout import Layout
from pyrotorque.stored_configuration import last_good
from pyrotorque.text import counted, printable


class CleanupResult(msgspec.Struct, frozen=True):
    """The last run of the job with this name."""

    job: str
    run: LastRun


def cleanup_results(layout: Layout) -> list[CleanupResult]:
    """Of all active jobs that have run, by name."""
    settings = last_good(layout)
    active = {job.name for job in settings.jobs if job.active} if settings else None
    found = {unquote(path.parent.name): read_last_run(path.parent) for path in layout.state_dir.glob(f"jobs/*/{FILE}")}
    return [
        CleanupResult(job, run)
        for job, run in sorted(found.items())
        if run is not None and (active is None or job in active)
    ]


def problem_lines(results: Sequence[CleanupResult], now: float) -> Iterator[str]:
    """A line for each job whose last run had a problem, or found orphaned files, and for each note on its disks."""
    for each in results:
        run, job = each.run, printable(each.job)
        for note in run.notes:
            yield f"{job}: {printable(note)}"
        if run.text:
            yield f"{job}: {printable(run.text)} ({age(run.at, now)})"
        elif run.orphans:
            yield f"{job}: {counted(run.orphans, 'file')} of no item, {size(run.orphan_bytes)} ({age(run.at, now)})"
