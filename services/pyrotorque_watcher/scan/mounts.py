"""Which filesystems the trees are on: a mount shows other files under the same paths, and causes no inotify event."""

import os
import select
from collections.abc import Sequence
from typing import Final

from pyrotorque.linux.filesystems import Mount, is_within, mount_of, read_mounts

_MOUNTINFO: Final = "/proc/self/mountinfo"


class MountChanges:
    """Reports that something was mounted or unmounted, which the kernel makes known by poll(2) (proc(5))."""

    def __init__(self) -> None:
        self._poll = select.poll()
        try:
            self._fd = os.open(_MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1
            return
        self._poll.register(self._fd, select.POLLPRI)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def changed(self) -> bool:
        """Whether there was a change since the last call; without /proc always False."""
        return self._fd >= 0 and bool(self._poll.poll(0))


def mounts_in(tree: bytes, mounts: Sequence[Mount]) -> frozenset[int]:
    """The numbers of the mounts in which `tree` and what is below it may be."""
    real = os.path.realpath(tree)
    above = mount_of(real, mounts)
    below = {mount.number for mount in mounts if is_within(mount.point, real)}
    return frozenset(below | {above.number} if above else below)


def is_mounted_below(folder: bytes, above: bytes) -> bool:
    """Whether `folder` is shown by another mount than `above`, a folder that contains it."""
    mounts = read_mounts()
    here, there = (mount_of(os.path.realpath(path), mounts) for path in (folder, above))
    return here is not None and there is not None and here.number != there.number
