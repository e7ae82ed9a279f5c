"""Metafiles as they get into a watched tree, and the items that rTorrent made of them."""

import os
from pathlib import Path
from typing import Any

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent


def drop(path: Path, name: str = "", **params: Any) -> str:
    """Write a metafile whose item is called `name`, or else as the file; its info-hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metafile = make_metafile(name or path.name, **params)
    path.write_bytes(metafile)
    return info_hash(metafile)


def touch(path: Path) -> None:
    """As touch(1) does it: opened for writing, its times set, closed."""
    with path.open("ab") as file:
        os.utime(file.fileno())


def items(rtorrent: PrivateRTorrent) -> set[str]:
    """The info-hashes of all items."""
    return {info for (info,) in RTorrent(rtorrent.url).rows("main", ["d.hash="])}
