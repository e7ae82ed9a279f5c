"""The inbox of a group: the folder from which the watcher loads metafiles of the fleet, held until they are permitted.

The fleet process writes it and reads the watcher's ledger; only the watcher writes the ledger and changes items.
"""

import os
from enum import IntEnum
from pathlib import Path
from typing import Final

FOLDER: Final = "fleet_inbox"


class FleetHold(IntEnum):
    """The column `hold` of the ledger."""

    LOCAL = 0
    """It does not come from the inbox."""
    HELD = 1
    """Its item is stopped, with its priority off; nothing starts it."""
    PERMITTED = 2
    """The fleet permits it: its item gets the priority and state that the settings say."""
    RELEASED = 3
    """That is saved."""


def inbox_of(state_dir: Path, job: str) -> Path:
    """The root of the metafiles that the fleet gives to a job of this group."""
    return state_dir / FOLDER / job


def inbox_path(state_dir: Path, job: str, folder: str, info_hash: str, flags: tuple[str, ...] = ()) -> Path:
    """Where a metafile is put. `folder` was checked by the caller; the flags are part of the name, as in a tree."""
    name = ".".join((info_hash, *flags, "torrent"))
    return inbox_of(state_dir, job) / folder / name


def root_bytes(state_dir: Path, job: str) -> bytes:
    return os.fsencode(inbox_of(state_dir, job).absolute())
