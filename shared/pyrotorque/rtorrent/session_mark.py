"""Our mark in rTorrent's session folder: it identifies the session, and shows whether an older copy was restored.

A file beside the items, which rTorrent ignores. It moves, and is restored, together with them.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.linux.files import sync_folder
from pyrotorque.text import encode_json

FILE_NAME: Final = b"pyrotorque.mark"
_SIZE_MAX: Final = 10_000
_GROUPS_MAX: Final = 20
_GENERATION_MAX: Final = 2**53
_NAME: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)


class SessionMark(msgspec.Struct, frozen=True):
    """`name` is random and stays. Generations, by group, grow when items change."""

    name: str
    generations: Mapping[str, int] = {}

    def generation(self, group: str) -> int:
        return self.generations.get(group, -1)

    def at(self, group: str, generation: int) -> "SessionMark":
        """The mark with this generation of the group; groups that did not write for longest are left out."""
        others = [(name, number) for name, number in self.generations.items() if name != group]
        return SessionMark(self.name, dict([*others[1 - _GROUPS_MAX :], (group, min(generation, _GENERATION_MAX))]))


def new_mark() -> SessionMark:
    return SessionMark(os.urandom(8).hex())


def read_mark(folder: bytes) -> SessionMark | None:
    """The mark in a session folder; None if there is none, or one that cannot be read."""
    try:
        fd = os.open(os.path.join(folder, FILE_NAME), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            mark = msgspec.json.decode(file.read(_SIZE_MAX), type=SessionMark)
    except (OSError, msgspec.DecodeError):
        return None
    return mark if _NAME.fullmatch(mark.name) else None


def write_mark(folder: bytes, mark: SessionMark) -> bool:
    """Write the mark; it is on the disk when this returns. False where this user may not, or the disk is full."""
    path = os.path.join(folder, FILE_NAME)
    fresh = path + b".new"
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "wb") as file:
            file.write(encode_json(mark) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
        sync_folder(Path(os.fsdecode(folder)))
    except OSError:
        with suppress(OSError):
            os.unlink(fresh)
        return False
    return True
