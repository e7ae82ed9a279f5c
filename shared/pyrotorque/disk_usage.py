"""The free space and the size of disks, measured in a thread of its own: a network disk may not answer."""

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.linux.filesystems import DiskSpace, disk_space, mount_of, read_mounts

_ANSWER_WITHIN: Final = 1.0
"""Seconds after which a measurement is not waited for; it continues, and its results are shown later."""
_DISKS_MAX: Final = 50
_ROOT: Final = Path("/")


@dataclass(frozen=True, slots=True)
class Disk:
    """A filesystem by the folder at which it is mounted."""

    mountpoint: str
    device: int
    free: int
    size: int


class DiskUsage:
    """Measures the disks of some folders; one that does not answer delays a caller once, and hides only itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._spaces: dict[str, DiskSpace] = {}
        self._points: dict[int, str] = {}

    def measure(self, folders: Iterable[str]) -> list[Disk]:
        """The disks of `folders` that answered; folders that are not on this machine are left out."""
        wanted = list(dict.fromkeys(folders))
        if self.start(wanted) and self._thread is not None:
            self._thread.join(_ANSWER_WITHIN)
        return self.results(wanted)

    def start(self, folders: Iterable[str]) -> bool:
        """Begin a measurement, unless one is not finished; returns whether it was begun."""
        with self._lock:
            if self.is_measuring:
                return False
            # A daemon: a disk that hangs must not delay the end of the service.
            thread = threading.Thread(target=self._measure, args=(list(folders),), name="disks", daemon=True)
            self._thread = thread
            thread.start()
        return True

    def results(self, folders: Iterable[str]) -> list[Disk]:
        """The disks of `folders` as measured last."""
        found: dict[int, Disk] = {}
        for folder in folders:
            space = self._spaces.get(folder)
            if space is not None and space.device not in found:
                point = self._points.get(space.device, str(space.folder))
                found[space.device] = Disk(point, space.device, space.free, space.size)
        return sorted(found.values(), key=lambda disk: disk.mountpoint)[:_DISKS_MAX]

    @property
    def is_measuring(self) -> bool:
        """Whether a measurement is not finished, and its results are incomplete."""
        return self._thread is not None and self._thread.is_alive()

    def device(self, folder: str) -> int:
        """The device of a folder that was measured; 0 if it is not known."""
        space = self._spaces.get(folder)
        return space.device if space is not None else 0

    def one_of_each(self, folders: Iterable[str]) -> list[str]:
        """One of `folders` for each disk."""
        found: dict[int, str] = {}
        for folder in folders:
            if device := self.device(folder):
                found.setdefault(device, folder)
        return list(found.values())

    def _measure(self, folders: Sequence[str]) -> None:
        for folder in self._spaces.keys() - set(folders):
            self._spaces.pop(folder, None)
        known: dict[int, DiskSpace] = {}
        for folder in folders:
            # Absent while it is measured: the value of a disk that stopped answering is not shown.
            self._spaces.pop(folder, None)
            space = known.get(_device(folder)) or disk_space(folder)
            # Only the root of the path exists here: rTorrent runs on another machine or in a container.
            if space is None or (space.folder == _ROOT and Path(folder) != _ROOT):
                continue
            if space.device not in self._points:
                self._points[space.device] = _mountpoint(space.folder)
            self._spaces[folder] = known[space.device] = space


def _device(folder: str) -> int:
    """The device of a folder; 0 if it does not exist."""
    try:
        return os.stat(folder).st_dev
    except (OSError, ValueError):
        return 0


def _mountpoint(folder: Path) -> str:
    mount = mount_of(bytes(folder.resolve()), read_mounts())
    return mount.point.decode("utf-8", "surrogateescape") if mount is not None else str(folder)
