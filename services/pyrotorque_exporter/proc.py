"""What the kernel says about a process (proc(5)): when it began, its memory, its processor time."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """Resident memory, processor time and start of one process."""

    resident_bytes: float
    cpu_seconds: float
    started: float


def usage(pid: int, folder: Path = FOLDER) -> Usage | None:
    """None where the process is gone or hidden from us."""
    try:
        fields = _stat_fields(pid, folder)
        ticks = os.sysconf("SC_CLK_TCK")
        boot = _boot_time(folder)
    except (OSError, ValueError):
        return None
    return Usage(
        resident_bytes=float(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        cpu_seconds=(float(fields[11]) + float(fields[12])) / ticks,
        started=boot + float(fields[19]) / ticks,
    )


def start_of_rtorrent(pid: int, folder: Path = FOLDER) -> float | None:
    """When process `pid` began, if it is an rTorrent here: behind a TCP address the pid may be another host's."""
    try:
        command = (folder / str(pid) / "comm").read_text(errors="replace")
    except OSError:
        return None
    found = usage(pid, folder)
    return found.started if found and command.startswith("rtorrent") else None


def _stat_fields(pid: int, folder: Path) -> list[str]:
    # The second field is the name in parentheses and may hold anything, also spaces and parentheses.
    return (folder / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _boot_time(folder: Path) -> float:
    for line in (folder / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise ValueError("no btime in /proc/stat")
