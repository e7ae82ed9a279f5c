"""The names of one loaded metafile: finds out whether its path still denotes it, gives it another name, removes one.

Names are not files: between the load and the disposal another metafile may be renamed over the name. That one must be
loaded, not removed.
"""

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count

from pyrotorque.errors import MetafileError
from pyrotorque.linux.coarse_times import may_be_copied_time
from pyrotorque.linux.files import (
    FileEntry,
    FileName,
    entry_at,
    link_exactly,
    open_folder,
    put_back,
    remove_exactly,
)
from pyrotorque.linux.filesystems import is_within, read_mounts
from pyrotorque.linux.fstab import unmounted_point
from pyrotorque.metafile import MAX_SIZE
from pyrotorque.text import printable
from pyrotorque_watcher.rows import Row
from pyrotorque_watcher.scan.content import torrents_of
from pyrotorque_watcher.scan.files import int64
from pyrotorque_watcher.scan.open_file import Writers, read_lease

_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class MetafileNames:
    """A metafile, found at its path (or under the name that an interrupted removal gave it)."""

    path: bytes
    entry: FileEntry
    temporary: bytes

    @classmethod
    def find(cls, row: Row) -> "MetafileNames | None":
        """The file that was loaded; None if it is not at its path. Raises OSError."""
        temporary = f".pyrotorque-{row.token}".encode("ascii")
        with suppress(FileNotFoundError, NotADirectoryError), open_folder(os.path.dirname(row.path)) as folder:
            aside, at = FileName(folder, temporary), FileName(folder, os.path.basename(row.path))
            entry = entry_at(aside)
            if entry is not None and not _is_loaded_file(aside, row):
                put_back(aside, at)
                entry = None
            if entry is None and (entry := entry_at(at)) is not None and not _is_loaded_file(at, row):
                entry = None
            return None if entry is None else cls(row.path, entry, temporary)
        return None

    def link_to(self, base: bytes, below: bytes, name: bytes) -> bytes:
        """Give it a second name in the folder `below` of `base`, with a number if that is taken; the path.

        Links of other users count in `base` only. An earlier link, or a complete copy, is used again. Raises OSError,
        also where the disk of another folder is not mounted: the file would be hidden when it is, and `remove_untied`
        would erase its item.
        """
        if base != os.path.dirname(self.path):
            _require_disk(base)
        os.makedirs(base, exist_ok=True)
        with open_folder(os.path.dirname(self.path)) as here, open_folder(base, below) as there:
            at, aside = FileName(here, os.path.basename(self.path)), FileName(here, self.temporary)
            if entry_at(aside) == self.entry:
                at = aside
            for number in count():
                to = FileName(there, b"%b.%d" % (name, number) if number else name)
                if entry_at(to) != self.entry and not _is_copy(at, to):
                    try:
                        link_exactly(at, self.entry, to, self.temporary)
                    except FileExistsError:
                        continue
                return os.path.join(base, below, to.name)
        raise AssertionError("count() ends")

    def remove(self) -> None:
        """Remove the name at its path, while no program has the file open for writing.

        Raises OtherFile where the name denotes another file now, else OSError.
        """
        with open_folder(os.path.dirname(self.path)) as folder:
            at = FileName(folder, os.path.basename(self.path))
            with _without_writers(at):
                remove_exactly(at, self.entry, self.temporary)


def second_name(row: Row, suffix: bytes, folder: bytes | None) -> tuple[bytes, bytes, bytes] | None:
    """For `MetafileNames.link_to`: beside the file with `suffix`, or at the same place below `folder`.

    None if it is there already.
    """
    own, name = os.path.split(row.path)
    if folder is None:
        return None if row.path.endswith(suffix) else (own, b"", name + suffix)
    if is_within(row.path, folder):
        return None
    below = os.path.relpath(own, row.root)
    return folder, b"" if below == b"." else below, name


def _require_disk(folder: bytes) -> None:
    if point := unmounted_point(os.path.realpath(folder), read_mounts()):
        raise OSError(errno.ENODEV, f"/etc/fstab has a disk for {printable(point)}, which is not mounted")


@contextmanager
def _without_writers(at: FileName) -> Generator[None]:
    """Programs that open the file to write wait meanwhile. Raises OSError where one has it open already."""
    try:
        fd = os.open(at.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at.folder)
    except OSError:
        yield  # a link, or it is gone
        return
    try:
        with read_lease(fd) as writers:
            if writers is Writers.OPEN:
                raise OSError(errno.EBUSY, "a program has it open for writing", os.fsdecode(at.name))
            yield
    finally:
        os.close(fd)


def _is_loaded_file(at: FileName, row: Row) -> bool:
    """Whether `at` is the file of `row`: nothing about it changed, or its content is still that torrent.

    Its device number changes with each mount, and its ctime with each link.
    """
    try:
        found = os.stat(at.name, dir_fd=at.folder)
    except FileNotFoundError:
        return False  # a broken link
    file = row.file
    if not stat.S_ISREG(found.st_mode) or (found.st_size, int64(found.st_mtime_ns)) != file.version:
        return False
    same_inode = (int64(found.st_dev), int64(found.st_ino)) == (file.device, file.inode)
    if same_inode and int64(found.st_ctime_ns) == file.ctime_ns:
        return True
    return _hash_of(at, row.path) == row.load.info_hash if row.load.info_hash else same_inode


def _hash_of(at: FileName, path: bytes) -> str:
    """The info-hash of the first torrent in the file `at`, whose path is `path`; empty if there is none."""
    fd = os.open(at.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at.folder)
    with open(fd, "rb") as file:
        data = file.read(MAX_SIZE + 1)
    try:
        return torrents_of(path, data)[0][0].info_hash
    except (MetafileError, IndexError):
        return ""


def _is_copy(at: FileName, to: FileName) -> bool:
    """Whether `to` is a complete copy of `at` on another disk, made before an interruption."""
    one, other = entry_at(at), entry_at(to)
    if one is None or other is None or one.device == other.device or not stat.S_ISREG(one.kind):
        return False
    if (one.kind, one.size) != (other.kind, other.size) or not may_be_copied_time(one.mtime_ns, other.mtime_ns):
        return False
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with (
        open(os.open(at.name, flags, dir_fd=at.folder), "rb") as first,
        open(os.open(to.name, flags, dir_fd=to.folder), "rb") as second,
    ):
        while (block := first.read(_BLOCK)) == second.read(_BLOCK):
            if not block:
                return True
    return False
