"""Decides whether an item that another program added may be started: rTorrent must not write into linked files.

cross-seed and others link the files of an item to those of another one. What is missing of such an item would be
written into the data of the other.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pyrotorque.housekeeping.claims import Claims
from pyrotorque.housekeeping.item_files import Inode, ItemContent
from pyrotorque.text import printable

NOT_CHECKED: Final = "its data is not checked yet"


@dataclass(frozen=True, slots=True)
class InjectedItem:
    """The state of an item in rTorrent."""

    started: bool
    """Started and not stopped; `d.resume` makes an item active only, and a restart of rTorrent stops it."""
    active: bool
    has_run: bool
    """It was active before."""
    hashing: bool
    check_failed: bool
    wanted_done: bool
    chunks_done: int
    bitfield: str
    """In hex, one bit for each chunk; empty for a closed item."""
    chunk_size: int


def hold_reason(item: InjectedItem) -> str | None:
    """Why the item is not started, whatever its files are; None: it may be, an empty text: it is not meant."""
    if item.started or (item.has_run and not item.active):
        return ""  # it runs, or its owner stopped it
    if item.hashing:
        return "its data is being checked"
    if item.check_failed:
        return "the check of its data failed"
    # An active item was checked, also if nothing of it was found.
    return None if item.wanted_done or item.chunks_done or item.active else NOT_CHECKED


def written_files(sizes: Sequence[int], item: InjectedItem) -> Iterator[int]:
    """The places of the files of which a chunk is missing, or may be; also those that are not selected."""
    bits = bytes.fromhex(item.bitfield) if item.bitfield else b""
    begin = 0
    for place, size in enumerate(sizes):
        end = begin + size
        chunks = range(begin // item.chunk_size, -(-end // item.chunk_size)) if size else ()
        if not all(_has(bits, chunk) for chunk in chunks):
            yield place
        begin = end


def _has(bits: bytes, chunk: int) -> bool:
    return chunk // 8 < len(bits) and bool(bits[chunk // 8] & (0x80 >> chunk % 8))


Look = Callable[[bytes], os.stat_result]


def link_refusal(content: ItemContent, places: Collection[int], claims: Claims, look: Look = os.lstat) -> str | None:
    """Why rTorrent must not write into these files of the item: they are, or may be, those of others."""
    key = content.info_hash
    for path in [content.path(content.files[place]) for place in sorted(places)]:
        if reason := _link(content, path, look):
            return f"data is missing in {printable(path)}, and {reason}"
        if other := _other_owner(key, path, claims, look):
            return f"data is missing in {printable(path)}, which {printable(other)} has as well"
    return None


def _link(content: ItemContent, path: bytes, look: Look) -> str:
    """Whether the file, or a folder between it and the item's own one, is a link."""
    steps = [path]
    while content.multi_file and len(os.path.dirname(steps[-1])) >= len(content.directory.rstrip(b"/")):
        steps.append(os.path.dirname(steps[-1]))
    for step in reversed(steps):
        try:
            found = look(step)
        except (FileNotFoundError, NotADirectoryError):
            return ""  # rTorrent creates it
        except OSError as error:
            return f"{printable(step)} cannot be examined: {error.strerror}"
        if stat.S_ISLNK(found.st_mode):
            return "it is a symbolic link" if step is path else f"{printable(step)} is a symbolic link"
        if step is path and not stat.S_ISREG(found.st_mode):
            return "it is no regular file"
        if step is path and found.st_nlink > 1:
            return f"it has {found.st_nlink} hard links"
    return ""


def _other_owner(key: str, path: bytes, claims: Claims, look: Look) -> str:
    """The name of another item that has this file, or its place."""
    try:
        found = look(path)
    except OSError:
        place = os.path.realpath(path)
        others = {
            other
            for other, files in claims.files.items()
            for each in files
            if other != key and each.found is None and os.path.basename(each.path) == os.path.basename(path)
            and os.path.realpath(each.path) == place
        }  # fmt: skip
    else:
        others = set(claims.holders.get(Inode(found.st_dev, found.st_ino), ())) - {key}
        # One file may have inodes of its own on each mount of a union or network filesystem.
        twins = claims.alike.get((found.st_size, found.st_mtime_ns), frozenset()) if found.st_size else frozenset()
        others |= {other for device, other in twins if other != key and device != found.st_dev}
    return claims.contents[min(others)].name if others else ""
