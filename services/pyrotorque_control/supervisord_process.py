"""Which process is the group's supervisord: a pid file is believed only when it cannot mean a stranger."""

import os
import time
from pathlib import Path
from typing import NamedTuple

# A pid file is written by the process that it names, so that one started before it; clocks are read in whole ticks.
_CLOCK_SLACK = 2.0  # seconds
# How supervisord is called: its script, or `python -m`.
_NAMES = (b"supervisord", b"supervisor.supervisord")


class Running(NamedTuple):
    """The supervisord of a group; `since` is when it started, in Unix seconds."""

    pid: int
    since: float


def running_supervisord(pid_file: Path) -> Running | None:
    """The process that wrote the pid file, if it still runs: not one that got its number since, nor another program."""
    try:
        pid = int(pid_file.read_text(encoding="ascii").split()[0])
        written = pid_file.stat().st_mtime
    except (OSError, ValueError, IndexError):
        return None
    since = started_at(pid) if pid > 0 else None
    if since is None or since > written + _CLOCK_SLACK or not is_supervisord(pid):
        return None
    return Running(pid, since)


def is_supervisord(pid: int) -> bool:
    """Whether the process runs supervisord, as a script or as a module."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.rpartition(b"/")[2] in _NAMES for word in words)


def started_at(pid: int) -> float | None:
    """When the process started, in Unix seconds; None when there is none, or only its remains."""
    try:
        # The name, in brackets, may hold anything: count the fields after it (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] == b"Z":
        return None
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - uptime + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def is_alive(running: Running) -> bool:
    """Whether that very process is still there."""
    since = started_at(running.pid)
    return since is not None and abs(since - running.since) < _CLOCK_SLACK
