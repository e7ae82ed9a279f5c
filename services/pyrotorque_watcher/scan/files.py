"""Lists folders and looks at files as they are on disk, whatever their names, and says where inotify misses changes."""

import os
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pyrotorque.linux.filesystems import Mount, filesystem_type, is_watchable, is_within, mounts_below
from pyrotorque.text import printable

_SUFFIXES = (b".torrent", b".magnet")
WATCH_INI = b"watch.ini"


class Found(NamedTuple):
    """A file as a look or a listing found it."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int
    links: int

    @property
    def identity(self) -> tuple[int, int]:
        """By what a file at a path is known: its size and when it was written."""
        return self.size, self.mtime_ns


class Listing(NamedTuple):
    """One folder: its metafiles in the order of their names, its sub-folders, and whether it could be read."""

    folder: bytes
    files: list[Found]
    folders: list[bytes]
    readable: bool = True


def is_metafile(name: bytes) -> bool:
    """Whether a file of this name is one to load."""
    return name[-8:].lower().endswith(_SUFFIXES)


def matters(name: bytes) -> bool:
    """Whether a change of a file of this name is of interest."""
    return is_metafile(name) or name == WATCH_INI


def look(path: bytes) -> Found | None:
    """The regular file at `path` (a link to one counts); None when there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return _found(path, found)


def _found(path: bytes, found: os.stat_result) -> Found | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    return Found(
        path,
        found.st_size,
        int64(found.st_mtime_ns),
        int64(found.st_ctime_ns),
        int64(found.st_dev),
        int64(found.st_ino),
        found.st_nlink,
    )


def int64(number: int) -> int:
    """`number` as SQLite holds it: inodes of some filesystems and times after 2262 are larger."""
    return (number + 2**63) % 2**64 - 2**63


def listing(folder: bytes, *, follow: bool) -> Listing:
    """What is in `folder` now; `follow` also takes links to folders for folders."""
    files: list[Found] = []
    folders: list[bytes] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                _sort(entry, files, folders, follow)
    except FileNotFoundError:
        return Listing(folder, [], [])
    except OSError:
        return Listing(folder, files, folders, readable=False)
    files.sort()
    return Listing(folder, files, sorted(folders))


def _sort(entry: "os.DirEntry[bytes]", files: list[Found], folders: list[bytes], follow: bool) -> None:
    try:
        if entry.is_dir(follow_symlinks=follow):
            folders.append(entry.path)
        elif is_metafile(entry.name) and (found := _found(entry.path, entry.stat())):
            files.append(found)
    except OSError:
        return  # gone, or a link that leads nowhere


def nearest_root(path: bytes, roots: Iterable[bytes]) -> bytes | None:
    """The deepest of `roots` that holds `path`."""
    return max((root for root in roots if is_within(path, root)), key=len, default=None)


def polling_reason(path: bytes, mounts: Sequence[Mount]) -> str:
    """Why inotify does not report every change at and below `path` (without symbolic links); empty if it does."""
    if not is_watchable(kind := filesystem_type(path, mounts)):
        return f"it is on {kind}, where inotify does not report every change"
    for mount in mounts_below(path, mounts):
        if not is_watchable(mount.kind):
            return f"{printable(mount.point)} in it is on {mount.kind}, where inotify does not report every change"
    return ""
