"""Which files in a tree are data of an item: such a metafile stays at its place, and no item is tied to it.

A tree may contain rTorrent's download folder. Without this, a torrent that contains metafiles would lose them.
"""

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple

from pyrotorque.errors import RTorrentFault
from pyrotorque.fields.converters import path as path_of
from pyrotorque.linux.filesystems import is_watchable, mount_of, read_mounts
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable

_COLUMNS: Final = ("d.hash=", "d.base_path=", "d.directory=", "d.name=", "d.is_multi_file=", "d.completed_chunks=")
_FRESH: Final = 10.0  # seconds: data comes some time after its item
# Seconds for files that are near no data. Reading all items takes about 0.1 s of 10,000, loading a metafile some ms.
_FRESH_ELSEWHERE: Final = 120.0
# What rTorrent may have put in the place of other characters, which are never `/`: one is `%XX`, or several `?`.
_ALTERED: Final = re.compile("(?:%[0-9A-Fa-f]{2}|[%?\ufffd\ud800-\udfff])+")


class _Item(NamedTuple):
    """`base` is the path of its data, a folder for several files; `has_data` is whether rTorrent has found some."""

    info_hash: str
    name: str
    base: str
    multi_file: bool
    has_data: bool


@dataclass
class ItemData:
    """The places of the data of all items, read again after some seconds, when they are needed."""

    rtorrent: RTorrent
    _by_name: dict[bytes, list[_Item]] = field(default_factory=dict[bytes, list[_Item]])
    """By the base name of their data."""
    _altered: list[_Item] = field(default_factory=list[_Item])
    """Those whose base name rTorrent prints altered."""
    _is_anywhere: bool = False
    """Whether rTorrent prints the folder of one altered, so that it is not known."""
    _folders: set[bytes] = field(default_factory=set[bytes])
    """Those in which the data is."""
    _read_at: float = float("-inf")
    _read_since: float = float("-inf")
    """The same in Unix seconds."""

    def holder(self, path: bytes, *, is_irreversible: bool = True, seen: float = 0.0) -> str:
        """The name of an item with the file at `path` (rTorrent's), or perhaps; empty if none has it.

        An item may have it that was moved there, if its data is no longer where rTorrent has it. What is irreversible
        is decided with what was read after the file was `seen` there (Unix seconds): an item may have come with it.
        Not `is_irreversible`: outside of all folders with data, older knowledge is enough. Raises RTorrentError.
        """
        fresh = _FRESH if is_irreversible or self._is_near_data(path) else _FRESH_ELSEWHERE
        is_older = is_irreversible and self._read_since <= seen
        if is_older or time.monotonic() - self._read_at > fresh:
            self._read()
        for around in _around(path):
            for item in chain(self._by_name.get(os.path.basename(around), ()), self._altered):
                is_there = _may_be_at(item.base, around) or (item.has_data and _may_be_moved_to(item.base, around))
                if is_there and self._has(item, path[len(around) :].strip(b"/")):
                    return printable(item.name)
        return ""

    def _is_near_data(self, path: bytes) -> bool:
        around = [*_around(path), b"/"]
        return self._is_anywhere or any(
            each in self._folders or os.path.basename(each) in self._by_name for each in around
        )

    def _read(self) -> None:
        by_name, altered = defaultdict[bytes, list[_Item]](list), list[_Item]()
        self._is_anywhere, self._folders = False, set()
        began = time.time()
        for info_hash, base, directory, name, multi, done in self.rtorrent.rows("main", _COLUMNS):
            place = os.path.expanduser(path_of(base, directory, name, multi))
            item = _Item(info_hash, name, place, multi == "1", done not in ("", "0"))
            folder, own_name = os.path.split(item.base)
            if _ALTERED.search(own_name):
                altered.append(item)
            elif item.base:
                by_name[os.fsencode(own_name)].append(item)
            if _ALTERED.search(folder):
                self._is_anywhere = True
            elif item.base:
                self._folders.add(os.fsencode(folder))
        self._by_name, self._altered, self._read_at = dict(by_name), altered, time.monotonic()
        self._read_since = began

    def _has(self, item: _Item, inside: bytes) -> bool:
        if not item.multi_file:
            return not inside
        return any(_may_be(file, os.fsdecode(inside)) for file in self._files(item))

    def _files(self, item: _Item) -> Iterator[str]:
        try:
            answer = self.rtorrent.call("f.multicall", item.info_hash, "", "f.path=")
        except RTorrentFault:  # erased meanwhile
            return
        for row in answer if isinstance(answer, list) else ():
            if isinstance(row, list):
                yield str(row[0])


def _around(path: bytes) -> Iterator[bytes]:
    """The path itself and the folders around it."""
    while path.strip(b"/"):
        yield path
        path = os.path.dirname(path)


def _may_be_at(base: str, place: bytes) -> bool:
    """Whether both are one path, perhaps through links, as far as the text `base` is known."""
    (folder, name), (own_folder, own_name) = os.path.split(base), os.path.split(os.fsdecode(place))
    if not _may_be(name, own_name):
        return False
    return _may_be(folder, own_folder) or _is_same(folder, own_folder)


def _may_be_moved_to(base: str, place: bytes) -> bool:
    """Whether data with the name of `place` is no longer at `base`: rTorrent may get its new path after the move."""
    if not _may_be(os.path.basename(base), os.fsdecode(os.path.basename(place))):
        return False
    return _may_be_looked_at(os.path.dirname(base), os.path.dirname(os.fsdecode(place))) and not os.path.lexists(base)


def _may_be_looked_at(folder: str, other: str) -> bool:
    """Not what is on another network or FUSE mount than `other`: it may hang."""
    mounts = read_mounts()
    mount, other_mount = mount_of(os.fsencode(folder), mounts), mount_of(os.fsencode(other), mounts)
    return mount is None or is_watchable(mount.kind) or mount == other_mount


def _is_same(folder: str, other: str) -> bool:
    """Whether both lead to one folder, as far as they may be looked at."""
    if not _may_be_looked_at(folder, other):
        return False
    try:
        return os.path.samefile(folder, other)
    except (OSError, ValueError):
        return False


def _may_be(printed: str, path: str) -> bool:
    """Whether `printed` is `path`, or what rTorrent may print for it."""
    if printed == path:
        return True
    return printed.count("/") == path.count("/") and all(map(_is_alike, printed.split("/"), path.split("/")))


def _is_alike(printed: str, name: str) -> bool:
    first, *others = _ALTERED.split(printed)
    if not others:
        return printed == name
    *inner, last = others
    if not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in inner:
        at = name.find(part, at, end) + len(part)
        if at < len(part):
            return False
    return at <= end
