"""What is on disk of the files of an item: which inode, how large, how many names; links are followed.

A symbolic link is no name of the file that it leads to: it leads nowhere when that name is gone.
"""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from pyrotorque.housekeeping.session_items import ContentFile
from pyrotorque.long_work import WorkReport

# No file has a name that is too long.
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_BLOCK: Final = 512  # of st_blocks (stat(2))


class Inode(NamedTuple):
    """A file, under whatever names."""

    device: int
    number: int


class DiskFile(NamedTuple):
    """What a path leads to; `links` is the number of its names, `occupied` what its last name frees, in bytes."""

    inode: Inode
    kind: int
    size: int
    links: int
    occupied: int
    mtime_ns: int = 0

    @classmethod
    def of(cls, found: os.stat_result) -> "DiskFile":
        inode = Inode(found.st_dev, found.st_ino)
        return cls(
            inode,
            stat.S_IFMT(found.st_mode),
            found.st_size,
            found.st_nlink,
            found.st_blocks * _BLOCK,
            found.st_mtime_ns,
        )

    def is_still(self, found: os.stat_result) -> bool:
        """Whether `of(found)` is equal to this; without making it, because that is done for all files."""
        (device, number), kind, size, links, occupied, mtime_ns = self
        return (
            number == found.st_ino
            and device == found.st_dev
            and size == found.st_size
            and links == found.st_nlink
            and mtime_ns == found.st_mtime_ns
            and occupied == found.st_blocks * _BLOCK
            and kind == stat.S_IFMT(found.st_mode)
        )


@dataclass(frozen=True, slots=True)
class ItemContent:
    """The files of an item: absolute `directory`, and the files in it. `owner` is empty for an item of this rTorrent,
    else it names the other client. `is_known` is false for a magnet link without metadata: it may have any files."""

    info_hash: str
    name: str
    """The torrent's own name; bytes that are not UTF-8 are kept as surrogates."""
    directory: bytes
    files: tuple[ContentFile, ...]
    multi_file: bool = True
    owner: str = ""
    is_known: bool = True
    piece_length: int = 0

    def path(self, file: ContentFile) -> bytes:
        return os.path.join(self.directory, file.path)


@dataclass(frozen=True, slots=True)
class OwnedFile:
    """A file of an item and what is on disk: None if nothing is, or with `problem` if that cannot be seen."""

    file: ContentFile
    path: bytes
    found: DiskFile | None
    problem: str = ""
    link_target: bytes = b""
    """Where `path` leads to if it is a symbolic link, also if nothing is there."""

    @property
    def name(self) -> bytes:
        """The path of the name that the file goes with."""
        return self.link_target or self.path


Look = Callable[[bytes], os.stat_result]
"""Looks at a path itself, as `os.lstat`."""


def counted_look(work: WorkReport) -> Look:
    """`os.lstat`, whose calls `work` counts."""

    def look(path: bytes) -> os.stat_result:
        work.advance()
        return os.lstat(path)

    return look if work.is_shown else os.lstat


def look_at(content: ItemContent, look: Look = os.lstat) -> tuple[OwnedFile, ...]:
    """The files of an item on disk, links followed; names in other encodings count as further files."""
    found: list[OwnedFile] = []
    for file in content.files:
        found.append(_owned(file, content.path(file), look))
        for other in file.others:
            alternative = _owned(file, os.path.join(content.directory, other), look)
            found += [alternative] if alternative.found or alternative.problem else []
    return tuple(found)


def look_again(content: ItemContent, before: tuple[OwnedFile, ...], look: Look = os.lstat) -> tuple[OwnedFile, ...]:
    """The same as `look_at`; `before` itself if nothing that counts has changed since."""
    if any(file.others for file in content.files) or any(each.link_target for each in before):
        return _unless_same(look_at(content, look), before)
    for each in before:
        try:
            found = look(each.path)
        except OSError as error:
            if each.found is None and not each.problem and error.errno in _ABSENT:
                continue
            return look_at(content, look)
        except ValueError:
            continue
        if each.found is None or not each.found.is_still(found):
            return look_at(content, look)
    return before


def _unless_same(found: tuple[OwnedFile, ...], before: tuple[OwnedFile, ...]) -> tuple[OwnedFile, ...]:
    return before if found == before else found


def _owned(file: ContentFile, path: bytes, look: Look) -> OwnedFile:
    target = b""
    try:
        found = look(path)
        if stat.S_ISLNK(found.st_mode):
            target = os.path.realpath(path)
            found = os.stat(path)
        return OwnedFile(file, path, DiskFile.of(found), link_target=target)
    except OSError as error:
        if error.errno in _ABSENT:
            return OwnedFile(file, path, None, link_target=target)
        return OwnedFile(file, path, None, error.strerror or str(error), link_target=target)
    except ValueError:  # no kernel accepts this path
        return OwnedFile(file, path, None)
