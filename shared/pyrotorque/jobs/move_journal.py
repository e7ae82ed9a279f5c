"""What is being moved, a small file for each item: whoever is killed in the middle knows afterwards where he was."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from pyrotorque.text import encode_json

Phase = Literal["copying", "switching", "cleaning"]


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """The data of one item goes from `source` to `final`; paths with bytes that are not UTF-8 are kept as hex.

    `copying`: the item is untouched. `switching`: it is (or is about to be) closed; `started` says whether it ran
    before. `cleaning`: rTorrent has the new place, only copied data is still to be removed from the old one.
    """

    info_hash: str
    name: str
    source_hex: str
    final_hex: str
    multi_file: bool
    phase: Phase = "copying"
    by_copy: bool = False
    started: bool = False

    @property
    def source(self) -> Path:
        return Path(os.fsdecode(bytes.fromhex(self.source_hex)))

    @property
    def final(self) -> Path:
        return Path(os.fsdecode(bytes.fromhex(self.final_hex)))

    @property
    def aside(self) -> Path:
        """Where a copy grows, beside its final place; the name is ours."""
        return self.final.parent / f".pyrotorque-{self.info_hash}.part"


def path_hex(path: Path) -> str:
    return os.fsencode(path).hex()


class Journal:
    """The moves that have begun and not ended, in a private folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, move: Move) -> None:
        """Write it down, on the disk before this returns."""
        path, fresh = self._path(move.info_hash), self._folder / f"{move.info_hash}.new"
        with fresh.open("wb") as file:
            file.write(encode_json(move))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(self._folder)

    def drop(self, move: Move) -> None:
        self._path(move.info_hash).unlink(missing_ok=True)

    def has(self, info_hash: str) -> bool:
        return self._path(info_hash).exists()

    def moves(self) -> Iterator[Move]:
        """All that have begun, oldest first; a file that cannot be read was never the ground of an effect."""
        for path in sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
            try:
                yield msgspec.json.decode(path.read_bytes(), type=Move)
            except (OSError, msgspec.DecodeError):
                path.unlink(missing_ok=True)

    def _path(self, info_hash: str) -> Path:
        return self._folder / f"{info_hash}.json"


def sync_folder(folder: Path) -> None:
    """Let renames in this folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        # Disks of other systems, and some over a network, know no such thing for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)
