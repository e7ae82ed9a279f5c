"""Which files in a tree are data of an item: such a metafile stays at its place, and no item is tied to it.

A tree may contain rTorrent's download folder. Without this, a torrent that contains metafiles would lose them.
"""

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pyrotorque.errors import RTorrentFault
from pyrotorque.fields.converters import path as path_of
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable

_COLUMNS: Final = ("d.hash=", "d.base_path=", "d.directory=", "d.name=", "d.is_multi_file=")
_FRESH: Final = 10.0  # seconds: data comes some time after its item
# Seconds for files that are near no data. Reading all items takes about 0.1 s of 10,000, loading a metafile some ms.
_FRESH_ELSEWHERE: Final = 120.0
# What rTorrent may have put in the place of other characters.
_ALTERED: Final = re.compile("[%?\ufffd\ud800-\udfff]")


class _Item(NamedTuple):
    """`base` is the path of its data: a folder for several files."""

    info_hash: str
    name: str
    base: str
    multi_file: bool


@dataclass
class ItemData:
    """The places of the data of all items, read again after some seconds, when they are needed."""

    rtorrent: RTorrent
    _by_name: dict[bytes, list[_Item]] = field(default_factory=dict[bytes, list[_Item]])
    """By the base name of their data."""
    _altered: list[_Item] = field(default_factory=list[_Item])
    """Those whose path rTorrent prints altered."""
    _folders: set[bytes] = field(default_factory=set[bytes])
    """Those in which the data is."""
    _read_at: float = float("-inf")

    def holder(self, path: bytes, *, is_irreversible: bool = True) -> str:
        """The name of an item with the file at `path` (rTorrent's), or perhaps; empty if none has it.

        Not `is_irreversible`: outside of all folders with data, older knowledge is enough. Raises RTorrentError.
        """
        fresh = _FRESH if is_irreversible or self._is_near_data(path) else _FRESH_ELSEWHERE
        if time.monotonic() - self._read_at > fresh:
            self._read()
        for around in _around(path):
            for item in self._by_name.get(os.path.basename(around), ()):
                if _is_at(os.fsencode(item.base), around) and self._has(item, path[len(around) :].strip(b"/")):
                    return printable(item.name)
        text = os.fsdecode(path)
        for item in self._altered:
            if text.startswith(_known(item.base)) and (not item.multi_file or self._has_below(item, text)):
                return printable(item.name)
        return ""

    def _is_near_data(self, path: bytes) -> bool:
        around = [*_around(path), b"/"]
        return bool(self._altered) or any(
            each in self._folders or os.path.basename(each) in self._by_name for each in around
        )

    def _read(self) -> None:
        by_name, altered = defaultdict[bytes, list[_Item]](list), list[_Item]()
        for info_hash, base, directory, name, multi in self.rtorrent.rows("main", _COLUMNS):
            item = _Item(info_hash, name, os.path.expanduser(path_of(base, directory, name, multi)), multi == "1")
            if _ALTERED.search(item.base):
                altered.append(item)
            elif item.base:
                by_name[os.path.basename(os.fsencode(item.base))].append(item)
        self._by_name, self._altered, self._read_at = dict(by_name), altered, time.monotonic()
        self._folders = {os.path.dirname(os.fsencode(each.base)) for held in by_name.values() for each in held}

    def _has(self, item: _Item, inside: bytes) -> bool:
        if not item.multi_file:
            return not inside
        text = os.fsdecode(inside)
        return any(
            text == file or (_ALTERED.search(file) is not None and text.startswith(_known(file)))
            for file in self._files(item)
        )

    def _has_below(self, item: _Item, text: str) -> bool:
        return any(text.endswith(f"/{file}") or _ALTERED.search(file) is not None for file in self._files(item))

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


def _is_at(base: bytes, place: bytes) -> bool:
    """Whether both are one path, perhaps through links; their base names are the same."""
    if base == place:
        return True
    try:
        return os.path.samefile(os.path.dirname(base), os.path.dirname(place))
    except OSError:
        return False


def _known(text: str) -> str:
    """The part of an altered text that is as it was."""
    found = _ALTERED.search(text)
    return text[: found.start()] if found else text
