"""Lists folders and looks at files as they are on disk, whatever their names, and says where inotify is deaf."""

import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pyrotorque.text import printable

_SUFFIXES = (b".torrent", b".magnet")
WATCH_INI = b"watch.ini"

# inotify sees only what this kernel does; these are written by others, or through a daemon (inotify(7), fuse(4)).
_DEAF = ("nfs", "cifs", "smb", "9p", "ceph", "gluster", "afs", "ncp", "virtiofs", "vboxsf", "lustre", "beegfs", "fuse")


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


def inside(path: bytes, folder: bytes) -> bool:
    """Whether `path` is `folder` or below it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def nearest_root(path: bytes, roots: Iterable[bytes]) -> bytes | None:
    """The deepest of `roots` that holds `path`."""
    return max((root for root in roots if inside(path, root)), key=len, default=None)


def deafness(path: bytes, mounts: str) -> str:
    """Why inotify does not hear everything at and below `path`, by the text of /proc/self/mountinfo; empty where it
    does."""
    if is_deaf(kind := filesystem(path, mounts)):
        return f"it is on {kind}, where inotify does not hear everything"
    for point, kind in _mounted(mounts):
        if is_deaf(kind) and inside(point, path):
            return f"{printable(point)} in it is on {kind}, where inotify does not hear everything"
    return ""


def filesystem(path: bytes, mounts: str) -> str:
    """The type of the filesystem that holds `path`."""
    best, kind = -1, ""
    for point, mounted in _mounted(mounts):
        if inside(path, point) and len(point) >= best:
            best, kind = len(point), mounted
    return kind


def _mounted(mounts: str) -> Iterator[tuple[bytes, str]]:
    """Where filesystems are mounted, and their types."""
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        words = head.split()
        if len(words) >= 5 and tail:
            yield _unescaped(words[4]), tail.split()[0]


def _unescaped(text: str) -> bytes:
    """mountinfo writes blanks and backslashes of a path as three octal digits."""
    head, *parts = text.split("\\")
    return os.fsencode(head) + b"".join(bytes([int(part[:3], 8)]) + os.fsencode(part[3:]) for part in parts)


def is_deaf(kind: str) -> bool:
    """Whether inotify may miss writes on a filesystem of this type."""
    return kind.startswith(_DEAF) and kind != "fuseblk"


def read_mounts() -> str:
    """The kernel's table of mounts; empty when it cannot be read."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            return table.read()
    except OSError:
        return ""
