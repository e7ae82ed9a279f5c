"""Whether a file tree is a compared copy of another one: a file counts as copied after a byte-by-byte comparison.

The markers for that are the modification time of the copy, which gets the source's, as precisely as its disk can store
it, only after the comparison, and a record of the source's state. A file without them is compared again.
"""

import os
import stat
from collections.abc import Callable, Iterator
from typing import IO, Final

from pyrotorque.jobs.compared_files import ComparedFiles, file_state
from pyrotorque.jobs.tree_places import TreePlace, names_in, open_file
from pyrotorque.linux.coarse_times import may_be_copied_time
from pyrotorque.linux.files import open_same_folder

_BLOCK: Final = 4 << 20
SMALL: Final = 64 << 20
"""Files up to this size are compared while their item is stopped; larger ones in the next run, while it is active."""


def is_copied(source: TreePlace, target: TreePlace, compared: ComparedFiles) -> bool:
    """Whether `target` is still a compared copy of everything that `source` holds now."""
    try:
        return all(is_place_copied(each, copy, compared, SMALL) for each, copy in _pairs(source, target))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _pairs(source: TreePlace, target: TreePlace, depth: int = 0) -> Iterator[tuple[TreePlace, TreePlace]]:
    """What `source` holds, folders before their content, and the place of each copy."""
    yield source, target
    if stat.S_ISDIR(source.stat().st_mode):
        with names_in(source, depth) as (names, reading), open_same_folder(target.at) as writing:
            for name in names:
                yield from _pairs(source.inside(reading, name), target.inside(writing, name), depth + 1)


def is_place_copied(source: TreePlace, copy: TreePlace, compared: ComparedFiles, largest: float = float("inf")) -> bool:
    """Whether the copy is what `source` is now. A file without a record is compared if it is not larger than that."""
    found, made = source.stat(), copy.stat()
    if stat.S_IFMT(found.st_mode) != stat.S_IFMT(made.st_mode):
        return False
    if stat.S_ISLNK(found.st_mode):
        return is_same_link(source, copy)
    if not stat.S_ISREG(found.st_mode):
        return True
    if not has_mark(found, made):
        return False
    return compared.has(source.path, found) or (found.st_size <= largest and _is_equal_now(source, copy, found))


def is_same_link(source: TreePlace, copy: TreePlace) -> bool:
    texts = [os.readlink(each.at.name, dir_fd=each.at.folder) for each in (source, copy)]
    return texts[0] == texts[1]


def has_mark(source: os.stat_result, copy: os.stat_result) -> bool:
    """Whether the copy has the size and the time that it gets after its comparison."""
    return source.st_size == copy.st_size and may_be_copied_time(source.st_mtime_ns, copy.st_mtime_ns)


def _is_equal_now(source: TreePlace, copy: TreePlace, found: os.stat_result) -> bool:
    """Whether both have the same bytes, and the source is still in the state `found`."""
    try:
        with open_file(source) as reading, open_file(copy) as other:
            same = is_equal(reading, other, lambda: None)
            return same and file_state(os.fstat(reading.fileno())) == file_state(found) == file_state(source.stat())
    except FileNotFoundError:
        return False


def is_equal(first: IO[bytes], second: IO[bytes], check_deadline: Callable[[], None]) -> bool:
    first.seek(0)
    while True:
        left, right = first.read(_BLOCK), second.read(_BLOCK)
        if left != right:
            return False
        if not left:
            return True
        check_deadline()
