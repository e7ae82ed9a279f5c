"""Finds folders on a filesystem that does not answer, such as a network mount whose server is away.

Whatever looks into such a folder waits for as long as that lasts, and no signal but SIGKILL ends it.
"""

import os
import resource
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.linux.filesystems import is_watchable, mounts_below, read_mounts

WITHIN: Final = 5.0
"""Seconds after which a folder counts as hanging: longer than a disk needs to spin up, or a share to be mounted."""


def _nothing() -> None:
    pass


@dataclass
class HangingFolders:
    """Looks at each folder in a thread of its own, which ends with the process where the filesystem never answers.

    `answered` is called in that thread when a folder that was hanging answers.
    """

    answered: Callable[[], None] = _nothing
    _looks: dict[bytes, threading.Thread] = field(default_factory=dict[bytes, threading.Thread])

    def find(self, folders: Iterable[bytes], within: float | None = None) -> frozenset[bytes]:
        """Those of `folders` that do not answer within so many seconds altogether, by default `WITHIN`; others may be
        missing."""
        wanted = frozenset(folders)
        if not self._looks and _is_memory_limited() and not _may_hang():
            return frozenset()
        for folder in wanted - self.waiting:
            thread = threading.Thread(target=self._look, args=(folder,), name="folder", daemon=True)
            with suppress(RuntimeError):  # a limit of threads: then it counts as answering
                thread.start()
                self._looks[folder] = thread
        until = time.monotonic() + (WITHIN if within is None else within)
        for thread in list(self._looks.values()):
            thread.join(max(0.0, until - time.monotonic()))
        return wanted & self.waiting

    @property
    def waiting(self) -> frozenset[bytes]:
        """Those that were looked at and have not answered yet."""
        self._looks = {folder: thread for folder, thread in self._looks.items() if thread.is_alive()}
        return frozenset(self._looks)

    def _look(self, folder: bytes) -> None:
        began = time.monotonic()
        # What the kernel still knows of a folder is no answer: it is listed, too, and so are mounts in it.
        _list_first(folder)
        with suppress(OSError, ValueError):
            for mount in mounts_below(os.path.realpath(folder), read_mounts()):
                if not is_watchable(mount.kind):
                    _list_first(mount.point)
        if time.monotonic() - began > WITHIN:
            self.answered()


def _is_memory_limited() -> bool:
    """Whether this process has a limit of address space: the C library may abort it where a thread finds no room."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _may_hang() -> bool:
    """Whether a filesystem is mounted that another program or another host may keep from answering; others hang only
    if their disk fails.
    """
    kinds = {mount.kind for mount in read_mounts()}
    return not kinds or any(kind.startswith(("autofs", "fuse")) or not is_watchable(kind) for kind in kinds)


def _list_first(folder: bytes) -> None:
    with suppress(OSError, ValueError), os.scandir(folder) as entries:
        next(entries, None)
