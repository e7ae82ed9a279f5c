"""Links, renames and removes exactly the file that was examined, never another one that has taken its name meanwhile.

Nothing that exists is replaced or written through: a link planted at a name that is about to be created is an error.
Folders are given as descriptors, so that a folder replaced by a link in between does not redirect a step.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from pyrotorque.linux.regular_files import read_regular_file

HERE: Final = -100
"""AT_FDCWD: as the folder of a FileName, its name is a path."""
_RENAME_NOREPLACE: Final = 1
_NO_SUCH_FLAG: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_NO_LINK: Final = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK: Final = 1 << 20
_NAME_MAX: Final = 255
_libc: Final = ctypes.CDLL(None, use_errno=True)

AnyPath: TypeAlias = "bytes | str | Path"


class OtherFile(OSError):
    """The name denotes another file than the one that was examined; that file is untouched."""

    def __init__(self, name: bytes) -> None:
        super().__init__(errno.ESTALE, "another file has this name now", os.fsdecode(name))


class FileName(NamedTuple):
    """A name in an open folder."""

    folder: int
    name: bytes


class FileEntry(NamedTuple):
    """What a name denotes: a link itself, not its target. A hard link to it, or a new name, has the same entry."""

    device: int
    inode: int
    kind: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "FileEntry":
        return cls(found.st_dev, found.st_ino, stat.S_IFMT(found.st_mode), found.st_size, found.st_mtime_ns)


def path_name(path: AnyPath) -> FileName:
    """The FileName of a path whose folders are trusted."""
    return FileName(HERE, os.fsencode(path))


def entry_at(at: FileName) -> FileEntry | None:
    """What `at` denotes now; None if nothing."""
    try:
        return FileEntry.of(os.stat(at.name, dir_fd=at.folder, follow_symlinks=False))
    except FileNotFoundError:
        return None


@contextmanager
def open_folder(path: bytes, below: bytes = b"") -> Generator[int]:
    """The descriptor of the folder `path`, or of the folder `below` in it, which is created if it does not exist.

    Links count in `path`, which the caller trusts, but not in `below`: OSError with ELOOP or ENOTDIR.
    """
    folder = os.open(path, _FOLDER)
    try:
        for part in below.split(b"/"):
            if part in (b"", b"."):
                continue
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def is_plain_name(folder: AnyPath, below: bytes, file: os.stat_result) -> bool:
    """Whether `below` in `folder`, which the caller trusts, is a name of `file` with no symbolic link on the way."""
    *folders, name = [part for part in below.split(b"/") if part not in (b"", b".")]
    opened: list[int] = []
    try:
        opened.append(os.open(folder, _FOLDER))
        for part in folders:
            opened.append(os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=opened[-1]))
        return os.path.samestat(os.stat(name, dir_fd=opened[-1], follow_symlinks=False), file)
    except OSError:
        return False
    finally:
        for each in opened:
            os.close(each)


def rename_noreplace(at: FileName, to: FileName) -> None:
    """Rename without replacing: FileExistsError if `to` exists, OSError with EXDEV across disks.

    Where that takes two steps (FUSE, NFS), a kill may leave the file with both names: see `unfinished_renames`.
    """
    if _libc.renameat2(at.folder, at.name, to.folder, to.name, _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in _NO_SUCH_FLAG:
        raise OSError(code, os.strerror(code), os.fsdecode(to.name))
    # This filesystem does not support RENAME_NOREPLACE. A hard link replaces nothing either; without links, look first.
    found = os.stat(at.name, dir_fd=at.folder, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        try:
            os.link(at.name, to.name, src_dir_fd=at.folder, dst_dir_fd=to.folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK or error.errno == errno.EXDEV:
                raise
        else:
            if entry_at(to) == FileEntry.of(found):
                os.unlink(at.name, dir_fd=at.folder)
                return
            # It numbers names, not files (FUSE without `use_ino`): only a rename keeps the number of the file.
            os.unlink(to.name, dir_fd=to.folder)
    if entry_at(to) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fsdecode(to.name))
    os.rename(at.name, to.name, src_dir_fd=at.folder, dst_dir_fd=to.folder)


def link_exactly(at: FileName, entry: FileEntry, to: FileName, temporary: bytes) -> None:
    """Give the file that is `entry` the second name `to`; a synced copy where no link can be made.

    Raises OtherFile if `at` denotes another file, FileExistsError if `to` exists. A copy in progress has the name
    `temporary` in the folder of `to`; one that was interrupted is replaced by the next.
    """
    try:
        os.link(at.name, to.name, src_dir_fd=at.folder, dst_dir_fd=to.folder, follow_symlinks=False)
    except FileNotFoundError:
        raise OtherFile(at.name) from None
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _copy(at, entry, to, temporary)
        return
    if entry_at(to) != entry:
        # Only the name that was just made: the file itself stays at `at`.
        os.unlink(to.name, dir_fd=to.folder)
        try:  # If `at` was not replaced, each name has a number of its own.
            _copy(at, entry, to, temporary)
        except OtherFile:
            _copy(at, entry, to, temporary)  # the link changed the file's times, which may be seen late


def remove_exactly(at: FileName, entry: FileEntry, temporary: bytes) -> None:
    """Remove the name `at` of the file that is `entry`, via the name `temporary` in the same folder.

    Raises OtherFile if `at` denotes another file, also one that was renamed over it at the last moment: that one is at
    its name again. After an interruption the next call with the same `temporary` finishes the removal.
    """
    aside = FileName(at.folder, temporary)
    if entry_at(aside) == entry == entry_at(at):
        os.unlink(temporary, dir_fd=at.folder)  # the rename to it was killed between two names: it begins again
    if entry_at(aside) is None:
        if entry_at(at) != entry:
            raise OtherFile(at.name)
        rename_noreplace(at, aside)
    if entry_at(aside) != entry:
        put_back(aside, at)
        raise OtherFile(at.name)
    os.unlink(temporary, dir_fd=at.folder)


def put_back(aside: FileName, at: FileName) -> bytes:
    """Rename `aside` to `at`, or to the next free name of the same suffix; returns the name."""
    for number in count():
        name = at.name if number == 0 else _numbered(at.name, number)
        with suppress(FileExistsError):
            rename_noreplace(aside, FileName(at.folder, name))
            return name
    raise AssertionError("count() ends")


def open_own(at: FileName) -> int:
    """A descriptor that appends to the file `at`, which is created if it does not exist.

    Raises OSError for what another program may have put there: a link, or a file that has another name as well. Its
    owner is no evidence: on some filesystems all files have the owner of the mount.
    """
    fd = os.open(at.name, _APPEND, 0o600, dir_fd=at.folder)
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        os.set_blocking(fd, True)
        return fd
    os.close(fd)
    raise OSError(errno.EEXIST, "it was not made by the copy: it is left untouched", os.fsdecode(at.name))


def make_own_folder(at: FileName) -> None:
    """Make the folder `at`, unless it exists; OSError where a link or a file has the name."""
    with suppress(FileExistsError):
        os.mkdir(at.name, 0o700, dir_fd=at.folder)
    if not stat.S_ISDIR(os.stat(at.name, dir_fd=at.folder, follow_symlinks=False).st_mode):
        raise OSError(
            errno.EEXIST, "this link or file was not made by the copy: it is left untouched", os.fsdecode(at.name)
        )


@contextmanager
def open_same_folder(at: FileName) -> Generator[int]:
    """The descriptor of the folder `at`; OSError with ELOOP or ENOTDIR where a link has the name."""
    folder = os.open(at.name, _FOLDER | os.O_NOFOLLOW, dir_fd=at.folder)
    try:
        yield folder
    finally:
        os.close(folder)


def real_path(folder: int) -> bytes:
    """The path that leads to this open folder now, without links; OSError if none does."""
    path = os.readlink(b"/proc/self/fd/%d" % folder)
    if not os.path.samestat(os.stat(path), os.fstat(folder)):
        raise OSError(errno.ESTALE, "the folder was moved or removed", os.fsdecode(path))
    return path


def read_text_file(path: AnyPath) -> bytes:
    """The content of a file that its owner edits.

    OSError where the name denotes a pipe, a socket or a folder, or more than 16 MiB, such as /dev/zero: none of these
    may stop its reader.
    """
    return read_regular_file(path, devices=True)


def sync_folder(folder: "int | Path") -> None:
    """Make renames in this folder survive a power failure."""
    fd = os.dup(folder) if isinstance(folder, int) else os.open(folder, _FOLDER)
    try:
        os.fsync(fd)
    except OSError as error:
        # Filesystems of other systems, and some network filesystems, do not support this for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _copy(at: FileName, entry: FileEntry, to: FileName, temporary: bytes) -> None:
    """All of it or nothing, also if the disk is full."""
    part = FileName(to.folder, temporary)
    with suppress(FileNotFoundError):
        os.unlink(part.name, dir_fd=part.folder)
    if stat.S_ISLNK(entry.kind):
        target = os.readlink(at.name, dir_fd=at.folder)
        if entry_at(at) != entry:
            raise OtherFile(at.name)
        os.symlink(target, to.name, dir_fd=to.folder)
        return
    reading = os.open(at.name, _READ, dir_fd=at.folder)
    try:
        _copy_content(reading, entry, at, part)
        rename_noreplace(part, to)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(part.name, dir_fd=part.folder)
        raise
    finally:
        os.close(reading)
    sync_folder(to.folder)


def _copy_content(reading: int, entry: FileEntry, at: FileName, part: FileName) -> None:
    before = os.fstat(reading)
    if FileEntry.of(before) != entry:
        raise OtherFile(at.name)
    writing = os.open(part.name, _CREATE, 0o600, dir_fd=part.folder)
    try:
        while block := os.read(reading, _BLOCK):
            left = memoryview(block)
            while left:
                left = left[os.write(writing, left) :]
        found = os.fstat(reading)
        # Size and times can be set to what they were, but not the time of the last change of the inode.
        if FileEntry.of(found) != entry or found.st_ctime_ns != before.st_ctime_ns:
            raise OtherFile(at.name)
        # Filesystems without modes refuse this.
        with suppress(PermissionError):
            os.fchmod(writing, stat.S_IMODE(found.st_mode))
        os.utime(writing, ns=(found.st_atime_ns, found.st_mtime_ns))
        os.fsync(writing)
    finally:
        os.close(writing)


def _numbered(name: bytes, number: int) -> bytes:
    stem, dot, suffix = name.rpartition(b".")
    if not stem:
        stem, dot, suffix = name, b"", b""
    ending = b".%d%b%b" % (number, dot, suffix)
    return stem[: _NAME_MAX - len(ending)] + ending
