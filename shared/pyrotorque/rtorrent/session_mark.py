"""Our mark in rTorrent's session folder: it identifies the session, shows whether an older copy was restored, and which
groups use this rTorrent.

A file beside the items, which rTorrent ignores. It moves, and is restored, together with them.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.json_input import decode_json
from pyrotorque.linux.files import sync_folder
from pyrotorque.text import encode_json, printable

FILE_NAME: Final = b"pyrotorque.mark"
_SIZE_MAX: Final = 10_000
_GROUPS_MAX: Final = 20
_GENERATION_MAX: Final = 2**53
_USES_MAX: Final = 5
_HOME_LENGTH: Final = 200
_HOST_LENGTH: Final = 64
_NAME: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)


class GroupUse(msgspec.Struct, frozen=True):
    """A group that changes items: its configuration directory, its host, and a number that grows while it runs."""

    home: str
    host: str
    beats: int = 0


class SessionMark(msgspec.Struct, frozen=True):
    """`name` is random and stays. Generations, by group, grow when items change.

    `uses` has the groups by the random name of their present run; few, because a mark that is too large is no mark.
    """

    name: str
    generations: Mapping[str, int] = {}
    uses: Mapping[str, GroupUse] = {}

    def generation(self, group: str) -> int:
        return self.generations.get(group, -1)

    def at(self, group: str, generation: int) -> "SessionMark":
        """The mark with this generation of the group; groups that did not write for longest are left out."""
        others = [(name, number) for name, number in self.generations.items() if name != group]
        generations = dict([*others[1 - _GROUPS_MAX :], (group, min(generation, _GENERATION_MAX))])
        return SessionMark(self.name, generations, self.uses)

    def used(self, run: str, use: GroupUse) -> "SessionMark":
        """The mark with this use of this run, and without those that wrote longest ago."""
        others = list(self.unused(run, use).uses.items())
        return SessionMark(self.name, self.generations, dict([*others[1 - _USES_MAX :], (run, use)]))

    def unused(self, run: str, use: GroupUse) -> "SessionMark":
        """The mark without this run and without earlier ones of this group."""
        place = (use.home, use.host)
        uses = {name: each for name, each in self.uses.items() if name != run and (each.home, each.host) != place}
        return SessionMark(self.name, self.generations, uses)


def group_use(home: Path, host: str) -> GroupUse:
    return GroupUse(printable(os.fsencode(home))[:_HOME_LENGTH], printable(host)[:_HOST_LENGTH])


def new_mark() -> SessionMark:
    return SessionMark(os.urandom(8).hex())


def read_mark(folder: bytes) -> SessionMark | None:
    """The mark in a session folder; None if there is none, or one that cannot be read."""
    try:
        fd = os.open(os.path.join(folder, FILE_NAME), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            mark = decode_json(file.read(_SIZE_MAX), type=SessionMark)
    except (OSError, msgspec.DecodeError):
        return None
    return mark if _NAME.fullmatch(mark.name) else None


def write_mark(folder: bytes, mark: SessionMark) -> bool:
    """Write the mark; it is on the disk when this returns. False where this user may not, or the disk is full."""
    path = os.path.join(folder, FILE_NAME)
    # One for each process: two groups that write at the same time must not cut off each other's file.
    fresh = b"%s.%d.new" % (path, os.getpid())
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
