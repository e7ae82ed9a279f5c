"""Copies a file tree so that any interruption is safe: a file counts as copied after a byte-by-byte comparison.

The markers for that are the modification time of the copy, which gets the source's, as precisely as its disk can store
it, only after the comparison, and a record of the source's state. A file without them is compared again. Both trees are
read and written through open folders: a link that replaces one of them meanwhile leads nowhere.
"""

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

from pyrotorque.jobs.compared_files import ComparedFiles, file_state, time_to_settle
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.linux.coarse_times import may_be_copied_time
from pyrotorque.linux.files import FileName, make_own_folder, open_own, open_same_folder, sync_folder
from pyrotorque.room import room
from pyrotorque.text import printable

_BLOCK: Final = 4 << 20
_SMALL: Final = 64 << 20
"""Files up to this size are compared while their item is stopped; larger ones in the next run, while it is active."""
_DEPTH_MAX: Final = 100
"""Folders within each other: each has two open descriptors."""
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CopyDeadline(Exception):
    """The run must end; the next one continues from here."""


class TreePlace(NamedTuple):
    """A file or folder by its name in an open folder; `path` is for messages."""

    at: FileName
    path: Path

    def inside(self, folder: int, name: str) -> "TreePlace":
        """The place of `name` in this folder, which is open as `folder`."""
        return TreePlace(FileName(folder, os.fsencode(name)), self.path / name)

    def stat(self) -> os.stat_result:
        """Of a link itself."""
        return os.stat(self.at.name, dir_fd=self.at.folder, follow_symlinks=False)

    def found(self) -> os.stat_result | None:
        """None if nothing is there."""
        try:
            return self.stat()
        except FileNotFoundError:
            return None


