"""Reads a metafile: judges whether its writer is done, and returns the torrents that it names."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrotorque.errors import MetafileError, MetafileIncomplete
from pyrotorque.metafile import Magnet, Metafile, magnet_links, take, torrent_in
from pyrotorque.text import printable
from pyrotorque_watcher.rows import LoadRefused, Row
from pyrotorque_watcher.scan.files import look

log = logging.getLogger(__name__)

# A file without an event of its writer's close counts as closed when it did not change for so many seconds.
QUIET: Final = 2.0
# Seconds after which half a metafile counts as broken. It is still loaded if its writer completes it later.
_INCOMPLETE_MAX: Final = 300.0

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


class FileGone:
    """The file is not there."""


class FileRewritten:
    """The file was written again since it was seen."""


NotLoadable = LoadRefused | NotSettled | FileGone | FileRewritten


def read_metafile(row: Row, now: float) -> MetafileContent | NotLoadable:
    """The content of the file of `row`, if it still is the file that was seen and its writer is done."""
    found = look(row.path)
    if found is None:
        return FileGone()
    if found.version != row.file.version:
        return FileRewritten()
    try:
        return MetafileContent(_torrents(row, now))
    except MetafileIncomplete as error:
        if now - found.mtime_ns / 1e9 < _INCOMPLETE_MAX:
            return NotSettled(str(error))
        return LoadRefused("invalid", f"it was never completed: {error}")
    except MetafileError as error:
        return LoadRefused("invalid", str(error)) if _is_settled(row, now) else NotSettled(str(error))
    except FileNotFoundError:
        return FileGone()
    except OSError as error:
        return LoadRefused("io", f"it cannot be read: {error.strerror}")


def names_no_tracker(row: Row, now: float) -> bool:
    """Whether a torrent of this file has no tracker; False if the file cannot be read."""
    try:
        return any(not torrent.announce for torrent, _ in _torrents(row, now))
    except (MetafileError, OSError):
        return False


def torrents_of(path: bytes, data: bytes) -> Torrents:
    """The torrents in `data`, the content of the file at `path`."""
    if not _is_links(path, data):
        return [torrent_in(data)]
    found = magnet_links(data)
    for problem in found.problems:
        log.warning("%s: %s; its other links are loaded", printable(path), problem)
    return [(link, link.metafile()) for link in found.links]


def first_hash(path: bytes) -> str:
    """The info-hash of the first torrent in the file at `path`; empty if there is none."""
    try:
        return torrents_of(path, take(Path(os.fsdecode(path))))[0][0].info_hash
    except (MetafileError, OSError):
        return ""


def _torrents(row: Row, now: float) -> Torrents:
    data = take(Path(os.fsdecode(row.path)))
    if _is_links(row.path, data) and not _is_settled(row, now):
        raise MetafileIncomplete("it was written just now, and a list of links has no end of its own")
    return torrents_of(row.path, data)


def _is_links(path: bytes, data: bytes) -> bool:
    """Whether it is a file of magnet links, also after it was renamed to NAME.loaded."""
    return not data.startswith(b"d") and b".magnet" in path.rpartition(b"/")[2].lower()


def _is_settled(row: Row, now: float) -> bool:
    """Whether its writer has closed it: an event reported it, or the file did not change for a while."""
    return row.arrival.settled or now - row.arrival.first_seen >= QUIET
