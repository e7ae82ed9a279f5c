"""Lists folders and inspects files, whatever their names, and finds out where inotify misses changes."""

import os
import stat
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from pyrotorque.linux.filesystems import Mount, filesystem_type, is_watchable, is_within, mounts_below
from pyrotorque.text import printable
from pyrotorque_watcher.rows import FoundFile

_SUFFIXES = (b".torrent", b".magnet")
WATCH_INI = b"watch.ini"


class Listing(NamedTuple):
    """One folder: its metafiles in the order of their names, its sub-folders, and whether it could be read."""

    files: list[FoundFile]
    folders: list[bytes]
    readable: bool = True


def is_metafile(name: bytes) -> bool:
    """Whether a file of this name is one to load."""
    return name[-8:].lower().endswith(_SUFFIXES)


def is_watched(name: bytes) -> bool:
    """Whether changes of a file of this name are reported: a metafile or a watch.ini."""
    return is_metafile(name) or name == WATCH_INI


def look(path: bytes) -> FoundFile | None:
    """The regular file at `path` (a link to one counts); None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return _found(path, found)


def _found(path: bytes, found: os.stat_result) -> FoundFile | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    return FoundFile(
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
    """What is in `folder` now; with `follow`, links to folders are folders, too."""
    files: list[FoundFile] = []
    folders: list[bytes] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                _sort(entry, files, folders, follow)
    except FileNotFoundError:
        return Listing([], [])
    except OSError:
        return Listing(files, folders, readable=False)
    files.sort(key=attrgetter("path"))
    return Listing(files, sorted(folders))


def _sort(entry: "os.DirEntry[bytes]", files: list[FoundFile], folders: list[bytes], follow: bool) -> None:
    try:
        if entry.is_dir(follow_symlinks=follow):
            folders.append(entry.path)
        elif is_metafile(entry.name) and (found := _found(entry.path, entry.stat())):
            files.append(found)
    except OSError:
        return  # gone, or a broken link


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
