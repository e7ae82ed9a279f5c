"""Knows at once when a service has died, so that supervisord need not sleep its second before it starts it again.

supervisord 4.3 reaps a child in one turn of its loop and starts it again in the next, which may be a second later; any
call makes it turn. (pidfd_open(2); where the kernel has none, it is the second.)
"""

import os
from contextlib import suppress


class Deaths:
    """One descriptor for each watched process, readable when that has died."""

    def __init__(self) -> None:
        self._fds: dict[int, int] = {}

    @property
    def fds(self) -> tuple[int, ...]:
        return tuple(self._fds.values())

    def watch(self, pid: int) -> None:
        if pid > 0 and pid not in self._fds:
            with suppress(OSError, AttributeError):
                self._fds[pid] = os.pidfd_open(pid)

    def take(self, readable: set[int]) -> bool:
        """Whether somebody has died; who did is watched no more."""
        dead = [pid for pid, fd in self._fds.items() if fd in readable]
        for pid in dead:
            os.close(self._fds.pop(pid))
        return bool(dead)

    def close(self) -> None:
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
