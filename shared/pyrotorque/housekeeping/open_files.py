"""Which files processes have open: one that is moved is still written, and one that is removed frees nothing."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

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


def open_anywhere(without: int = 0) -> frozenset[Inode]:
    """The files that are in use, as far as that can be seen: open or mapped by processes, behind loop devices, swap.

    The process `without` does not count.
    """
    found = _of_paths(_mapped_paths(without) | _kernel_paths())
    for pid in os.listdir(PROC):
        if not pid.isdecimal() or int(pid) == without:
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


def _mapped_paths(without: int) -> set[bytes]:
    """The paths of mapped files: their numbers of devices are not those of stat on each filesystem (btrfs, overlay)."""
    found: set[bytes] = set()
    for pid in os.listdir(PROC):
        if pid.isdecimal() and int(pid) != without:
            with suppress(OSError):
                lines = (PROC / pid / "maps").read_bytes().splitlines()
                found.update(parts[5].lstrip() for line in lines if len(parts := line.split(b" ", 5)) == 6)
    return {_unescaped(path) for path in found if path.startswith(b"/")}


def _kernel_paths() -> set[bytes]:
    """The files behind loop devices, and those that are swap space."""
    found: set[bytes] = set()
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):
            found.add(path.read_bytes().rstrip(b"\n"))
    with suppress(OSError):
        found.update(_unescaped(line.split()[0]) for line in (PROC / "swaps").read_bytes().splitlines()[1:])
    return found


def _unescaped(path: bytes) -> bytes:
    """The kernel writes some characters as a backslash and three octal digits."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), path)


def _of_paths(paths: Iterable[bytes]) -> set[Inode]:
    found: set[Inode] = set()
    for path in paths:
        with suppress(OSError, ValueError):
            status = os.stat(path)
            found.add(Inode(status.st_dev, status.st_ino))
    return found