@contextmanager
def place_of(path: Path) -> Generator[TreePlace]:
    """The place of `path`, whose folders may be links."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield TreePlace(FileName(folder, os.fsencode(path.name)), path)
    finally:
        os.close(folder)


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


def is_copied(source: TreePlace, target: TreePlace, compared: ComparedFiles) -> bool:
    """Whether `target` is still a compared copy of everything that `source` holds now."""
    try:
        return all(_is_copied(each, copy, compared, _SMALL) for each, copy in _pairs(source, target))
    except (FileNotFoundError, NotADirectoryError):
        return False


class Leftovers(NamedTuple):
    """What stays at the old place: what the copy does not have, and what cannot be removed."""

    kept: list[Path]
    failed: list[tuple[Path, OSError]]


def remove_copied(source: TreePlace, target: TreePlace | None, compared: ComparedFiles) -> Leftovers:
    """Remove from `source` what `target` has a compared copy of; a file that cannot be removed does not keep others."""
    left = Leftovers([], [])
    _remove_copied(source, target, compared, left)
    return left


def _remove_copied(
    source: TreePlace, target: TreePlace | None, compared: ComparedFiles, left: Leftovers, depth: int = 0
) -> None:
    if stat.S_ISDIR(source.stat().st_mode):
        _remove_copied_folder(source, target, compared, left, depth)
    elif target is None or target.found() is None or not _is_copied(source, target, compared):
        left.kept.append(source.path)
    else:
        try:
            os.unlink(source.at.name, dir_fd=source.at.folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            left.failed.append((source.path, error))


def remove_tree(place: TreePlace) -> None:
    """Remove our own copy, if it exists."""
    found = place.found()
    if found is not None and stat.S_ISDIR(found.st_mode):
        shutil.rmtree(place.at.name, dir_fd=place.at.folder)
    elif found is not None:
        os.unlink(place.at.name, dir_fd=place.at.folder)


def _copy(source: TreePlace, target: TreePlace, hooks: CopyHooks, depth: int = 0) -> None:
    found = source.stat()
    if stat.S_ISDIR(found.st_mode):
        make_own_folder(target.at)
        with _names(source, depth) as (names, reading), open_same_folder(target.at) as writing:
            for name in names:
                _copy(source.inside(reading, name), target.inside(writing, name), hooks, depth + 1)
            _require_own_copies(source, names, writing)
            _set_mode(writing, stat.S_IMODE(found.st_mode) | stat.S_IRWXU)
            sync_folder(writing)
    elif stat.S_ISLNK(found.st_mode):
        text = os.readlink(source.at.name, dir_fd=source.at.folder)
        if (copy := target.found()) is not None and stat.S_ISLNK(copy.st_mode) and not _is_same_link(source, target):
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


@contextmanager
def _names(place: TreePlace, depth: int) -> Generator[tuple[list[str], int]]:
    """The names in a folder, and its descriptor."""
    if depth >= _DEPTH_MAX:
        shown = printable(str(place.path)[:200])
        raise MoveRefused(f"{shown}... has more than {_DEPTH_MAX} folders within each other", "other")
    with open_same_folder(place.at) as folder:
        yield sorted(os.listdir(folder)), folder


def _pairs(source: TreePlace, target: TreePlace, depth: int = 0) -> Iterator[tuple[TreePlace, TreePlace]]:
    """What `source` holds, folders before their content, and the place of each copy."""
    yield source, target
    if stat.S_ISDIR(source.stat().st_mode):
        with _names(source, depth) as (names, reading), open_same_folder(target.at) as writing:
            for name in names:
                yield from _pairs(source.inside(reading, name), target.inside(writing, name), depth + 1)


def _remove_copied_folder(
    source: TreePlace, target: TreePlace | None, compared: ComparedFiles, left: Leftovers, depth: int
) -> None:
    with _names(source, depth) as (names, reading), _open_copy(target) as writing:
        for name in names:
            copy = target.inside(writing, name) if target and writing is not None else None
            _remove_copied(source.inside(reading, name), copy, compared, left, depth + 1)
    try:
        os.rmdir(source.at.name, dir_fd=source.at.folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            left.kept.append(source.path)
        else:
            left.failed.append((source.path, error))


@contextmanager
def _open_copy(target: TreePlace | None) -> Generator[int | None]:
    """The descriptor of a folder of the copy; None where it has none."""
    if target is None:
        yield None
        return
    try:
        opened = open_same_folder(target.at)
        folder = opened.__enter__()
    except OSError:
        yield None
        return
    try:
        yield folder
    finally:
        opened.__exit__(None, None, None)


def _is_copied(source: TreePlace, copy: TreePlace, compared: ComparedFiles, largest: float = float("inf")) -> bool:
    """Whether the copy is what `source` is now. A file without a record is compared if it is not larger than that."""
    found, made = source.stat(), copy.stat()
    if stat.S_IFMT(found.st_mode) != stat.S_IFMT(made.st_mode):
        return False
    if stat.S_ISLNK(found.st_mode):
        return _is_same_link(source, copy)
    if not stat.S_ISREG(found.st_mode):
        return True
    if not _has_mark(found, made):
        return False
    return compared.has(source.path, found) or (found.st_size <= largest and _is_equal_now(source, copy, found))


def _is_same_link(source: TreePlace, copy: TreePlace) -> bool:
    texts = [os.readlink(each.at.name, dir_fd=each.at.folder) for each in (source, copy)]
    return texts[0] == texts[1]


def _has_mark(source: os.stat_result, copy: os.stat_result) -> bool:
    """Whether the copy has the size and the time that it gets after its comparison."""
    return source.st_size == copy.st_size and may_be_copied_time(source.st_mtime_ns, copy.st_mtime_ns)


def _is_equal_now(source: TreePlace, copy: TreePlace, found: os.stat_result) -> bool:
    """Whether both have the same bytes, and the source is still in the state `found`."""
    try:
        with _reading(source) as reading, _reading(copy) as other:
            is_equal = _is_equal(reading, other, lambda: None)
            return is_equal and file_state(os.fstat(reading.fileno())) == file_state(found) == file_state(source.stat())
    except FileNotFoundError:
        return False


def _copy_file(source: TreePlace, target: TreePlace, hooks: CopyHooks) -> None:
    with _reading(source) as reading:
        found = os.fstat(reading.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ESTALE, "another file has this name now", str(source.path))
        copy = target.found()
        if copy is not None and _has_mark(found, copy) and hooks.compared.has(source.path, found):
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
    if unsettled and found.st_size > _SMALL:
        time.sleep(unsettled)
        unsettled = 0.0
    # A mapped page that was written before changes the file's times again only after it is on the disk.
    with suppress(OSError):
        os.fsync(reading.fileno())
    found = os.fstat(reading.fileno())
    with _reading(copy) as second:
        if not os.path.samestat(os.fstat(second.fileno()), os.fstat(written.fileno())):
            raise OSError(errno.ESTALE, "another file has this name now", str(copy.path))
        if not _is_equal(reading, second, hooks.check_deadline):
            return None
    if file_state(os.fstat(reading.fileno())) != file_state(found):
        return None
    if not unsettled:
        hooks.compared.add(source.path, found)
    return found


def _reading(place: TreePlace) -> IO[bytes]:
    return open(os.open(place.at.name, _READ, dir_fd=place.at.folder), "rb")


def _copy_blocks(reading: IO[bytes], writing: IO[bytes], hooks: CopyHooks) -> None:
    while block := reading.read(_BLOCK):
        writing.write(block)
        hooks.copied(len(block))
        hooks.check_deadline()


def _is_equal(first: IO[bytes], second: IO[bytes], check_deadline: Callable[[], None]) -> bool:
    first.seek(0)
    while True:
        left, right = first.read(_BLOCK), second.read(_BLOCK)
        if left != right:
            return False
        if not left:
            return True
        check_deadline()


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


def tree_size(place: TreePlace, depth: int = 0) -> int:
    """0 if nothing is there."""
    found = place.found()
    if found is None or not stat.S_ISDIR(found.st_mode):
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else 0
    with _names(place, depth) as (names, folder):
        return sum(tree_size(place.inside(folder, name), depth + 1) for name in names)
