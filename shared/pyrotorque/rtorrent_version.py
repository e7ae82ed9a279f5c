"""Versions of rTorrent as numbers that can be compared."""

import re
from typing import Final, TypeAlias

RTorrentVersion: TypeAlias = tuple[int, ...]

_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")


def version_of(text: str) -> RTorrentVersion | None:
    """`0.16.17` as numbers, also within a longer text such as the output of `rtorrent -h`."""
    found = _VERSION.search(text)
    return tuple(map(int, found[0].split("."))) if found else None
