"""Lists folders and inspects files, whatever their names, and finds out where inotify misses changes."""

import errno
import os
import stat
from collections.abc import Generator, Iterable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from pyrotorque.linux.filesystems import Mount, filesystem_type, is_watchable, is_within, mounts_below
from pyrotorque.text import printable
from pyrotorque_watcher.rows import FoundFile

_SUFFIXES = (b".torrent", b".magnet")
WATCH_INI = b"watch.ini"
# Files with the name of a metafile that are none: AppleDouble files of macOS, unfinished uploads of lftp. All other
# programs whose temporary files are documented use names that do not end in .torrent.
_COMPANIONS: Final = (b"._", b".in.")
# Folders in which other programs keep copies of files: attributes (netatalk, macOS archives, Synology), unfinished
# ones (rsync), old and deleted versions (Syncthing, Resilio Sync, Dropbox, desktops, NAS systems, snapshots).
_COMPANION_FOLDERS: Final = frozenset(
    (
        *(b".AppleDouble", b"__MACOSX", b"@eaDir", b".rsync-partial", b".~tmp~", b".stversions", b".sync"),
        *(b".dropbox.cache", b".Trash", b".Trashes", b"$RECYCLE.BIN", b"#recycle", b"@Recycle", b".recycle"),
        *(b".snapshot", b".snapshots", b".zfs", b"lost+found", b".pyrotorque-quarantine"),
    )
)
_PART: Final = 1000  # entries of a folder
# What the kernel answers if there is no such file. Any other error is no evidence about the file.
_ABSENT: Final = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG))
# Errors that an owner must correct; all others may pass by themselves.
_LASTING: Final = frozenset((errno.EACCES, errno.EPERM))


class Listing(NamedTuple):
    """One folder: its metafiles in the order of their names, its sub-folders, and why it could not be read, if so."""

    files: list[FoundFile]
    folders: list[bytes]
    error: OSError | None = None

    @property
    def may_pass(self) -> bool:
        """Whether reading it again may succeed without a change by its owner."""
        return self.error is not None and self.error.errno not in _LASTING


def is_metafile(name: bytes) -> bool:
    """Whether a file of this name is one to load."""
    return name[-8:].lower().endswith(_SUFFIXES) and not name.startswith(_COMPANIONS)


def is_companion(folder: bytes) -> bool:
    """Whether a folder of this name holds copies that other programs keep: nothing in it is loaded."""
    return folder in _COMPANION_FOLDERS or folder.startswith(b".Trash-")


def is_watched(name: bytes) -> bool:
    """Whether changes of a file of this name are reported: a metafile or a watch.ini."""
    return is_metafile(name) or name == WATCH_INI


def inspect(path: bytes) -> FoundFile | None:
    """The regular file at `path` (a link to one counts); None if there is none. Raises OSError if that is not known."""
    try:
        found = os.stat(path)
    except ValueError:
        return None
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    return found_file(path, found) if stat.S_ISREG(found.st_mode) else None


def look(path: bytes) -> FoundFile | None:
    """The regular file at `path`; None if there is none, or if it cannot be inspected now."""
    try:
        return inspect(path)
    except OSError:
        return None


def found_file(path: bytes, found: os.stat_result) -> FoundFile:
    """The file at `path` with this status."""
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


def is_absent(path: bytes) -> bool:
    """Whether there is certainly nothing at `path`."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno in _ABSENT
    return False


def listing(folder: bytes, *, follow: bool) -> Listing:
    """What is in `folder` now; with `follow`, links to folders are folders, too."""
    parts = list_in_parts(folder, follow=follow)
    while True:
        try:
            next(parts)
        except StopIteration as end:
            found: Listing = end.value
            return found


def list_in_parts(folder: bytes, *, follow: bool) -> Generator[None, None, Listing]:
    """The same in parts of a few milliseconds: a folder may have 100,000 files."""
    files: list[FoundFile] = []
    folders: list[bytes] = []
    error: OSError | None = None
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                error = _sort(entry, files, folders, follow) or error
                if number % _PART == _PART - 1:
                    yield
    except FileNotFoundError:
        return Listing([], [])
    except OSError as unreadable:
        error = unreadable
    files.sort(key=attrgetter("path"))
    return Listing(files, sorted(folders), error)


def _sort(entry: "os.DirEntry[bytes]", files: list[FoundFile], folders: list[bytes], follow: bool) -> OSError | None:
    """Add `entry` to the list it belongs to; returns an error that may pass."""
    try:
        if entry.is_dir(follow_symlinks=follow):
            if not is_companion(entry.name):
                folders.append(entry.path)
        elif is_metafile(entry.name) and stat.S_ISREG((found := entry.stat()).st_mode):
            files.append(found_file(entry.path, found))
    except OSError as error:  # gone, a broken link, a link to what this user may not see, or a passing error
        return None if error.errno in _ABSENT | _LASTING else error
    return None


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
