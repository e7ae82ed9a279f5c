"""Decides whether a deselected file is what rTorrent has written: its owner may have put his own one there.

rTorrent writes only those chunks of it that it shares with selected files, at its two ends; the rest is a hole.
"""

import os
from typing import NamedTuple

_PART = 1 << 20


class DeselectedFile(NamedTuple):
    """A file of which rTorrent has at most the ends: where it begins in the torrent, its size there and on disk."""

    path: bytes
    offset: int
    size: int
    found: int
    piece_length: int
    wanted_done: bool
    """Whether all chunks that are shared with selected files are complete."""


def is_foreign(file: DeselectedFile) -> bool:
    """Whether the file has another size than rTorrent gives it, or data where it writes none. Raises OSError."""
    if not file.found or not file.piece_length:
        return False
    head = min(file.size, -file.offset % file.piece_length)
    tail = max(head, file.size - (file.offset + file.size) % file.piece_length)
    is_head_only = file.found == head if file.wanted_done else file.found <= head
    if file.found != file.size and not is_head_only:
        return True
    return file.found > head and _has_data(file.path, head, min(tail, file.found))


def _has_data(path: bytes, begin: int, end: int) -> bool:
    """Whether a byte between two places of a file is not zero; holes are not read."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        at = begin
        while at < end:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:  # only a hole follows
                return False
            if at >= end:
                return False
            content = os.pread(fd, min(_PART, end - at), at)
            if not content:
                return False
            if content.strip(b"\0"):
                return True
            at += len(content)
        return False
    finally:
        os.close(fd)
