"""Puts the files of an interrupted removal back to their old names, beside what rTorrent may have created there."""

import os

from pyrotorque.errors import RemovalRefused
from pyrotorque.housekeeping import moved_files, quarantine
from pyrotorque.housekeeping.journal import RemovalRecord, RemovedFile
from pyrotorque.text import printable


def move_back(removal: RemovalRecord) -> bool:
    """Move the files back; raises RemovalRefused unless all of them are at their old names then. Their entry stays.

    Whether some are known by their names and sizes only: their disk was replaced by a copy, or gives its files other
    numbers when it is mounted again, as exFAT does. Then rTorrent has to check them.
    """
    files = removal.files
    if files:
        # Its folder was not removed before the item was erased, but another program may have. Without the quarantine,
        # its disk is not mounted: nothing is created in the folder that is in its place.
        if os.path.isdir(os.path.join(removal.entry, quarantine.DATA)):
            os.makedirs(removal.directory, exist_ok=True)
        target = moved_files.open_root(removal.directory)
        try:
            files = _move_back_to(target, removal)
            if lacking := moved_files.missing(target, files):
                raise RemovalRefused(f"{printable(lacking[0].path)} is neither there nor in quarantine")
        finally:
            os.close(target)
    return files != removal.files


def _move_back_to(target: int, removal: RemovalRecord) -> tuple[RemovedFile, ...]:
    """The files as they are there now."""
    try:
        source = moved_files.open_root(os.path.join(removal.entry, quarantine.DATA))
    except (FileNotFoundError, NotADirectoryError):
        return removal.files
    try:
        files = tuple(
            file if moved_files.is_at(target, file) else moved_files.as_copied(source, [file])[0]
            for file in removal.files
        )
        present = [file for file in files if moved_files.is_at(source, file)]
        aside = moved_files.move_empty_aside(target, source, present)
        moved_files.move(source, target, present)
        moved_files.remove(source, aside)
        return moved_files.as_copied(target, files)
    finally:
        os.close(source)
