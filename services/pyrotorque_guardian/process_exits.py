"""Detects the exit of a service's process immediately, through pidfd_open(2).

supervisord 4.3 reaps a child in one turn of its loop and restarts it in the next, up to a second later; any call to it
triggers that turn at once. On a kernel without pidfds, the restart takes the second.
"""

import os
from contextlib import suppress


class ProcessExits:
    """One pidfd for each watched process; it becomes readable when the process ends."""

    def __init__(self) -> None:
        self._fds: dict[int, int] = {}

    @property
    def fds(self) -> tuple[int, ...]:
        return tuple(self._fds.values())

    def watch(self, pid: int) -> None:
        if pid > 0 and pid not in self._fds:
            with suppress(OSError, AttributeError):
                self._fds[pid] = os.pidfd_open(pid)

    def remove_exited(self, readable: set[int]) -> bool:
        """Stop watching the processes that have ended; True if there was one."""
        exited = [pid for pid, fd in self._fds.items() if fd in readable]
        for pid in exited:
            os.close(self._fds.pop(pid))
        return bool(exited)

    def close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
