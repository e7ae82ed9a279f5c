"""The disks of /etc/fstab: what is written to the mount point of one that is not mounted is hidden when it is."""

import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Final

from pyrotorque.linux.filesystems import Mount, is_watchable, is_within, mount_of

FSTAB: Final = Path("/etc/fstab")
_LINKS_MAX: Final = 8


def unmounted_point(folder: bytes, mounts: Sequence[Mount]) -> bytes:
    """The mount point around `folder` (a real path) of a disk that is mounted at each boot, and is not now; empty if
    there is none, or if no mounts are known."""
    there = {mount.point for mount in mounts}
    for written in _mounted_at_boot() if mounts else ():
        point = _real(written, folder, mounts, there)
        if is_within(folder, point) and point not in there:
            return point
    return b""


def _mounted_at_boot() -> Iterator[bytes]:
    """The mount points that are mounted at each boot (fstab(5))."""
    try:
        lines = FSTAB.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith(b"#") or not fields[1].startswith(b"/"):
            continue
        options = fields[3].split(b",") if len(fields) > 3 else []
        point = fields[1].rstrip(b"/").replace(b"\\040", b" ").replace(b"\\011", b"\t")
        if point and b"noauto" not in options:
            yield point


def _real(point: bytes, folder: bytes, mounts: Sequence[Mount], there: Container[bytes]) -> bytes:
    """`point` without links. Neither what is mounted there is looked at, nor a filesystem that has nothing to do with
    `folder`: they may never answer."""
    for _ in range(_LINKS_MAX):
        mount = mount_of(point, mounts)
        is_foreign = mount is not None and not is_watchable(mount.kind) and not is_within(folder, mount.point)
        if point in there or is_foreign:
            break
        above, name = os.path.split(point)
        point = os.path.join(os.path.realpath(above), name)
        if point in there:
            break
        try:
            point = os.path.normpath(os.path.join(os.path.dirname(point), os.readlink(point)))
        except OSError:  # no link
            break
    return point
