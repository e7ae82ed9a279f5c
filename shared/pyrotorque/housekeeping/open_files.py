"""Which files processes have open: one that is moved is still written, and one that is removed frees nothing."""

import os
from contextlib import suppress

from pyrotorque.errors import RemovalRefused
from pyrotorque.housekeeping.item_files import Inode
from pyrotorque.linux.processes import PROC


def open_inodes(pid: int) -> frozenset[Inode]:
    """The files that a process has open or mapped. Raises RemovalRefused if that cannot be seen."""
    folder = PROC / str(pid)
    found: set[Inode] = set()
    try:
        for name in os.listdir(folder / "fd"):
            with suppress(FileNotFoundError):
                status = os.stat(folder / "fd" / name)
                found.add(Inode(status.st_dev, status.st_ino))
        for line in (folder / "maps").read_bytes().splitlines():
            _, _, _, device, inode, *_ = line.split(b" ", 5)
            if inode != b"0":
                major, _, minor = device.partition(b":")
                found.add(Inode(os.makedev(int(major, 16), int(minor, 16)), int(inode)))
    except OSError as error:
        raise RemovalRefused(
            f"the open files of rTorrent (pid {pid}) cannot be seen ({error.strerror}): run pyrotorque as its user"
        ) from None
    return frozenset(found)


def open_anywhere() -> frozenset[Inode]:
    """The files that processes have open, as far as that can be seen."""
    found: set[Inode] = set()
    for pid in os.listdir(PROC):
        if not pid.isdecimal():
            continue
        try:
            names = os.listdir(PROC / pid / "fd")
        except OSError:
            continue
        for name in names:
            try:
                status = os.stat(PROC / pid / "fd" / name)
            except OSError:
                continue
            found.add(Inode(status.st_dev, status.st_ino))
    return frozenset(found)
