"""Notes on disks on which a clean-up cannot do what it is configured for: full ones, and layered filesystems."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pyrotorque.humanize import size
from pyrotorque.linux.filesystems import disk_space, filesystem_type, read_mounts
from pyrotorque.text import printable

_LOW: Final = 4 << 20  # bytes
_LAYERED: Final = ("overlay", "aufs", "unionfs")


def disk_notes(below: Sequence[Path], state: Path, session: bytes) -> list[str]:
    """What a user should know about the disks of `below`, of our state and of rTorrent's session."""
    return [*_layered(below), *_full("the state of pyrotorque", state), *_full("rTorrent's session", session)]


def _layered(below: Sequence[Path]) -> Iterator[str]:
    mounts = read_mounts()
    for folder in below:
        kind = filesystem_type(os.fsencode(os.path.realpath(folder)), mounts)
        if kind in _LAYERED:
            yield (
                f"{printable(str(folder))} is on {kind}: files of its lower layers cannot be renamed, and "
                "their items stay; removing them frees nothing"
            )


def _full(what: str, folder: "Path | bytes") -> Iterator[str]:
    shown = os.fsdecode(folder)
    space = disk_space(shown) if shown else None
    if space is not None and space.free < _LOW:
        yield (
            f"{printable(shown)} has {size(space.free)} free: {what} cannot be saved, and a removal that "
            "cannot be recorded is not begun"
        )
