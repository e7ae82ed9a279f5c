"""Copies a tree so that it can be interrupted anywhere: a file counts as copied when it was compared byte by byte.

The sign for that is the time of last change: the copy gets the source's, as far as its disk can keep it, only after the
comparison.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from pyrotorque.errors import UserError
from pyrotorque.jobs.move_journal import sync_folder
from pyrotorque.text import printable

_BLOCK: Final = 4 << 20
_GRAINS: Final = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
"""Nanoseconds to which disks cut times: NTFS and CIFS 100, exFAT 10 ms, ext3 and HFS+ a second, FAT two."""


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


def _same(source: os.stat_result, copy: os.stat_result) -> bool:
    if stat.S_IFMT(source.st_mode) != stat.S_IFMT(copy.st_mode):
        return False
    if not stat.S_ISREG(source.st_mode):
        return True
    changed = source.st_mtime_ns
    return source.st_size == copy.st_size and any(copy.st_mtime_ns == changed - changed % grain for grain in _GRAINS)


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
            _set_mode(target, stat.S_IMODE(found.st_mode))
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
        _set_mode(inside, stat.S_IMODE(path.lstat().st_mode) | stat.S_IRWXU)
        sync_folder(inside)


def _set_mode(path: Path, mode: int) -> None:
    # Disks without modes of their own refuse that.
    with suppress(PermissionError):
        os.chmod(path, mode)


def _check_room(source: Path, target: Path) -> None:
    wanted = _size(source) - (_size(target) if os.path.lexists(target) else 0)
    room = os.statvfs(target.parent)
    free = room.f_bavail * room.f_frsize
    if wanted > free:
        raise UserError(f"{printable(str(target.parent))} has {free} bytes free, {wanted} are needed")


def _size(path: Path) -> int:
    return sum(found.st_size for each in tree(path) if stat.S_ISREG((found := each.lstat()).st_mode))
