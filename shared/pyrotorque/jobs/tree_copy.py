"""Copies a file tree so that any interruption is safe: a file counts as copied after a byte-by-byte comparison.

The marker for that is the modification time: the copy gets the source's, as precisely as its disk can store it, only
after the comparison.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.linux.files import make_own_folder, open_own, sync_folder
from pyrotorque.linux.filesystems import disk_space
from pyrotorque.text import printable

_BLOCK: Final = 4 << 20
_TIME_PRECISIONS: Final = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
"""Nanoseconds to which disks truncate times: NTFS and CIFS 100, exFAT 10 ms, ext3 and HFS+ a second, FAT two."""


class CopyDeadline(Exception):
    """The run must end; the next one continues from here."""


def copy_tree(source: Path, target: Path, check_deadline: Callable[[], None]) -> None:
    """Make `target` a copy of `source` (a file or a folder), synced and compared; continues an interrupted copy.

    `check_deadline` is called between blocks, and may raise. Raises MoveRefused for what cannot be copied, OSError.
    """
    _check_free_space(source, target)
    for path in tree(source):
        inside = target / path.relative_to(source) if path != source else target
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            make_own_folder(inside)
        elif stat.S_ISLNK(found.st_mode):
            if not inside.is_symlink():
                inside.symlink_to(os.readlink(path))
        elif stat.S_ISREG(found.st_mode):
            _copy_file(path, inside, found, check_deadline)
        else:
            kinds = "a file, folder or symbolic link"
            raise MoveRefused(f"{printable(str(path))} is not {kinds}: it cannot be moved to another disk", "other")
    _finish_folders(source, target)


def is_copied(source: Path, target: Path) -> bool:
    """Whether `target` is still a compared copy of everything that `source` holds now."""
    for path in tree(source):
        inside = target / path.relative_to(source) if path != source else target
        try:
            if not _same(path.lstat(), inside.lstat()):
                return False
        except FileNotFoundError:
            return False
    return True


def remove_copied(source: Path, target: Path) -> list[Path]:
    """Remove from `source` what `target` has a compared copy of; returns the paths that were kept."""
    kept: list[Path] = []
    for path in reversed(list(tree(source))):
        inside = target / path.relative_to(source) if path != source else target
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            try:
                path.rmdir()
            except OSError:
                kept.append(path)
        elif os.path.lexists(inside) and _same(found, inside.lstat()):
            path.unlink()
        else:
            kept.append(path)
    return kept


def tree(source: Path) -> Iterator[Path]:
    """The path and everything below it, folders before their content."""
    yield source
    if source.is_dir() and not source.is_symlink():
        for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
            yield from tree(Path(entry.path))


def remove_tree(path: Path) -> None:
    """Remove our own copy, if it exists."""
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
    truncated = (changed - changed % precision for precision in _TIME_PRECISIONS)
    return source.st_size == copy.st_size and copy.st_mtime_ns in truncated


def _copy_file(source: Path, target: Path, found: os.stat_result, check_deadline: Callable[[], None]) -> None:
    if os.path.lexists(target) and _same(found, target.lstat()):
        return
    for attempt in ("continue", "restart"):
        with open(source, "rb", opener=_no_link) as reading, open(open_own(target), "ab") as writing:
            begin = min(os.fstat(writing.fileno()).st_size, found.st_size) if attempt == "continue" else 0
            writing.truncate(begin)
            reading.seek(begin)
            _copy_blocks(reading, writing, check_deadline)
            writing.flush()
            os.fsync(writing.fileno())
            # Compare what is on the disk, not what is still in the page cache.
            os.posix_fadvise(writing.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if _equal(source, target, check_deadline):
            _set_mode(target, stat.S_IMODE(found.st_mode))
            os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
            return
    raise MoveRefused(
        f"{printable(str(source))} and its copy differ: the file changes during the copy, or a disk is failing",
        "changing",
    )


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _copy_blocks(reading: IO[bytes], writing: IO[bytes], check_deadline: Callable[[], None]) -> None:
    while block := reading.read(_BLOCK):
        writing.write(block)
        check_deadline()


def _equal(one: Path, other: Path, check_deadline: Callable[[], None]) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            left, right = first.read(_BLOCK), second.read(_BLOCK)
            if left != right:
                return False
            if not left:
                return True
            check_deadline()


def _finish_folders(source: Path, target: Path) -> None:
    for path in reversed([path for path in tree(source) if path.is_dir() and not path.is_symlink()]):
        inside = target / path.relative_to(source)
        _set_mode(inside, stat.S_IMODE(path.lstat().st_mode) | stat.S_IRWXU)
        sync_folder(inside)


def _set_mode(path: Path, mode: int) -> None:
    # Filesystems without modes refuse this.
    with suppress(PermissionError):
        os.chmod(path, mode)


def _check_free_space(source: Path, target: Path) -> None:
    needed = _size(source) - (_size(target) if os.path.lexists(target) else 0)
    space = disk_space(str(target.parent))
    if space is None:
        text = f"the free space of {printable(str(target.parent))} is unknown, {needed} bytes are needed"
        raise MoveRefused(text, "full")
    if needed > space.free:
        text = f"{printable(str(target.parent))} has {space.free} bytes free, {needed} are needed"
        raise MoveRefused(text, "full")


def _size(path: Path) -> int:
    return sum(found.st_size for each in tree(path) if stat.S_ISREG((found := each.lstat()).st_mode))
