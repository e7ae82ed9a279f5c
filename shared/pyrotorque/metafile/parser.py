"""Parses metafiles with the checks of rTorrent, so that a rejection has a reason."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bencode2 import BencodeDecodeError, bdecode, bencode

from pyrotorque.errors import MetafileError, MetafileIncomplete
from pyrotorque.metafile.bencode_scan import MetafileTooComplex, top_level
from pyrotorque.metafile.bencode_values import Info, is_dictionary, is_path_element, shown, text_of
from pyrotorque.metafile.file_kinds import failure_reason, kind_of_file
from pyrotorque.metafile.file_list import file_list, length_of
from pyrotorque.metafile.lenient import LenientDecoder, encoded, has_smallest_number
from pyrotorque.metafile.magnet import Magnet, magnet
from pyrotorque.metafile.refusal import MetafileUnsupported
from pyrotorque.metafile.version_limits import BEFORE_PADDING, SINCE_PADDING, VersionLimit, first_refusal
from pyrotorque.text import printable

MAX_SIZE = 16 * 1024 * 1024

# Only these keys of the outer dictionary are decoded.
_OUTER: Final = frozenset(
    (*(b"announce", b"announce-list", b"comment", b"created by", b"creation date"), b"libtorrent_resume", b"magnet-uri")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metafile:
    """A metafile that a version of rTorrent accepts. Bytes that are not UTF-8 are kept as surrogates in its texts."""

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
    limits: tuple[VersionLimit, ...] = ()

    @property
    def name(self) -> str:
        return text_of(self.name_bytes)

    def refusal(self, version: str) -> str:
        """Why rTorrent of this version (`0.9.8`) does not load it; empty if it does, or if the version is not known."""
        return first_refusal(self.limits, version)


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
    info, raw, outer = _parts(data)
    if info is None:
        raise MetafileError("this is a magnet link in the form of a metafile")
    return _metafile(info, raw, outer)


def read_saved(outer: Info, data: bytes, info_hash: str) -> Metafile:
    """The torrent in a metafile that rTorrent has saved; `outer` is `dictionary(data)`. Raises like `read`.

    Its info dictionary, encoded again, has this hash if it is the one in the file: `data` is not scanned for it, which
    takes most of the time.
    """
    info = outer.get(b"info")
    if is_dictionary(info):
        raw = bencode(info)
        import hashlib

        if hashlib.sha1(raw, usedforsecurity=False).hexdigest().upper() == info_hash:
            return _metafile(info, memoryview(raw), {key: outer[key] for key in _OUTER & outer.keys()})
    return read(data)


def torrent_in(data: bytes) -> tuple[Metafile | Magnet, bytes]:
    """The torrent in a metafile, and what rTorrent gets for it; such files may also contain a magnet link.

    Raises like `read`.
    """
    info, raw, outer = _parts(data)
    if info is None:
        uri = outer[b"magnet-uri"]
        link = magnet(text_of(uri) if isinstance(uri, bytes) else shown(uri))
        return link, link.metafile()
    return _metafile(info, raw, outer), data


def dictionary(data: bytes) -> Info | None:
    """The dictionary that `data` is, decoded, if it is complete and in the strict form; None proves nothing.

    Costs 1/10 of `top_level`. For files that rTorrent wrote: nesting and number of values are not limited.
    """
    found = _strict(data)
    return found if isinstance(found, dict) else None


def _strict(data: bytes) -> object:
    try:
        return bdecode(data)
    except (BencodeDecodeError, RecursionError):
        return None


def _parts(data: bytes) -> tuple[object, memoryview, Info]:
    """The value of `info`, its encoding that rTorrent hashes, and the other values that are needed."""
    _check_size(len(data))
    if data and data[:1] != b"d":
        raise MetafileError(f"this is not a metafile: {kind_of_file(data) or 'its content is of an unknown kind'}")
    try:
        return _strict_parts(data)
    except (MetafileIncomplete, MetafileTooComplex):
        raise
    except MetafileError:
        return _lenient_parts(data)


def _strict_parts(data: bytes) -> tuple[object, memoryview, Info]:
    spans = top_level(data)
    view = memoryview(data)
    outer = {key: _decoded(view[slice(*spans[key])], printable(key)) for key in _OUTER & spans.keys()}
    if b"info" not in spans:
        if b"magnet-uri" in outer:
            return None, view[:0], outer
        raise MetafileError(_without_info(data))
    raw = view[slice(*spans[b"info"])]
    return _decoded(raw, "info"), raw, outer


def _lenient_parts(data: bytes) -> tuple[object, memoryview, Info]:
    decoder = LenientDecoder(data)
    outer = decoder.outer()
    info = outer.pop(b"info", None)
    if info is None:
        if b"magnet-uri" in outer:
            return None, memoryview(b""), outer
        raise MetafileError(_without_info(data))
    if b"info" in decoder.unordered:
        raise MetafileError("the keys in info are not in order, or appear twice: rTorrent does not load it")
    return info, memoryview(encoded(info)), outer


def _without_info(data: bytes) -> str:
    if reason := failure_reason(data):
        return f"this is not a metafile but an error of the tracker: {reason}"
    return "the metafile has no info dictionary"


def _metafile(info: object, raw: memoryview, outer: Info) -> Metafile:
    if not is_dictionary(info):
        raise MetafileError("info is not a dictionary")
    name = _name(info)
    _check_pieces(info)
    if isinstance(mark := info.get(b"meta_download"), int) and mark:
        raise MetafileUnsupported(
            "the torrent is marked as a magnet link (meta_download), so its hash cannot be verified"
        )
    limits: list[VersionLimit] = []
    multi_file = b"length" not in info
    files = file_list(info, limits) if multi_file else ((text_of(name), length_of(info, "the torrent")),)
    _check_resume(outer.get(b"libtorrent_resume"))
    size = sum(length for _, length in files)
    if not 0 < size < 2**63:
        raise MetafileError("the torrent has no content: all its files are empty" if not size else "the sizes overflow")
    expected = -(-size // info[b"piece length"])
    if len(info[b"pieces"]) // 20 < expected:
        raise MetafileError(f"{len(info[b'pieces']) // 20} piece hashes, but the size needs {expected}")
    announce, has_tracker_key = _announce(outer)
    if info.get(b"private") == 1 and not has_tracker_key:
        reason = "the torrent is private and has no tracker, so it could not find peers"
        limits.append(VersionLimit(BEFORE_PADDING, reason))
    if has_smallest_number(info, bytes(raw)):
        reason = "it contains the number -2^63, which this rTorrent writes wrongly: its info-hash would be another one"
        limits.append(VersionLimit(SINCE_PADDING, reason))
    import hashlib  # with OpenSSL, 1 MiB, which only a process that parses metafiles needs

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
        limits=tuple(limits),
    )


def _check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise MetafileUnsupported(f"{size} bytes are more than the limit for metafiles ({MAX_SIZE})")


def _decoded(raw: memoryview, what: str) -> object:
    try:
        return bdecode(raw)
    except (BencodeDecodeError, ValueError, RecursionError) as error:
        raise MetafileUnsupported(f"{what} cannot be read: {printable(str(error)[:200])}") from None


def _name(info: Info) -> bytes:
    if b"name" not in info:
        raise MetafileUnsupported("the torrent has no name")
    name = info[b"name"]
    if not is_path_element(name) or not name:
        raise MetafileUnsupported(f"the name {shown(name)} cannot be the name of a file or folder")
    return name


def _check_pieces(info: Info) -> None:
    piece_length = info.get(b"piece length")
    if not isinstance(piece_length, int) or not 1024 < piece_length <= 512 * 1024 * 1024:
        raise MetafileUnsupported(f"the piece length {shown(piece_length)} is not between 1025 bytes and 512 MiB")
    pieces = info.get(b"pieces")
    if pieces is None and info.get(b"meta version") == 2:
        raise MetafileUnsupported(
            "the torrent is BitTorrent v2 only (no piece hashes of v1), which rTorrent does not load"
        )
    if not isinstance(pieces, bytes):
        raise MetafileError("the piece hashes are missing")


def _check_resume(resume: object) -> None:
    """Raise MetafileError for fast-resume data that ends every rTorrent; it ignores other wrong data."""
    if not is_dictionary(resume):
        return
    files, trackers = resume.get(b"files"), resume.get(b"trackers")
    entries: list[object] = [*(files if isinstance(files, list) else ())]
    if is_dictionary(trackers):
        entries.extend(trackers.values())
    if not all(isinstance(entry, dict) for entry in entries):
        raise MetafileError("libtorrent_resume has an entry of files or trackers that is not a dictionary")


def _announce(outer: Info) -> tuple[tuple[str, ...], bool]:
    """All tracker URLs in order, as in rTorrent: those of the list if it contains groups, else the single one.

    And whether the metafile has a place for them, even an empty one: rTorrent 0.9.8 checks nothing more.
    """
    tiers = outer.get(b"announce-list")
    has_groups = isinstance(tiers, list) and any(isinstance(tier, list) for tier in tiers)
    urls: list[object] = []
    if isinstance(tiers, list) and has_groups:
        if not all(isinstance(tier, list) for tier in tiers):
            raise MetafileError("a group of the list of trackers is not a list")
        urls = [url for tier in tiers for url in tier]
    elif b"announce" in outer:
        urls = [outer[b"announce"]]
    texts: list[str] = []
    for url in urls:
        if not isinstance(url, bytes):
            raise MetafileError("the address of a tracker is not a string")
        texts.append(text_of(url.strip()))
    return tuple(filter(None, texts)), has_groups or b"announce" in outer


def _optional_text(values: Info, key: bytes) -> str:
    value = values.get(key)
    return text_of(value) if isinstance(value, bytes) else ""
