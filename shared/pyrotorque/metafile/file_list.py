"""Checks the list of files in a metafile as rTorrent does: paths inside the torrent, each once, with a length."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from pyrotorque.errors import MetafileError
from pyrotorque.metafile.bencode_values import Info, is_dictionary, is_path_element, shown, text_of
from pyrotorque.metafile.refusal import MetafileUnsupported
from pyrotorque.metafile.version_limits import BEFORE_PADDING, SINCE_PADDING, VersionLimit
from pyrotorque.text import printable

_Path = tuple[bytes, ...]

# Paths may be repeated in other encodings; a few are enough.
_ENCODINGS_MAX: Final = 32


def file_list(info: Info, limits: list[VersionLimit]) -> tuple[tuple[str, int], ...]:
    """The files of a torrent with several: their paths and sizes. Adds refusals of some versions to `limits`."""
    entries = info.get(b"files")
    if not isinstance(entries, list) or not entries:
        raise MetafileError("the torrent has neither a length nor a list of files")
    encodings: set[bytes] = set()
    for entry in entries:
        if not is_dictionary(entry):
            raise MetafileError(f"an entry of the list of files is {shown(entry)}, not a dictionary")
        encodings.update(key for key in entry if key.startswith(b"path."))
    if len(encodings) > _ENCODINGS_MAX:
        raise MetafileUnsupported(f"the paths of files come in {len(encodings)} encodings")
    paths = [_path_of_file(entry, limits) for entry in entries]
    _check_distinct(paths, [_is_padding(entry) for entry in entries], limits)
    for key in encodings:
        _check_encoding(entries, key, limits)
    texts = [text_of(b"/".join(_plain(path))) for path in paths]
    return tuple((text, length_of(entry, text)) for entry, text in zip(entries, texts, strict=True))


def _path_of_file(entry: Info, limits: list[VersionLimit]) -> _Path:
    """The path; rTorrent before 0.16 also uses one in another encoding (`path.utf-8`)."""
    if not isinstance(entry.get(b"path"), list):
        for key, value in entry.items():
            if key.startswith(b"path.") and isinstance(value, list):
                limits.append(VersionLimit(SINCE_PADDING, f"a file has a {printable(key)}, and no path"))
                return _path(key, value)
    return _path(b"path", entry.get(b"path"))


def _path(key: bytes, path: object) -> _Path:
    if not isinstance(path, list) or not all(map(is_path_element, path)) or not any(path):
        raise MetafileUnsupported(
            f"a file has the {printable(key)} {shown(path)}, which is not a path inside the torrent"
        )
    return tuple(path)


def _is_padding(entry: Info) -> bool:
    return isinstance(attributes := entry.get(b"attr"), bytes) and b"p" in attributes


def _check_encoding(entries: list[Info], key: bytes, limits: list[VersionLimit]) -> None:
    """rTorrent before 0.16 reads the paths of all encodings, and uses those that its `encoding.add` names."""
    paths: list[_Path] = []
    for entry in entries:
        value = entry[key] if isinstance(entry.get(key), list) else entry.get(b"path")
        if isinstance(value, list):
            try:
                paths.append(_path(key, value))
            except MetafileError as error:
                limits.append(VersionLimit(BEFORE_PADDING, str(error)))
                return
    for _, reason in _clashes(paths):
        limits.append(VersionLimit(BEFORE_PADDING, reason))
        return


def _check_distinct(paths: list[_Path], padding: list[bool], limits: list[VersionLimit]) -> None:
    """Files of one path, or a file that is also a folder, next to each other in the metafile end every rTorrent.

    Apart from each other, rTorrent cannot open files of one path; 0.16 can if they are padding, which it never writes.
    """
    for path, following in pairwise(paths):
        if following[: len(path)] == path or _plain(following)[: len(_plain(path))] == _plain(path):
            raise MetafileError(_clash(path))
    for places, reason in _clashes(paths):
        if sum(not padding[place] for place in places) > 1:
            raise MetafileError(reason)
        limits.append(VersionLimit(BEFORE_PADDING, reason))


def _clashes(paths: list[_Path]) -> Iterator[tuple[list[int], str]]:
    """The places of files that share a path, and a text about it."""
    files: dict[_Path, list[int]] = {}
    for place, path in enumerate(paths):
        files.setdefault(_plain(path), []).append(place)
    for path, places in files.items():
        if len(places) > 1:
            yield places, _clash(path)


def _plain(path: _Path) -> _Path:
    return tuple(filter(None, path))


def _clash(path: _Path) -> str:
    name = printable(b"/".join(path)[:200])
    return f"the path {name} is that of two files, or of a file and of a folder"


def length_of(entry: Info, what: str) -> int:
    """The size of a file in bytes; `what` names it in the error."""
    length = entry.get(b"length")
    if not isinstance(length, int) or length < 0:
        raise MetafileError(f"the length of {printable(what[:200])} is {shown(length)}")
    return length
