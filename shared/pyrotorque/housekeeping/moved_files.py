"""Moves files by name between two folders: never through a link, never over another file, only the file that was seen.

Nothing is ever removed or renamed with a path: each folder on the way is opened without following links.
"""

import errno
import os
import stat
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from itertools import count

from pyrotorque.errors import RemovalRefused
from pyrotorque.housekeeping.journal import RemovedFile
from pyrotorque.linux.files import (
    FileEntry,
    FileName,
    OtherFile,
    entry_at,
    remove_exactly,
    rename_noreplace,
    sync_folder,
)
from pyrotorque.linux.unfinished_renames import end_rename
from pyrotorque.text import printable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_REMOVING = b".pyrotorque-removing"
# Not the name with a suffix: that may be longer than a filesystem allows.
_ASIDE = b".pyrotorque-empty"


def open_root(path: bytes, identity: tuple[int, int] | None = None) -> int:
    """The descriptor of a folder, which must be the one that was seen (device, inode). Raises OSError."""
    folder = os.open(path, _FOLDER)
    found = os.fstat(folder)
    if identity is not None and (found.st_dev, found.st_ino) != identity:
        os.close(folder)
        raise OSError(errno.ESTALE, "another folder has this name now", os.fsdecode(path))
    return folder


@contextmanager
def parent_of(root: int, path: bytes, *, like: int | None = None) -> Generator[FileName]:
    """The name of a file below `root`, its folders opened without following links.

    With `like`, a folder that has the same ones, missing ones are created, with the modes that they have there.
    """
    *folders, name = path.split(b"/")
    folder, model = os.dup(root), os.dup(root if like is None else like)
    try:
        for part in folders:
            if part in (b"", b"."):
                continue
            if part == b"..":
                raise OSError(errno.EINVAL, "a path leads out of its folder", os.fsdecode(path))
            is_made = False
            if like is not None:
                model = _inner(model, part)
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=folder)
                    is_made = True
            folder = _inner(folder, part)
            if is_made:
                copy_mode(model, folder)
        if name in (b"", b".", b".."):
            raise OSError(errno.EINVAL, "a path does not name a file", os.fsdecode(path))
        yield FileName(folder, name)
    finally:
        os.close(folder)
        os.close(model)


def _inner(folder: int, name: bytes) -> int:
    """The descriptor of a folder in `folder`, which is closed."""
    inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    os.close(folder)
    return inner


def copy_mode(source: int, target: int) -> None:
    """Give an open folder the owner and the mode of another one, as far as that is allowed."""
    found = os.fstat(source)
    with suppress(OSError):
        os.fchown(target, found.st_uid, found.st_gid)
    with suppress(OSError):
        os.fchmod(target, stat.S_IMODE(found.st_mode) | stat.S_IRWXU)


def is_at(root: int, file: RemovedFile) -> bool:
    """Whether this very file has its name below `root`."""
    try:
        with parent_of(root, file.path) as at:
            found = entry_at(at)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return found is not None and _is(found, file, root)


def as_copied(root: int, files: Sequence[RemovedFile]) -> tuple[RemovedFile, ...]:
    """The same files, as a copy of the folder has them: regular ones with the recorded names and sizes.

    For a restore from a quarantine that was copied to another disk: it proves no content, which rTorrent checks.
    """
    found: list[RemovedFile] = []
    for file in files:
        with suppress(FileNotFoundError, NotADirectoryError), parent_of(root, file.path) as at:
            here = os.stat(at.name, dir_fd=at.folder, follow_symlinks=False)
            is_known = here.st_ino == file.inode and here.st_dev in (file.device, os.fstat(root).st_dev)
            if not is_known and stat.S_ISREG(here.st_mode) and here.st_size == file.size:
                found.append(RemovedFile(file.path_hex, here.st_dev, here.st_ino, here.st_size))
                continue
        found.append(file)
    return tuple(found)


def move(source: int, target: int, files: Iterable[RemovedFile]) -> None:
    """Move the files; those that are in `target` already are skipped. Raises OSError, RemovalRefused.

    A file that was replaced under its name is not moved, also if that happens in the last moment.
    """
    one_of_each: dict[bytes, bytes] = {}
    try:
        for file in files:
            if is_at(target, file):
                _end_move(source, target, file)
            else:
                _move_one(source, target, file)
                one_of_each[os.path.dirname(file.path)] = file.path
    finally:  # each folder once: for thousands of files, a disk that turns would take longer than a run may
        for path in one_of_each.values():
            with parent_of(target, path) as to:
                sync_folder(to.folder)
        if one_of_each:
            sync_folder(source)


