"""Finds the group's running supervisord, and ends it with its programs."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from pyrotorque.group_lock import is_group_process, running_group
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import PROC, ProcessIdentity, running_process, session_members

# supervisord waits 5 seconds for each of its programs before it kills it.
STOP_TIMEOUT = 20.0  # seconds
_FOLLOW_TIMEOUT = 3.0  # seconds
_POLL_INTERVAL = 0.02  # seconds


def find_running(layout: Layout, pid_file: Path) -> ProcessIdentity | None:
    """The group's supervisord: by its lock or pid file, else by its command line, as when both files were removed."""
    return running_group(layout.group_lock, layout.config_dir, pid_file) or _in_process_table(layout.config_dir)


def end(found: ProcessIdentity, timeout: float = STOP_TIMEOUT) -> bool:
    """Stop this supervisord and all its programs; False when it had to be killed, with what it had started."""
    started = [found.pid, *(pid for pid in session_members(found.pid) if pid != found.pid)]
    identities = [each for pid in started if (each := running_process(pid)) is not None]
    if found not in identities:
        return True
    with suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
        # One that was stopped (SIGSTOP) would not handle the signal.
        os.kill(found.pid, signal.SIGCONT)
    if _ended(found, timeout):
        return True
    identities += [each for pid in session_members(found.pid) if (each := running_process(pid)) is not None]
    for each in dict.fromkeys(identities):
        if each.is_running():
            with suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
    _ended(found, 2.0)
    return False


def end_session(leader: int) -> None:
    """Wait until the programs of a supervisord that has exited have followed it; kill those that do not."""
    deadline = time.monotonic() + _FOLLOW_TIMEOUT
    while (left := list(session_members(leader))) and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while list(session_members(leader)) and time.monotonic() < deadline + _FOLLOW_TIMEOUT:
        time.sleep(_POLL_INTERVAL)


def _in_process_table(config_dir: Path) -> ProcessIdentity | None:
    own = os.geteuid()
    for entry in os.listdir(PROC):
        if entry.isdecimal() and int(entry) != os.getpid():
            with suppress(OSError):
                if (PROC / entry).stat().st_uid == own and is_group_process(int(entry), config_dir):
                    return running_process(int(entry))
    return None


def _ended(found: ProcessIdentity, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while found.is_running():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_INTERVAL)
    return True
