"""Copies a file tree so that any interruption is safe; when a file counts as copied: `tree_comparison`."""

import errno
import os
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Final, NamedTuple

from pyrotorque.jobs.compared_files import ComparedFiles, file_state, time_to_settle
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.jobs.tree_comparison import SMALL, has_mark, is_equal, is_same_link
from pyrotorque.jobs.tree_places import TreePlace, names_in, open_file, tree_size
from pyrotorque.linux.files import make_own_folder, open_own, open_same_folder, sync_folder
from pyrotorque.room import room
from pyrotorque.text import printable

_BLOCK: Final = 4 << 20


class CopyDeadline(Exception):
    """The run must end; the next one continues from here."""


class CopyHooks(NamedTuple):
    """`check_deadline` is called between blocks, and may raise; `copied` gets the bytes that were copied since."""

    check_deadline: Callable[[], None]
    copied: Callable[[int], None]
    compared: ComparedFiles


def copy_tree(source: TreePlace, target: TreePlace, hooks: CopyHooks) -> None:
    """Make `target` a copy of `source` (a file or a folder), synced and compared; continues an interrupted copy.

    Raises MoveRefused for what cannot be copied, OSError.
    """
    _check_free_space(source, target)
    _copy(source, target, hooks)


def _copy(source: TreePlace, target: TreePlace, hooks: CopyHooks, depth: int = 0) -> None:
    found = source.stat()
    if stat.S_ISDIR(found.st_mode):
        make_own_folder(target.at)
        with names_in(source, depth) as (names, reading), open_same_folder(target.at) as writing:
            for name in names:
                _copy(source.inside(reading, name), target.inside(writing, name), hooks, depth + 1)
            _require_own_copies(source, names, writing)
            _set_mode(writing, stat.S_IMODE(found.st_mode) | stat.S_IRWXU)
            sync_folder(writing)
    elif stat.S_ISLNK(found.st_mode):
        text = os.readlink(source.at.name, dir_fd=source.at.folder)
        if (copy := target.found()) is not None and stat.S_ISLNK(copy.st_mode) and not is_same_link(source, target):
            os.unlink(target.at.name, dir_fd=target.at.folder)
            copy = None
        if copy is None or not stat.S_ISLNK(copy.st_mode):
            os.symlink(text, target.at.name, dir_fd=target.at.folder)
    elif stat.S_ISREG(found.st_mode):
        _copy_file(source, target, hooks)
    else:
        kinds = "a file, folder or symbolic link"
        raise MoveRefused(f"{printable(str(source.path))} is not {kinds}: it cannot be moved to another disk", "other")


def _require_own_copies(source: TreePlace, names: Sequence[str], writing: int) -> None:
    """Raise MoveRefused if two names of a folder are one file in the open folder of its copy.

    Then the second one has replaced the first one's content, and only the copy has less names: it may show them in
    another form, and has inodes of its own for each on some disks (FUSE).
    """
    copies = set(os.listdir(writing))
    if len(copies) >= len(names):
        return
    lacking = next(name for name in names if name not in copies)
    raise MoveRefused(
        f"{printable(str(source.path / lacking))} and another file there would be one file on the target's disk, which "
        "ignores case, or the form of characters",
        "target",
    )


def _copy_file(source: TreePlace, target: TreePlace, hooks: CopyHooks) -> None:
    with open_file(source) as reading:
        found = os.fstat(reading.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ESTALE, "another file has this name now", str(source.path))
        copy = target.found()
        if copy is not None and has_mark(found, copy) and hooks.compared.has(source.path, found):
            hooks.copied(found.st_size)
            return
        for attempt in ("continue", "restart"):
            with open(open_own(target.at), "ab") as writing:
                begin = min(os.fstat(writing.fileno()).st_size, found.st_size) if attempt == "continue" else 0
                writing.truncate(begin)
                reading.seek(begin)
                hooks.copied(begin)
                _copy_blocks(reading, writing, hooks)
                writing.flush()
                os.fsync(writing.fileno())
                # Compare what is on the disk, not what is still in the page cache.
                os.posix_fadvise(writing.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                state = _compared_state(source, reading, target, writing, hooks)
                if state is not None:
                    _set_mode(writing.fileno(), stat.S_IMODE(state.st_mode))
                    os.utime(writing.fileno(), ns=(state.st_atime_ns, state.st_mtime_ns))
                    return
    raise MoveRefused(
        f"{printable(str(source.path))} and its copy differ: the file changes during the copy, or a disk is failing",
        "changing",
    )


def _compared_state(
    source: TreePlace, reading: IO[bytes], copy: TreePlace, written: IO[bytes], hooks: CopyHooks
) -> os.stat_result | None:
    """The state of the source in which it is equal to its copy, recorded; None if they differ, or it changes."""
    found = os.fstat(reading.fileno())
    unsettled = time_to_settle(found, time.time())
    if unsettled and found.st_size > SMALL:
        time.sleep(unsettled)
        unsettled = 0.0
    # A mapped page that was written before changes the file's times again only after it is on the disk.
    with suppress(OSError):
        os.fsync(reading.fileno())
    found = os.fstat(reading.fileno())
    with open_file(copy) as second:
        if not os.path.samestat(os.fstat(second.fileno()), os.fstat(written.fileno())):
            raise OSError(errno.ESTALE, "another file has this name now", str(copy.path))
        if not is_equal(reading, second, hooks.check_deadline):
            return None
    if file_state(os.fstat(reading.fileno())) != file_state(found):
        return None
    if not unsettled:
        hooks.compared.add(source.path, found)
    return found


def _copy_blocks(reading: IO[bytes], writing: IO[bytes], hooks: CopyHooks) -> None:
    while block := reading.read(_BLOCK):
        writing.write(block)
        hooks.copied(len(block))
        hooks.check_deadline()


def _set_mode(fd: int, mode: int) -> None:
    # Filesystems without modes refuse this.
    with suppress(PermissionError):
        os.fchmod(fd, mode)


def _check_free_space(source: TreePlace, target: TreePlace) -> None:
    needed = tree_size(source) - tree_size(target)
    folder = target.path.parent
    space = room(f"/proc/self/fd/{target.at.folder}")
    if space is None:
        raise MoveRefused(f"the free space of {printable(str(folder))} is unknown, {needed} bytes are needed", "full")
    if needed > space.free:
        text = f"{printable(str(folder))} has {space.free} bytes free, {needed} are needed"
        raise MoveRefused(text, "full", about=f"{printable(str(folder))} is full")
