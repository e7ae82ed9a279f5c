"""Mounted filesystems: the type that holds a path, which types are on a network, and free space."""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pyrotorque.linux.quotas import QuotaReader

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
# By the beginnings of their names, also behind `fuse.`. File locks and shared memory do not work across hosts on these.
_NETWORK: Final = (
    *("9p", "afp", "afs", "auristorfs", "beegfs", "ceph", "cifs", "coda", "curlftpfs", "davfs", "gluster"),
    *("gpfs", "juicefs", "lizardfs", "lustre", "mfs", "ncp", "nfs", "orangefs", "panfs", "pvfs", "smb", "weka"),
    *("blobfuse", "gcsfuse", "goofys", "google-drive", "gvfsd", "mount-s3", "mountpoint-s3", "onedrive", "rclone"),
    *("s3", "seaweedfs", "sshfs"),
)
# Other programs or other hosts may write to these without an inotify event (inotify(7), fuse(4)).
_UNWATCHABLE: Final = ("fuse", "gfs2", "ocfs2", "prl_fs", "vboxsf", "virtiofs", "vmhgfs")
# Parents of a path that are examined if the path itself does not exist yet.
_NOT_THERE: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENAMETOOLONG))


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo (proc(5))."""

    number: int
    parent: int
    point: bytes
    kind: str
    device: bytes = b""
    root: bytes = b"/"
    """The folder of the filesystem that is mounted: not `/` for a bind mount of a folder, or for a subvolume."""


class DiskSpace(NamedTuple):
    """A filesystem: bytes that this user may still write, as far as the disk and quotas allow, device number, the
    folder that was examined, size."""

    free: int
    device: int
    folder: Path
    size: int = 0


_quotas: Final = QuotaReader()


def read_mounts() -> list[Mount]:
    """The mounts that this process sees; empty if /proc cannot be read."""
    try:
        return parse_mounts(_MOUNTINFO.read_bytes())
    except OSError:
        return []


def parse_mounts(mountinfo: bytes) -> list[Mount]:
    """The mounts in the content of a mountinfo file; lines in an unknown format are skipped."""
    mounts: list[Mount] = []
    for line in mountinfo.split(b"\n"):
        head, _, tail = line.partition(b" - ")
        fields, kind = head.split(b" "), tail.partition(b" ")[0]
        if len(fields) >= 6 and kind and fields[0].isdigit() and fields[1].isdigit():
            kind_name = _unescaped(kind).decode("ascii", "replace")
            numbers, (root, point) = (int(fields[0]), int(fields[1])), map(_unescaped, fields[3:5])
            mounts.append(Mount(*numbers, point, kind_name, fields[2], root))
    return mounts


def filesystem_type(path: bytes, mounts: Sequence[Mount]) -> str:
    """The type of the filesystem that holds `path` (absolute, without symbolic links); empty if it is not known."""
    found = mount_of(path, mounts)
    return found.kind if found else ""


def mount_of(path: bytes, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that holds `path` (absolute, without symbolic links); None if it is not known.

    Follows the tree of mounts from the root as the kernel does: a mount below one that was mounted over is not seen.
    """
    numbers = {mount.number for mount in mounts}
    candidates = [mount for mount in mounts if is_within(path, mount.point)]
    found: Mount | None = None
    while candidates:
        inner = [mount for mount in candidates if _is_child(mount, found, numbers)]
        if not inner:
            break
        # Of several mounts on a folder of one parent, the first one found on the way down hides the others.
        shortest = min(len(mount.point) for mount in inner)
        found = [mount for mount in inner if len(mount.point) == shortest][-1]
        candidates.remove(found)
    return found


def location(path: bytes, mounts: Sequence[Mount]) -> bytes:
    """Where `path` is, under whatever name: two paths of one file have one location, and its folders contain it.

    Symbolic links and `..` are resolved, and bind mounts are replaced by the folder of the filesystem that they show.
    A path that does not exist is located by its nearest existing folder.
    """
    real = os.path.realpath(path)
    mount = mount_of(real, mounts)
    if mount is None:
        return real
    rest = real[len(mount.point.rstrip(b"/")) :]
    return b"%b:%b" % (mount.device, (mount.root.rstrip(b"/") + rest) or b"/")


class Locations:
    """`location` for many paths in a few folders, at one time: each folder is looked at once."""

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self.mounts = mounts
        self._points = {mount.point for mount in mounts}
        self._folders: dict[bytes, tuple[bytes, bytes]] = {}

    def of(self, path: bytes) -> bytes:
        """Where `path` is."""
        folder, name = os.path.split(path)
        if name in (b"", b".", b"..") or os.path.islink(path):
            return location(path, self.mounts)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder), location(folder, self.mounts)
        real, there = self._folders[folder]
        if os.path.join(real, name) in self._points:
            return location(path, self.mounts)
        return os.path.join(there, name)


def mounts_below(path: bytes, mounts: Sequence[Mount]) -> Iterator[Mount]:
    """The mounts in the tree at `path` which are not mounted over."""
    for mount in mounts:
        if is_within(mount.point, path) and mount.kind == filesystem_type(mount.point, mounts):
            yield mount


def is_network(kind: str) -> bool:
    """Whether the data of a filesystem of this type is on other hosts."""
    return kind.lower().removeprefix("fuse.").startswith(_NETWORK)


def is_watchable(kind: str) -> bool:
    """Whether inotify reports every change on a filesystem of this type."""
    return kind == "fuseblk" or not (is_network(kind) or kind.startswith(_UNWATCHABLE))


def is_within(path: bytes, folder: bytes) -> bool:
    """Whether `path` is `folder` or below it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def disk_space(directory: str) -> DiskSpace | None:
    """The filesystem that holds `directory`, or will hold it: then that of its nearest existing parent.

    None if `directory` is not absolute or the filesystem does not answer.
    """
    try:
        path = Path(directory).expanduser()
    except RuntimeError:  # the home directory of an unknown user
        return None
    return _first_space((path, *path.parents)) if path.is_absolute() else None


def _first_space(folders: Iterable[Path]) -> DiskSpace | None:
    for folder in folders:
        try:
            space = os.statvfs(folder)
            device, size = os.stat(folder).st_dev, space.f_blocks * space.f_frsize
            allowed = [quota.free for quota in _quotas.read(folder, device)]
            return DiskSpace(min([space.f_bavail * space.f_frsize, *allowed]), device, folder, size)
        except ValueError:  # a path that no kernel accepts
            continue
        except OSError as error:
            if error.errno not in _NOT_THERE:
                return None
    return None


def _is_child(mount: Mount, parent: Mount | None, numbers: set[int]) -> bool:
    if parent is None:
        return mount.parent not in numbers or mount.parent == mount.number
    return mount.parent == parent.number


def _unescaped(text: bytes) -> bytes:
    """The kernel writes space, tab, newline, `#` and backslash as a backslash and three octal digits."""
    head, *parts = text.split(b"\\")
    return head + b"".join(_character(part) for part in parts)


def _character(part: bytes) -> bytes:
    try:
        return bytes([int(part[:3], 8)]) + part[3:]
    except ValueError:
        return b"\\" + part
