"""Reads which files the items of a session folder have, byte for byte: rTorrent prints some names altered."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pyrotorque.errors import MetafileError
from pyrotorque.long_work import WorkReports, unseen_work
from pyrotorque.metafile.parser import dictionary, read_saved
from pyrotorque.metafile.parser import read as read_metafile

_NAME: Final = re.compile(rb"([0-9A-Fa-f]{40})\.torrent")
_ATTRIBUTES: Final = b".rtorrent"
_SIZE_MAX: Final = 64 << 20
_ENCODED: Final = (b":path.", b":name.")

Stamp = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class ContentFile:
    """A file of a torrent: its path in the item's directory, its size, and other names that rTorrent may have used."""

    path: bytes
    size: int
    others: tuple[bytes, ...] = ()
    padding: bool = False
    """Not written by rTorrent 0.16."""


@dataclass(frozen=True, slots=True)
class SessionItem:
    """An item as saved; `directory` is the folder of its files (of several: with the torrent's name)."""

    info_hash: str
    directory: bytes
    name: bytes
    multi_file: bool
    files: tuple[ContentFile, ...]
    is_magnet: bool = False
    piece_length: int = 0


@dataclass
class SessionItems:
    """The items that are saved in a folder; what has not changed since the last reading is not read again."""

    folder: bytes
    _cache: dict[str, tuple[Stamp, SessionItem]] = field(default_factory=dict[str, tuple[Stamp, SessionItem]])

    def read(self, working: WorkReports = unseen_work) -> tuple[dict[str, SessionItem], dict[str, str]]:
        """The items by info-hash, and why others cannot be read. Raises OSError if the folder cannot be read."""
        items: dict[str, SessionItem] = {}
        problems: dict[str, str] = {}
        names = [(name, found[1]) for name in os.listdir(self.folder) if (found := _NAME.fullmatch(name))]
        with working("session of rTorrent", len(names), "item") as work:
            for name, digits in work.each(names):
                info_hash = digits.decode().upper()
                try:
                    items[info_hash] = self._item(info_hash, os.path.join(self.folder, name))
                except (OSError, ValueError, MetafileError) as error:
                    problems[info_hash] = str(error)
        self._cache = {info_hash: self._cache[info_hash] for info_hash in items}
        return items, problems

    def _item(self, info_hash: str, path: bytes) -> SessionItem:
        stamp = (_stamp(path), _stamp(path + _ATTRIBUTES))
        if (known := self._cache.get(info_hash)) and known[0] == stamp:
            return known[1]
        item = session_item(info_hash, _content(path), _content(path + _ATTRIBUTES))
        self._cache[info_hash] = (stamp, item)
        return item


def is_session_file(name: bytes) -> bool:
    """Whether rTorrent names a file of its session so."""
    return name.endswith(_ATTRIBUTES) or _NAME.fullmatch(name) is not None


def session_item(info_hash: str, metafile: bytes, attributes: bytes) -> SessionItem:
    """The item in its two session files. Raises ValueError or MetafileError if they are not complete."""
    saved = dictionary(attributes)
    directory = saved.get(b"directory") if saved else None
    if saved is None or not isinstance(directory, bytes):
        raise ValueError("its attributes are not saved completely")
    outer = dictionary(metafile)
    info = outer.get(b"info") if outer else None
    if outer is not None and (info is None or (isinstance(info, dict) and info.get(b"meta_download"))):
        name = f"{info_hash}.meta".encode()
        return SessionItem(info_hash, directory, name, False, (ContentFile(name, 0),), is_magnet=True)
    torrent = read_metafile(metafile) if outer is None else read_saved(outer, metafile, info_hash)
    if torrent.info_hash != info_hash:
        raise ValueError(f"its metafile is that of {torrent.info_hash}")
    paths = [(os.fsencode(path), size) for path, size in torrent.files]
    if any(path.startswith(b"/") or b".." in path.split(b"/") for path, _ in paths):
        raise ValueError("a file has a path that leads out of its folder")
    details = _details(info) if isinstance(info, dict) else []
    if len(details) != len(paths):
        details = [((), False)] * len(paths)
        if any(mark in metafile for mark in _ENCODED):
            raise ValueError("its files have names in several encodings, which cannot be read")
    files = tuple(ContentFile(path, size, *more) for (path, size), more in zip(paths, details, strict=True))
    return SessionItem(
        info_hash, directory, torrent.name_bytes, torrent.multi_file, files, piece_length=torrent.piece_length
    )


def _details(info: Mapping[bytes, Any]) -> list[tuple[tuple[bytes, ...], bool]]:
    """For each file: its names in other encodings, and whether it is padding."""
    entries = info.get(b"files")
    if not isinstance(entries, list):
        return [(tuple(value for key, value in info.items() if _is_encoded(key, b"name.", value)), False)]
    return [_of_entry(entry) if isinstance(entry, dict) else ((), False) for entry in entries]


def _of_entry(entry: Mapping[bytes, Any]) -> tuple[tuple[bytes, ...], bool]:
    if len(entry) == 2:  # a path and a length
        return (), False
    lists = (value for key, value in entry.items() if key.startswith(b"path.") and isinstance(value, list))
    others = tuple(b"/".join(part for part in parts if isinstance(part, bytes)) for parts in lists)
    plain = entry.get(b"path")
    known = b"/".join(part for part in plain if isinstance(part, bytes)) if isinstance(plain, list) else b""
    attributes = entry.get(b"attr")
    is_padding = isinstance(attributes, bytes) and b"p" in attributes
    return tuple(other for other in others if other != known), is_padding


def _is_encoded(key: bytes, prefix: bytes, value: object) -> bool:
    return key.startswith(prefix) and isinstance(value, bytes)


def _stamp(path: bytes) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(path: bytes) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        return file.read(_SIZE_MAX)
