"""Reads a metafile: decides whether its writer is done, and returns the torrents that it names, or why not yet.

A file is loaded if it is complete and nothing may still write to it: the kernel confirms that by a lease; where it
cannot (a file of another user, a network filesystem), by the event of the writer's close, or because the file did not
change for `settle_time`. A file is refused only if it also did not change for that time.
"""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pyrotorque.errors import MetafileError, MetafileIncomplete
from pyrotorque.linux.files import is_plain_name
from pyrotorque.metafile import MAX_SIZE, Magnet, Metafile, magnet_links, torrent_in
from pyrotorque.metafile.refusal import MetafileUnsupported
from pyrotorque.text import counted, printable
from pyrotorque_watcher.rows import LoadRefused, Row
from pyrotorque_watcher.scan.open_file import FileReader, OpenedFile, Writers

log = logging.getLogger(__name__)

# Seconds after which half a metafile counts as broken. It is still loaded if its writer completes it later.
_INCOMPLETE_MAX: Final = 300.0
_PIECES: Final = re.compile(rb"6:pieces([1-9][0-9]{0,8}):")
_HASH: Final = 20  # bytes of a piece hash

Torrents = list[tuple[Metafile | Magnet, bytes]]
"""The torrents in a file, and what rTorrent gets for each."""


@dataclass(frozen=True, slots=True)
class MetafileContent:
    """A file whose writer is done."""

    torrents: Torrents


@dataclass(frozen=True, slots=True)
class NotSettled:
    """Its writer is not done."""

    reason: str
    settles_in: float = float("inf")
    """Seconds after which it is settled if it does not change until then."""


@dataclass(frozen=True, slots=True)
class NotReadable:
    """It cannot be read now, which says nothing about its content."""

    reason: str


class FileGone:
    """The file is not there."""


class FileRewritten:
    """The file was written, replaced or changed in its attributes since it was seen."""


NotLoadable = LoadRefused | NotSettled | NotReadable | FileGone | FileRewritten


def read_metafile(row: Row, now: float, settle_time: float, reader: FileReader) -> MetafileContent | NotLoadable:
    """The content of the file of `row`, if it still is the file that was seen and its writer is done."""
    try:
        file = reader.read(row.path)
        if file is None:
            return FileGone()
        return _judged(row, file, now, settle_time)
    except OSError as error:
        return NotReadable(error.strerror or str(error))
    except MemoryError:
        return NotReadable("not enough memory")


def _judged(row: Row, file: OpenedFile, now: float, settle_time: float) -> MetafileContent | NotLoadable:
    if file.writers is Writers.OPEN:
        return NotSettled(Writers.OPEN.value)
    if file.changed or not file.found.is_same_state(row.file):
        return FileRewritten()
    age = now - row.arrival.first_seen  # since then it did not change
    if age < 0:
        return FileRewritten()  # the clock was set back
    try:
        torrents = _torrents(row.path, file)
    except MetafileIncomplete as error:
        if age < _INCOMPLETE_MAX:
            return NotSettled(_reason(row, file, error))
        return LoadRefused("invalid", f"it was never completed: {_reason(row, file, error)}")
    except MetafileError as error:
        reason = _reason(row, file, error)
        if age < settle_time:
            return NotSettled(reason, settle_time - age)
        return LoadRefused("invalid", reason, is_bad_content=not isinstance(error, MetafileUnsupported))
    if age >= settle_time or row.arrival.settled:
        return _content(row, file, torrents)
    if file.writers is Writers.UNKNOWN or is_link_list(row.path, file.data):
        # A list of links has no end of its own: a program may append to it line by line.
        reason = f"its writer may not be done: it is loaded when it did not change for {settle_time:g} s"
        return NotSettled(reason, settle_time - age)
    return _content(row, file, torrents)


def _content(row: Row, file: OpenedFile, torrents: Torrents) -> MetafileContent:
    if is_link_list(row.path, file.data):
        problems = magnet_links(file.data).problems
        if problems and not _is_own_name(row, file):
            problems = (f"{counted(len(problems), 'line')} without a magnet link",)
        for problem in problems:
            log.warning("%s: %s; its other links are loaded", printable(row.path), problem)
    return MetafileContent(torrents)


def _reason(row: Row, file: OpenedFile, error: MetafileError) -> str:
    """What is wrong with it.

    Reasons quote what is no metafile. A file behind a link may be a secret of this user, and the link may belong to a
    user who cannot read that file, but reads logs, events or the panel.
    """
    if _is_own_name(row, file):
        return str(error)
    return "it is not a valid metafile; its content is not quoted, because its name is a symbolic link or behind one"


def _is_own_name(row: Row, file: OpenedFile) -> bool:
    return is_plain_name(row.root, os.path.relpath(row.path, row.root), file.stat)


def _torrents(path: bytes, file: OpenedFile) -> Torrents:
    """Raises MetafileIncomplete also if parts of it are not written yet."""
    if file.found.size > MAX_SIZE:
        raise MetafileUnsupported(f"{file.found.size} bytes are more than the limit for metafiles ({MAX_SIZE})")
    torrents = torrents_of(path, file.data)
    if has_gap(file.data):
        raise MetafileIncomplete("some of its piece hashes are zeros: that part of the file is not written yet")
    return torrents


def has_gap(data: bytes) -> bool:
    """Whether piece hashes are zeros. No data has such a hash, but a file has that was set to its size and is written
    from several positions."""
    zeros = bytes(_HASH)
    return zeros in data and any(zeros in data[begin:end] for begin, end in _piece_hashes(data))


def _piece_hashes(data: bytes) -> Iterator[tuple[int, int]]:
    for found in _PIECES.finditer(data):
        yield found.end(), found.end() + int(found[1])


def names_no_tracker(path: bytes, reader: FileReader) -> bool:
    """Whether a torrent of this file has no tracker; False if the file cannot be read."""
    try:
        file = reader.read(path)
        return file is not None and any(not torrent.announce for torrent, _ in torrents_of(path, file.data))
    except (MetafileError, OSError):
        return False


def torrents_of(path: bytes, data: bytes) -> Torrents:
    """The torrents in `data`, the content of the file at `path`."""
    if not is_link_list(path, data):
        return [torrent_in(data)]
    return [(link, link.metafile()) for link in magnet_links(data).links]


def hash_in(file: OpenedFile) -> str:
    """The info-hash of the first torrent in it; empty if it names none."""
    try:
        return torrents_of(file.found.path, file.data)[0][0].info_hash
    except MetafileError:
        return ""


def is_link_list(path: bytes, data: bytes) -> bool:
    """Whether it is a file of magnet links, also after it was renamed to NAME.loaded."""
    return not data.startswith(b"d") and b".magnet" in path.rpartition(b"/")[2].lower()
