"""Which process is the group's supervisord: a pid file is believed only when it cannot mean a stranger."""

from pathlib import Path

from pyrotorque.linux.processes import ProcessIdentity, running_process

# A pid file is written by the process that it names, so that one started before it; clocks are read in whole ticks.
_CLOCK_SLACK = 2.0  # seconds
# How supervisord is called: its script, or `python -m`.
_NAMES = (b"supervisord", b"supervisor.supervisord")


def running_supervisord(pid_file: Path) -> ProcessIdentity | None:
    """The process that wrote the pid file, if it still runs: not one that got its number since, nor another program."""
    try:
        pid = int(pid_file.read_text(encoding="ascii").split()[0])
        written = pid_file.stat().st_mtime
    except (OSError, ValueError, IndexError):
        return None
    found = running_process(pid)
    if found is None or found.started > written + _CLOCK_SLACK or not is_supervisord(pid):
        return None
    return found


def is_supervisord(pid: int) -> bool:
    """Whether the process runs supervisord, as a script or as a module."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.rpartition(b"/")[2] in _NAMES for word in words)
