"""The disks of a mover's targets: data must not go to the empty mount point of one that is not mounted.

It would fill the disk below, and be hidden as soon as the right one is mounted again.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.errors import StateError
from pyrotorque.json_input import decode_json
from pyrotorque.linux.filesystems import Mount, is_within, mount_of, read_mounts
from pyrotorque.linux.fstab import unmounted_point
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.text import encode_json, printable

FILE: Final = "target-disks"
"""In the job's private folder: where disks were mounted to which data was moved. Only journals are called `*.json`."""
_KEPT: Final = 64
_LENGTH_MAX: Final = 1 << 20


@dataclass(frozen=True)
class TargetDisks:
    """The mount points of one mover: those that it has used, and those of /etc/fstab."""

    state_dir: Path

    def refusal(self, folder: bytes) -> str:
        """Why nothing may be written to `folder` (a real path): its disk is not mounted; empty if it is."""
        mounts = read_mounts()
        if not mounts:
            return ""
        there = {mount.point for mount in mounts}
        for point in self._used():
            if is_within(folder, point) and point not in there:
                return (
                    f"the disk of {printable(folder)} is not mounted: there was one at {printable(point)} when data "
                    "was moved there before: mount it; if there is none any more, remove "
                    f"{printable(str(self._file))}"
                )
        if point := unmounted_point(folder, mounts):
            return (
                f"the disk of {printable(folder)} is not mounted: /etc/fstab has one for {printable(point)}: mount it, "
                "or remove that line"
            )
        return ""

    def remember(self, folder: Path) -> None:
        """Data was moved to `folder`: its disk must be mounted there from now on. On a full disk, nothing is kept."""
        mounts = read_mounts()
        mount = _disk(mount_of(os.fsencode(os.path.realpath(folder)), mounts), mounts)
        used = self._used()
        if mount is None or mount.point == b"/" or mount.point in used:
            return
        kept = [point.hex() for point in (*used, mount.point)][-_KEPT:]
        with suppress(StateError):
            write_atomically(self._file, encode_json(kept))

    @property
    def _file(self) -> Path:
        return self.state_dir / FILE

    def _used(self) -> list[bytes]:
        try:
            stored = decode_json(read_regular_file(self._file, limit=_LENGTH_MAX), type=list[str])
            return [bytes.fromhex(point) for point in stored]
        except (OSError, ValueError):
            return []


def _disk(mount: Mount | None, mounts: Sequence[Mount]) -> Mount | None:
    """The mount without which other files would be there: not one that shows what is below it, as systemd makes for
    each folder of ReadWritePaths."""
    by_number = {each.number: each for each in mounts}
    while mount is not None and (below := by_number.get(mount.parent)) is not None and below is not mount:
        inside = mount.point[len(below.point.rstrip(b"/")) :]
        if mount.device != below.device or mount.root != ((below.root.rstrip(b"/") + inside) or b"/"):
            break
        mount = below
    return mount
