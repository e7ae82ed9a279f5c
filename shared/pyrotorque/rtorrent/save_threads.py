"""Whether a save that rTorrent began earlier may still write session files: each save of 0.16.6 and later is a thread.

Several of one item may run at once and end in any order, so the last one to end decides what the session has
(SessionManager::process_next_save_request_unsafe). A save that waits is replaced by the next one of its item.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pyrotorque.linux.processes import PROC
from pyrotorque.rtorrent_version import version_of

_OVERLAPPING: Final = (0, 16, 6)
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
# Threads that rTorrent starts with itself are no saves; that of its SCGI server is the last of them.
_SERVER: Final = "scgi"
_BEGINNING: Final = 1.0  # seconds, without such a thread
# A save takes some 10 ms. A thread that is older is one of another kind, or hangs with its disk: not awaited.
_LONGEST: Final = 5.0  # seconds


class Thread(NamedTuple):
    """A thread of rTorrent; `began` counts in clock ticks since boot."""

    number: int
    name: str
    began: int


def now() -> float:
    """The time that saves are compared with: seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def overlap(version: str) -> bool:
    """Whether several saves of one item may run at once in this version of rTorrent."""
    return (version_of(version) or ()) >= _OVERLAPPING


def threads_of(pid: int, proc: Path = PROC) -> list[Thread]:
    """The threads of a process; none where it is hidden or gone."""
    folder = proc / str(pid) / "task"
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found: list[Thread] = []
    for name in names:
        try:
            content = (folder / name / "stat").read_bytes()
            before, _, after = content.rpartition(b")")
            comm = before.partition(b"(")[2].decode("ascii", "replace")
            found.append(Thread(int(name), comm, int(after.split()[19])))
        except (OSError, ValueError, IndexError):
            continue  # it has ended
    return found


def is_visible(threads: Sequence[Thread], pid: int) -> bool:
    """Whether these are the threads of rTorrent: in another container, its `pid` may be another program here."""
    return any(each.number == pid and "rtorrent" in each.name for each in threads)


def is_saving(threads: Sequence[Thread], pid: int, at: float, moment: float) -> bool:
    """Whether one of these threads of rTorrent is a save that began before `at`; `moment` is the time now."""
    own = next(each for each in threads if each.number == pid)
    server = max((each.began for each in threads if _SERVER in each.name), default=0)
    beginning = server or own.began + _BEGINNING * _TICKS_PER_SECOND
    oldest = max(beginning + 1, (moment - _LONGEST) * _TICKS_PER_SECOND)
    return any(
        oldest <= each.began <= at * _TICKS_PER_SECOND
        for each in threads
        if each.name == own.name or "session" in each.name
    )
