"""Checks what a metafile brings along for a fast resume: rTorrent 0.9.8 believes it, and dies of a wrong type in it."""

from collections.abc import Mapping
from typing import Any, Final

from pyrotorque.errors import MetafileError
from pyrotorque.text import printable

_TYPES: Final[Mapping[bytes, tuple[type, ...]]] = {
    b"bitfield": (bytes, int),
    b"files": (list,),
    b"peers": (bytes, list),
    b"trackers": (dict,),
    b"uncertain_pieces": (bytes,),
    b"uncertain_pieces.timestamp": (int,),
}


def check_resume(resume: object, files: int) -> None:
    """Raise MetafileError unless `resume` is what rTorrent itself would write for a torrent of `files` files."""
    if not isinstance(resume, dict):
        raise MetafileError("libtorrent_resume is not a dictionary")
    for key, types in _TYPES.items():
        if key in resume and not isinstance(resume[key], types):
            raise MetafileError(f"libtorrent_resume: {printable(key)} is no {types[0].__name__}")
    entries: list[Any] = resume.get(b"files", [])
    if entries and len(entries) != files:
        raise MetafileError(f"libtorrent_resume is for {len(entries)} files, not {files}")
    for entry in (*entries, *resume.get(b"trackers", {}).values()):
        if not isinstance(entry, dict) or not all(isinstance(value, int) for value in entry.values()):
            raise MetafileError("libtorrent_resume has an entry that is no dictionary of numbers")
