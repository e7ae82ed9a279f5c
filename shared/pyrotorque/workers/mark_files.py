"""The mark of a job's last ended run, and the reports of that run, in one file that outlives the scheduler.

The worker writes it when a run for an event has ended. If the scheduler is killed before it records the run, the next
one finds there that the run has ended, and what it reported.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.events import JobReported
from pyrotorque.json_input import JsonDecoder
from pyrotorque.limits import REPORT_BYTES
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.text import encode_json
from pyrotorque.workers.messages import REPORTS_MAX

MARK_SIZE: Final = 80
"""The mark is padded to this size; the reports follow, one in each line."""
_FILE_MAX: Final = MARK_SIZE + REPORT_BYTES + REPORTS_MAX

_report = JsonDecoder(JobReported)


class KeptReports:
    """The reports of one run, in the worker, within the limits of the scheduler."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, report: JobReported) -> None:
        line = encode_json(report)
        # The scheduler reports how many it drops of a run that it records.
        if len(self._lines) < REPORTS_MAX and self._size + len(line) <= REPORT_BYTES:
            self._lines.append(line + b"\n")
            self._size += len(line)

    def take(self) -> bytes:
        """All lines; the next run has none."""
        lines, self._lines, self._size = self._lines, [], 0
        return b"".join(lines)


def write_mark(descriptor: int, mark: str, reports: bytes = b"") -> None:
    """The mark is written last: reports without it are those of no run. Without room for them, only the mark is."""
    with suppress(OSError):
        if os.fstat(descriptor).st_size > MARK_SIZE:
            os.ftruncate(descriptor, MARK_SIZE)
        written = 0
        while written < len(reports):
            written += os.pwrite(descriptor, reports[written:], MARK_SIZE + written)
    os.pwrite(descriptor, mark.ljust(MARK_SIZE)[:MARK_SIZE].encode("ascii"), 0)


def read_mark(path: Path) -> tuple[str, tuple[JobReported, ...]]:
    """The mark, empty if there is none, and the reports of its run; a line that cannot be read is left out."""
    try:
        content = read_regular_file(path, limit=_FILE_MAX)
        mark = content[:MARK_SIZE].decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return "", ()
    return mark, tuple(_decoded(content[MARK_SIZE:]))


def _decoded(lines: bytes) -> Iterator[JobReported]:
    for line in lines.splitlines():
        with suppress(msgspec.DecodeError):
            yield _report.decode(line)