def _move_one(source: int, target: int, file: RemovedFile) -> None:
    with parent_of(source, file.path) as at, parent_of(target, file.path, like=source) as to:
        found = entry_at(at)
        if found is None or not _is(found, file, source):
            raise RemovalRefused(f"{printable(file.path)} is not the file that was planned")
        if found.kind != stat.S_IFREG:
            raise RemovalRefused(f"{printable(file.path)} is not a regular file")
        rename_noreplace(at, to)
        moved = entry_at(to)
        if moved is None or not _is(moved, file, target):
            rename_noreplace(to, at)
            raise RemovalRefused(f"{printable(file.path)} was replaced while it was moved")


def _end_move(source: int, target: int, file: RemovedFile) -> None:
    """Remove the name of a file in `source` that a kill has left beside the one in `target`."""
    with (
        suppress(FileNotFoundError, NotADirectoryError),
        parent_of(source, file.path) as at,
        parent_of(target, file.path) as to,
    ):
        end_rename(at, to, b"%b-%d" % (_REMOVING, file.inode))


def move_empty_aside(root: int, aside: int, files: Iterable[RemovedFile]) -> list[RemovedFile]:
    """Move files without any data away from the names of `files`; returns them, by their names below `aside`.

    rTorrent creates such files when an item is started whose own ones are not there.
    """
    moved: list[RemovedFile] = []
    names = (b"%b-%d" % (_ASIDE, number) for number in count())
    for file in files:
        with suppress(FileNotFoundError, NotADirectoryError), parent_of(root, file.path) as at:
            found = os.stat(at.name, dir_fd=at.folder, follow_symlinks=False)
            if (found.st_dev, found.st_ino) == (file.device, file.inode) or not _has_no_data(at, found):
                continue
            name = next(name for name in names if entry_at(FileName(aside, name)) is None)
            rename_noreplace(at, FileName(aside, name))
            moved.append(RemovedFile(name.hex(), found.st_dev, found.st_ino, found.st_size))
    return moved


def _has_no_data(at: FileName, found: os.stat_result) -> bool:
    if not stat.S_ISREG(found.st_mode) or found.st_blocks or found.st_nlink != 1:
        return False
    # Some filesystems store a few bytes without a block.
    fd = os.open(at.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at.folder)
    try:
        return not os.read(fd, 1 << 16).strip(b"\0")
    finally:
        os.close(fd)


def _is(found: FileEntry, file: RemovedFile, root: int) -> bool:
    """Whether it is this very file. The same disk may have another device number since it was mounted again."""
    return found.inode == file.inode and found.device in (file.device, os.fstat(root).st_dev)


def missing(root: int, files: Sequence[RemovedFile]) -> list[RemovedFile]:
    """The files that do not have their names below `root`."""
    return [file for file in files if not is_at(root, file)]


def remove(root: int, files: Iterable[RemovedFile]) -> list[RemovedFile]:
    """Remove the names of the files below `root`; returns those that stay because another file has the name."""
    stay: list[RemovedFile] = []
    for number, file in enumerate(files):
        try:
            with parent_of(root, file.path) as at:
                temporary = b"%b-%d" % (_REMOVING, number)
                entry = entry_at(at) or entry_at(FileName(at.folder, temporary))
                if entry is None:
                    continue
                if not _is(entry, file, root):
                    stay.append(file)
                    continue
                remove_exactly(at, entry, temporary)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OtherFile:
            stay.append(file)
    return stay


def remove_empty_folders(root: int, files: Iterable[RemovedFile], keep: Iterable[tuple[int, int]] = ()) -> None:
    """Remove the folders in the paths of the files, deepest first, that are empty; never those in `keep`."""
    folders = {b"/".join(parts[:length]) for file in files
               for parts in (file.path.split(b"/"),) for length in range(1, len(parts))}  # fmt: skip
    kept = frozenset(keep)
    for folder in sorted(folders, key=lambda path: -path.count(b"/")):
        with suppress(OSError), parent_of(root, folder) as at:
            found = os.stat(at.name, dir_fd=at.folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) and (found.st_dev, found.st_ino) not in kept:
                os.rmdir(at.name, dir_fd=at.folder)
