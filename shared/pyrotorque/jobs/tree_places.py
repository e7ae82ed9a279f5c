"""Files and folders by their names in open folders: a link that replaces one meanwhile leads nowhere."""

import os
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.linux.files import FileName, open_same_folder
from pyrotorque.text import printable

_DEPTH_MAX: Final = 100
"""Folders within each other: each has two open descriptors."""
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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


@contextmanager
def names_in(place: TreePlace, depth: int) -> Generator[tuple[list[str], int]]:
    """The names in a folder, and its descriptor."""
    if depth >= _DEPTH_MAX:
        shown = printable(str(place.path)[:200])
        raise MoveRefused(f"{shown}... has more than {_DEPTH_MAX} folders within each other", "other")
    with open_same_folder(place.at) as folder:
        yield sorted(os.listdir(folder)), folder


def remove_tree(place: TreePlace) -> None:
    """Remove our own copy, if it exists."""
    found = place.found()
    if found is not None and stat.S_ISDIR(found.st_mode):
        shutil.rmtree(place.at.name, dir_fd=place.at.folder)
    elif found is not None:
        os.unlink(place.at.name, dir_fd=place.at.folder)


def tree_size(place: TreePlace, depth: int = 0) -> int:
    """0 if nothing is there."""
    found = place.found()
    if found is None or not stat.S_ISDIR(found.st_mode):
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else 0
    with names_in(place, depth) as (names, folder):
        return sum(tree_size(place.inside(folder, name), depth + 1) for name in names)


def open_file(place: TreePlace) -> IO[bytes]:
    return open(os.open(place.at.name, _READ, dir_fd=place.at.folder), "rb")
