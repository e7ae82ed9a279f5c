"""Creates small valid metafiles; the same arguments give the same bytes."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

Bencodable: TypeAlias = (
    "int | str | bytes | Sequence[Bencodable] | Mapping[str, Bencodable] | Mapping[bytes, Bencodable]"
)

NOWHERE = "http://127.0.0.1:1/announce"


def make_metafile(
    name: str | bytes,
    *,
    size: int = 65536,
    files: Sequence[tuple[str | bytes, int]] | None = None,
    announce: str = NOWHERE,
    piece_length: int = 16384,
    private: bool = False,
    content: Path | None = None,
    info_extra: Mapping[str, Bencodable] | None = None,
    **extra: Bencodable,
) -> bytes:
    """A metafile for one file of `size` bytes, for `files` (path with `/`, length), or for the data at `content`.

    Without `content` the piece hashes are made up from the name: such an item never completes. With it, the item is
    complete as soon as rTorrent finds the data. `extra` are keys of the outer dictionary, `info_extra` of the inner.
    """
    if content is not None:
        size, files = _measured(content)
    info: dict[str, Bencodable] = {"name": name, "piece length": piece_length}
    if files is None:
        info["length"] = size
    else:
        info["files"] = [{"length": length, "path": _parts(path)} for path, length in files]
        size = sum(length for _, length in files)
    if content is None:
        info["pieces"] = _invented_pieces(name, size, piece_length)
    else:
        info["pieces"] = _pieces(content, files, piece_length)
    if private:
        info["private"] = 1
    return bencode({"announce": announce, "info": {**info, **(info_extra or {})}, **extra})


def info_hash(metafile: bytes) -> str:
    """The v1 info-hash as rTorrent prints it: upper-case hex."""
    at = 1
    while metafile[at : at + 1] != b"e":
        key_end = _end(metafile, at)
        value_end = _end(metafile, key_end)
        if metafile[at:key_end] == b"4:info":
            return hashlib.sha1(metafile[key_end:value_end]).hexdigest().upper()
        at = value_end
    raise ValueError("a metafile without an info dictionary")


def bencode(value: Bencodable) -> bytes:
    """`value` in bencode, dictionaries sorted by the bytes of their keys."""
    match value:
        case int():
            return b"i%de" % value
        case str():
            return bencode(value.encode("utf-8", "surrogateescape"))
        case bytes():
            return b"%d:%b" % (len(value), value)
        case Mapping():
            pairs = sorted((_raw(key), entry) for key, entry in value.items())
            return b"d" + b"".join(bencode(key) + bencode(entry) for key, entry in pairs) + b"e"
        case _:
            return b"l" + b"".join(map(bencode, value)) + b"e"


def _raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _parts(path: str | bytes) -> list[bytes]:
    return _raw(path).split(b"/")


def _end(data: bytes, at: int) -> int:
    """Where the bencoded value that begins at `at` ends."""
    first = data[at : at + 1]
    if first == b"i":
        return data.index(b"e", at) + 1
    if first in (b"d", b"l"):
        at += 1
        while data[at : at + 1] != b"e":
            at = _end(data, at)
        return at + 1
    colon = data.index(b":", at)
    return colon + 1 + int(data[at:colon])


def _measured(content: Path) -> tuple[int, list[tuple[str | bytes, int]] | None]:
    if content.is_file():
        return content.stat().st_size, None
    found = sorted(path for path in content.rglob("*") if path.is_file())
    return 0, [(str(path.relative_to(content)), path.stat().st_size) for path in found]


def _pieces(content: Path, files: Sequence[tuple[str | bytes, int]] | None, piece_length: int) -> bytes:
    paths = (
        [content] if files is None else [content / _raw(path).decode("utf-8", "surrogateescape") for path, _ in files]
    )
    data = b"".join(path.read_bytes() for path in paths)
    return b"".join(hashlib.sha1(data[at : at + piece_length]).digest() for at in range(0, len(data), piece_length))


def _invented_pieces(name: str | bytes, size: int, piece_length: int) -> bytes:
    count = max(1, -(-size // piece_length))
    return b"".join(hashlib.sha1(b"%d %b" % (index, _raw(name))).digest() for index in range(count))
