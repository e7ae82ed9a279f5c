"""Finds out whether rTorrent sees the files that we see, which is what tying an item to its metafile needs."""

import os
import time
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.linux.processes import runs_program

_FRESH: Final = 0.5


@dataclass(slots=True)
class Sight:
    """What the rTorrent with this pid sees, through the kernel's view of that process; 0 sees nothing.

    A path that rTorrent cannot see would look to it like a deleted metafile, and `remove_untied` would erase the item.
    """

    pid: int = 0
    _seen: dict[tuple[bytes, bytes], tuple[float, bool]] = field(
        default_factory=dict[tuple[bytes, bytes], tuple[float, bool]]
    )

    def of(self, pid: int, hostname: str) -> None:
        """Look with the eyes of this process, if it is an rTorrent of this host; another pid namespace is not."""
        self.pid = pid if hostname == os.uname().nodename and runs_program(pid, "rtorrent") else 0
        self._seen.clear()

    @property
    def is_over(self) -> bool:
        """Whether the process whose eyes these are has ended."""
        return bool(self.pid) and not runs_program(self.pid, "rtorrent")

    def sees(self, ours: bytes, theirs: bytes) -> bool:
        """Whether `theirs` is, for rTorrent, the very file that we know as `ours`."""
        if not self.pid:
            return False
        # Files of one folder are seen alike, and mounts do not change within a second.
        folders, now = (os.path.dirname(ours), os.path.dirname(theirs)), time.monotonic()
        if ours != theirs or folders not in self._seen or now - self._seen[folders][0] > _FRESH:
            self._seen = {folders: (now, self._looks_same(ours, theirs))}
        return self._seen[folders][1]

    def _looks_same(self, ours: bytes, theirs: bytes) -> bool:
        try:
            here, there = os.stat(ours), os.stat(b"/proc/%d/root%b" % (self.pid, theirs))
        except (OSError, ValueError):
            return False
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
