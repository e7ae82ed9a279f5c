"""Identifies the group's supervisord by its pid file, without mistaking another process for it."""

from pathlib import Path

from pyrotorque.linux.processes import ProcessIdentity, running_process

# The process that wrote the pid file started before it did; start times have the resolution of clock ticks.
_CLOCK_SLACK = 2.0  # seconds
# Last part of a word in supervisord's command line: its script, or `python -m`.
_NAMES = (b"supervisord", b"supervisor.supervisord")


def running_supervisord(pid_file: Path) -> ProcessIdentity | None:
    """The process named in the pid file if it is a supervisord that started before the file was written."""
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
