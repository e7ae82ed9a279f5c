"""Copies a tree so that it can be interrupted anywhere: a file counts as copied when it was compared byte by byte.

The sign for that is the time of last change: the copy gets the source's only after the comparison.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from pyrotorque.errors import UserError
from pyrotorque.text import printable

_BLOCK: Final = 4 << 20


class OutOfTime(Exception):
    """The run must end; the next one goes on from here."""


def copy_tree(source: Path, target: Path, pause: Callable[[], None]) -> None:
    """Make `target` a copy of `source` (a file or a folder), on the disk and compared; goes on where it was before.

    `pause` is called between blocks, and may raise. Raises UserError for what cannot be copied, OSError.
    """
    _check_room(source, target)
    for path in tree(source):
        inside = target / path.relative_to(source) if path != source else target
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            inside.mkdir(mode=0o700, exist_ok=True)
        elif stat.S_ISLNK(found.st_mode):
            if not inside.is_symlink():
                inside.symlink_to(os.readlink(path))
        elif stat.S_ISREG(found.st_mode):
            _copy_file(path, inside, found, pause)
        else:
            raise UserError(f"{printable(str(path))} is no file, folder or link: it cannot be moved to another disk")
    _finish_folders(source, target)


def is_copied(source: Path, target: Path) -> bool:
    """Whether `target` is still a compared copy of all that `source` holds now."""
    for path in tree(source):
        inside = target / path.relative_to(source) if path != source else target
        try:
            if not _same(path.lstat(), inside.lstat()):
                return False
        except FileNotFoundError:
            return False
    return True


def remove_copied(source: Path, target: Path) -> list[Path]:
    """Remove from `source` what `target` has a compared copy of; returns what had to stay."""
    left: list[Path] = []
    for path in reversed(list(tree(source))):
        inside = target / path.relative_to(source) if path != source else target
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            try:
                path.rmdir()
            except OSError:
                left.append(path)
        elif os.path.lexists(inside) and _same(found, inside.lstat()):
            path.unlink()
        else:
            left.append(path)
    return left


def tree(source: Path) -> Iterator[Path]:
    """The path and all that is below it, folders before what they hold."""
    yield source
    if source.is_dir() and not source.is_symlink():
        for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
            yield from tree(Path(entry.path))


def remove_tree(path: Path) -> None:
    """Remove a copy of ours that is not wanted any more."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    if stat.S_IFMT(one.st_mode) != stat.S_IFMT(other.st_mode):
        return False
    if not stat.S_ISREG(one.st_mode):
        return True
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _copy_file(source: Path, target: Path, found: os.stat_result, pause: Callable[[], None]) -> None:
    if os.path.lexists(target) and _same(found, target.lstat()):
        return
    for attempt in ("what is there", "from the beginning"):
        with source.open("rb") as reading, target.open("ab") as writing:
            begin = min(os.fstat(writing.fileno()).st_size, found.st_size) if attempt == "what is there" else 0
            writing.truncate(begin)
            reading.seek(begin)
            _copy_blocks(reading, writing, pause)
            writing.flush()
            os.fsync(writing.fileno())
            # Read again what the disk has, not what is still in memory.
            os.posix_fadvise(writing.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if _equal(source, target, pause):
            os.chmod(target, stat.S_IMODE(found.st_mode))
            os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
            return
    raise UserError(
        f"{printable(str(source))} and its copy differ: it changes while it is copied, or a disk is failing"
    )


def _copy_blocks(reading: IO[bytes], writing: IO[bytes], pause: Callable[[], None]) -> None:
    while block := reading.read(_BLOCK):
        writing.write(block)
        pause()


def _equal(one: Path, other: Path, pause: Callable[[], None]) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            left, right = first.read(_BLOCK), second.read(_BLOCK)
            if left != right:
                return False
            if not left:
                return True
            pause()


def _finish_folders(source: Path, target: Path) -> None:
    for path in reversed([path for path in tree(source) if path.is_dir() and not path.is_symlink()]):
        inside = target / path.relative_to(source)
        os.chmod(inside, stat.S_IMODE(path.lstat().st_mode) | stat.S_IRWXU)
        fd = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)


def _check_room(source: Path, target: Path) -> None:
    wanted = _size(source) - (_size(target) if os.path.lexists(target) else 0)
    room = os.statvfs(target.parent)
    free = room.f_bavail * room.f_frsize
    if wanted > free:
        raise UserError(f"{printable(str(target.parent))} has {free} bytes free, {wanted} are needed")


def _size(path: Path) -> int:
    return sum(found.st_size for each in tree(path) if stat.S_ISREG((found := each.lstat()).st_mode))
