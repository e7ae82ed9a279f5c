"""Which torrents a metafile, or a file of magnet links, names."""

import os
from pathlib import Path

from pyrotorque.errors import MetafileError
from pyrotorque.metafile import Magnet, Metafile, magnets, read, take


def torrents_of(path: bytes, data: bytes) -> list[tuple[Metafile | Magnet, bytes]]:
    """The torrents that `data`, the content of the file at `path`, names, and what rTorrent gets for each."""
    if not is_links(path, data):
        return [(read(data), data)]
    links = {link.info_hash: link for link in magnets(data)}
    return [(link, link.metafile()) for link in links.values()]


def is_links(path: bytes, data: bytes) -> bool:
    """Whether it is a file of magnet links, also after it was renamed to NAME.loaded."""
    return not data.startswith(b"d") and b".magnet" in path.rpartition(b"/")[2].lower()


def first_hash(path: bytes) -> str:
    """The info-hash of the first torrent in the file at `path`; empty where there is none to read."""
    try:
        return torrents_of(path, take(Path(os.fsdecode(path))))[0][0].info_hash
    except (MetafileError, OSError):
        return ""
