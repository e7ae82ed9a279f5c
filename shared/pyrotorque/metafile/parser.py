"""Parses metafiles with the checks of rTorrent, so that a rejection has a reason."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeGuard

from bencode2 import BencodeDecodeError, bdecode

from pyrotorque.errors import MetafileError
from pyrotorque.metafile.bencode_scan import top_level
from pyrotorque.text import printable

MAX_SIZE = 16 * 1024 * 1024

Info = dict[bytes, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metafile:
    """A metafile that rTorrent accepts. Bytes that are not UTF-8 are kept as surrogates in its texts."""

    info_hash: str
    info_hash_v2: str | None
    name_bytes: bytes
    size: int
    piece_length: int
    multi_file: bool
    private: bool
    files: tuple[tuple[str, int], ...]
    announce: tuple[str, ...]
    comment: str
    created_by: str
    creation_date: int
    source: str

    @property
    def name(self) -> str:
        return _text(self.name_bytes)


def take(path: Path) -> bytes:
    """The content of a file; raises MetafileError if it is not a regular file or is larger than MAX_SIZE."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise MetafileError(f"{printable(str(path))} is not a regular file")
        _check_size(found.st_size)
        # Its actual size, not MAX_SIZE: a buffer of that size would be allocated for each file.
        data = file.read(found.st_size + 1)
        if len(data) > found.st_size:
            data += file.read(MAX_SIZE)
    _check_size(len(data))
    return data


def read(data: bytes) -> Metafile:
    """The torrent that `data` describes.

    Raises MetafileIncomplete if a metafile was not written completely yet, else MetafileError.
    """
    _check_size(len(data))
    spans = top_level(data)
    begin, end = spans.get(b"info", (0, 0))
    if not end:
        raise MetafileError("the metafile has no info dictionary")
    raw = memoryview(data)[begin:end]
    info = _decoded(raw, "info")
    if not isinstance(info, dict):
        raise MetafileError("info is not a dictionary")
    outer = {key: _decoded(memoryview(data)[slice(*spans[key])], printable(key)) for key in _OUTER & spans.keys()}
    return _metafile(info, raw, outer)


_RESUME_TYPES: Final[Mapping[bytes, tuple[type, ...]]] = {
    b"bitfield": (bytes, int),
    b"files": (list,),
    b"peers": (bytes, list),
    b"trackers": (dict,),
    b"uncertain_pieces": (bytes,),
    b"uncertain_pieces.timestamp": (int,),
}
# Paths may be repeated in other encodings; a few are enough.
_ENCODINGS_MAX = 5
# Only these keys of the outer dictionary are decoded.
_OUTER = frozenset((b"announce", b"announce-list", b"comment", b"created by", b"creation date", b"libtorrent_resume"))


