"""What is known about a watched root from one walk to the next."""

import logging
from dataclasses import dataclass
from typing import Final

from pyrotorque.text import printable

log = logging.getLogger(__name__)

_AWAY: Final = 1.0  # how often a missing root is looked for


@dataclass
class Root:
    """A root and what is known about it now."""

    path: bytes
    since_ns: int
    complete: bool
    there: bool = True
    deaf: str = ""
    """Why it is polled, if it is."""
    due: float = 0.0
    """When it is to be walked next (monotonic)."""

    def miss(self, job: str, clock: float) -> None:
        if self.there:
            log.warning("%s: %s is not there: waiting for it, with a look every second", job, printable(self.path))
        self.there = False
        self.due = clock + _AWAY

    def poll(self, job: str, why: str) -> None:
        """`why` it must be polled, or nothing where that is over: a limit was raised, another filesystem is mounted."""
        if why and self.deaf != why:
            log.warning("%s: %s is also looked through every few seconds: %s", job, printable(self.path), why)
        elif self.deaf and not why:
            log.info("%s: the kernel tells of everything in %s again", job, printable(self.path))
        self.deaf = why
