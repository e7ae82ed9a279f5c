"""Journal of removals: one file for each unfinished one, on the disk before the step that it describes."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from pyrotorque.errors import RemovalRefused
from pyrotorque.json_input import decode_json
from pyrotorque.linux.files import sync_folder
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.rtorrent.item_load import ItemLoad
from pyrotorque.text import encode_json, printable

FOLDER: Final = "removals"
RemovalPhase = Literal["stopping", "moving", "erasing", "erased"]


class RemovedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of the item: its path in the item's directory as hex, and which file it is."""

    path_hex: str
    device: int
    inode: int
    size: int

    @property
    def path(self) -> bytes:
        return bytes.fromhex(self.path_hex)


class RemovalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A removal in progress.

    `stopping`: nothing was moved, or all of it was moved back. `moving`: the item is closed and saved as stopped, its
    files are being moved to the folder `entry`. `erasing`: all files are there, the item is being erased. `erased`: the
    item is gone.
    """

    info_hash: str
    """Empty for orphaned files."""
    name: str
    job: str
    reason: str
    data: Literal["keep", "quarantine", "delete"]
    at: float
    counted_at: float = 0.0
    """The same by the own clock, for the limits of a day."""
    phase: RemovalPhase = "stopping"
    started: bool = False
    tracker: str = ""
    multi_file: bool = False
    own_folder: bool = False
    directory_hex: str = ""
    device: int = 0
    inode: int = 0
    entry_hex: str = ""
    purge_at: float = 0.0
    """By the own clock."""
    frees: int = 0
    files: tuple[RemovedFile, ...] = ()
    kept: int = 0
    """Files that stay because other items have them."""
    kept_files: tuple[str, ...] = ()
    """Their paths in the item's directory as hex; empty in a record of an earlier version."""
    chunks_done: int = 0
    """How many chunks rTorrent had when the item was closed."""
    seal: str = ""
    """Proves that this group made its entry, see `entry_seals`."""
    load: ItemLoad = ItemLoad()
    """Which item it is, if its owner has erased it and loaded it again since."""

    @property
    def directory(self) -> bytes:
        return bytes.fromhex(self.directory_hex)

    @property
    def entry(self) -> bytes:
        return bytes.fromhex(self.entry_hex)


class RemovalJournal:
    """The unfinished removals of a group, in a private folder."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER

    def write(self, removal: RemovalRecord) -> RemovalRecord:
        """Record the removal; it is on the disk when this returns. Raises RemovalRefused if it cannot be written."""
        path = self.path(removal.info_hash)
        fresh = path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(encode_json(removal))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            sync_folder(self._folder)
        except OSError as error:
            with suppress(OSError):  # a read-only disk refuses that, too, even where there is no such file
                fresh.unlink()
            raise RemovalRefused(f"the journal {printable(str(path))} cannot be written: {error.strerror}") from error
        return removal

    def remove(self, removal: RemovalRecord) -> None:
        self.path(removal.info_hash).unlink(missing_ok=True)
        sync_folder(self._folder)

    def has(self, info_hash: str) -> bool:
        """Whether a removal of this item is unfinished."""
        return self.path(info_hash).exists()

    def unfinished(self) -> Iterator[RemovalRecord]:
        """All unfinished removals. Raises RemovalRefused for a file that cannot be read: its files may be moved."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                removal = decode_json(read_regular_file(path, limit=RECORDS_MAX), type=RemovalRecord)
            except (OSError, msgspec.DecodeError) as error:
                raise RemovalRefused(self._unreadable(path, str(error))) from error
            if path != self.path(removal.info_hash):
                raise RemovalRefused(self._unreadable(path, f"it is that of {printable(removal.info_hash)}"))
            yield removal

    @staticmethod
    def _unreadable(path: Path, problem: str) -> str:
        return (
            f"the journal {printable(str(path))} cannot be used: {problem}. A removal of this item was interrupted: "
            "see that its files are at their places (they may be in the quarantine), then remove the journal"
        )

    def path(self, info_hash: str) -> Path:
        """The file of an unfinished removal."""
        return self._folder / f"{info_hash}.json"