def _metafile(info: Info, raw: memoryview, outer: Info) -> Metafile:
    name = _name(info)
    _check_pieces(info)
    if info.get(b"meta_download"):
        raise MetafileError("the torrent is marked as a magnet link (meta_download), so its hash cannot be verified")
    multi_file = b"length" not in info
    files = _files(info) if multi_file else ((_text(name), _length(info, "the torrent")),)
    if b"libtorrent_resume" in outer:
        _check_resume(outer[b"libtorrent_resume"], len(files))
    size = sum(length for _, length in files)
    if not 0 < size < 2**63:
        raise MetafileError("the torrent has no content: all its files are empty" if not size else "the sizes overflow")
    expected = -(-size // info[b"piece length"])
    if len(info[b"pieces"]) // 20 < expected:
        raise MetafileError(f"{len(info[b'pieces']) // 20} piece hashes, but the size needs {expected}")
    announce = _announce(outer)
    if info.get(b"private") == 1 and not announce:
        raise MetafileError("the torrent is private and has no tracker, so it could not find peers")
    return Metafile(
        info_hash=hashlib.sha1(raw, usedforsecurity=False).hexdigest().upper(),
        info_hash_v2=hashlib.sha256(raw).hexdigest().upper() if info.get(b"meta version") == 2 else None,
        name_bytes=name,
        size=size,
        piece_length=info[b"piece length"],
        multi_file=multi_file,
        private=info.get(b"private") == 1,
        files=files,
        announce=announce,
        comment=_optional_text(outer, b"comment"),
        created_by=_optional_text(outer, b"created by"),
        creation_date=date if isinstance(date := outer.get(b"creation date"), int) else 0,
        source=_optional_text(info, b"source"),
    )


def _check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise MetafileError(f"{size} bytes are more than the limit for metafiles ({MAX_SIZE})")


def _decoded(raw: memoryview, what: str) -> object:
    try:
        return bdecode(raw)
    except (BencodeDecodeError, ValueError, RecursionError) as error:
        raise MetafileError(f"{what} cannot be read: {printable(str(error)[:200])}") from None


def _name(info: Info) -> bytes:
    """The name; those in other encodings (`name.utf-8`) are checked too, as rTorrent may use them."""
    for key, value in info.items():
        if (key == b"name" or key.startswith(b"name.")) and not (_is_path_element(value) and value):
            raise MetafileError(f"the {printable(key)} {_shown(value)} cannot be the name of a file or folder")
    if b"name" not in info:
        raise MetafileError("the torrent has no name")
    name: bytes = info[b"name"]
    return name


def _check_pieces(info: Info) -> None:
    piece_length = info.get(b"piece length")
    if not isinstance(piece_length, int) or not 1024 < piece_length <= 512 * 1024 * 1024:
        raise MetafileError(f"the piece length {_shown(piece_length)} is not between 1025 bytes and 512 MiB")
    pieces = info.get(b"pieces")
    if pieces is None and info.get(b"meta version") == 2:
        raise MetafileError("the torrent is BitTorrent v2 only (no piece hashes of v1), which rTorrent does not load")
    if not isinstance(pieces, bytes) or len(pieces) % 20:
        raise MetafileError("the piece hashes are missing, or not 20 bytes each")


def _files(info: Info) -> tuple[tuple[str, int], ...]:
    entries = info.get(b"files")
    if not isinstance(entries, list) or not entries:
        raise MetafileError("the torrent has neither a length nor a list of files")
    encodings = {b"path"}
    for entry in entries:
        if not isinstance(entry, dict):
            raise MetafileError(f"an entry of the list of files is {_shown(entry)}, not a dictionary")
        encodings.update(key for key in entry if key.startswith(b"path."))
    if len(encodings) > _ENCODINGS_MAX:
        raise MetafileError(f"the paths of files come in {len(encodings)} encodings")
    for key in encodings:
        _check_distinct([_path(entry, key if key in entry else b"path") for entry in entries])
    return tuple((text := _text(b"/".join(entry[b"path"])), _length(entry, text)) for entry in entries)


def _path(entry: Info, key: bytes) -> tuple[bytes, ...]:
    path = entry.get(key)
    if not isinstance(path, list) or not path or not all(map(_is_path_element, path)) or not any(path):
        raise MetafileError(f"a file has the {printable(key)} {_shown(path)}, which is not a path inside the torrent")
    return tuple(filter(None, path))


def _check_distinct(paths: list[tuple[bytes, ...]]) -> None:
    """rTorrent 0.9.8 crashes on two files with one path, and on a file that is also a folder."""
    paths.sort()
    for path, following in pairwise(paths):
        if following[: len(path)] == path:
            shown = printable(b"/".join(path)[:200])
            raise MetafileError(f"the path {shown} is that of two files, or of a file and of a folder")


def _length(entry: Info, what: str) -> int:
    length = entry.get(b"length")
    if not isinstance(length, int) or length < 0:
        raise MetafileError(f"the length of {printable(what[:200])} is {_shown(length)}")
    return length


def _is_path_element(value: object) -> TypeGuard[bytes]:
    return isinstance(value, bytes) and value not in (b".", b"..") and b"/" not in value and b"\0" not in value


def _check_resume(resume: object, files: int) -> None:
    """Raise MetafileError unless rTorrent could have written this fast-resume data for a torrent of `files` files.

    rTorrent 0.9.8 uses such data without checks, and crashes on wrong types.
    """
    if not isinstance(resume, dict):
        raise MetafileError("libtorrent_resume is not a dictionary")
    for key, types in _RESUME_TYPES.items():
        if key in resume and not isinstance(resume[key], types):
            raise MetafileError(f"libtorrent_resume: {printable(key)} is not of type {types[0].__name__}")
    entries: list[Any] = resume.get(b"files", [])
    if entries and len(entries) != files:
        raise MetafileError(f"libtorrent_resume is for {len(entries)} files, not {files}")
    for entry in (*entries, *resume.get(b"trackers", {}).values()):
        if not isinstance(entry, dict) or not all(isinstance(value, int) for value in entry.values()):
            raise MetafileError("libtorrent_resume has an entry that is not a dictionary of numbers")


def _announce(outer: Info) -> tuple[str, ...]:
    """All tracker URLs in order, as in rTorrent: those of the list if it contains groups, else the single one."""
    tiers = outer.get(b"announce-list")
    if isinstance(tiers, list) and any(isinstance(tier, list) for tier in tiers):
        if not all(isinstance(tier, list) for tier in tiers):
            raise MetafileError("a group of the list of trackers is not a list")
        urls = [url for tier in tiers for url in tier]
    else:
        urls = [outer[b"announce"]] if b"announce" in outer else []
    if not all(isinstance(url, bytes) for url in urls):
        raise MetafileError("the address of a tracker is not a string")
    return tuple(_text(url.strip()) for url in urls if url.strip())


def _optional_text(values: Info, key: bytes) -> str:
    value = values.get(key)
    return _text(value) if isinstance(value, bytes) else ""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _shown(value: object) -> str:
    return printable(value[:80]) if isinstance(value, bytes) else printable(repr(value)[:80])
