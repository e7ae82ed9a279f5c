"""Puts the files of an interrupted removal back to their old names, beside what rTorrent may have created there."""

import os

from pyrotorque.errors import RemovalRefused
from pyrotorque.housekeeping import moved_files, quarantine
from pyrotorque.housekeeping.journal import RemovalRecord
from pyrotorque.text import printable


def move_back(removal: RemovalRecord) -> None:
    """Move the files back; raises RemovalRefused unless all of them are at their old names then."""
    if removal.files:
        # Its folder was not removed before the item was erased, but another program may have. Without the quarantine,
        # its disk is not mounted: nothing is created in the folder that is in its place.
        if os.path.isdir(os.path.join(removal.entry, quarantine.DATA)):
            os.makedirs(removal.directory, exist_ok=True)
        target = moved_files.open_root(removal.directory)
        try:
            _move_back_to(target, removal)
            if lacking := moved_files.missing(target, removal.files):
                raise RemovalRefused(f"{printable(lacking[0].path)} is neither there nor in quarantine")
        finally:
            os.close(target)
    quarantine.discard(removal)


def _move_back_to(target: int, removal: RemovalRecord) -> None:
    data = os.path.join(removal.entry, quarantine.DATA)
    if not os.path.isdir(data):
        return
    source = moved_files.open_root(data)
    try:
        present = [file for file in removal.files if moved_files.is_at(source, file)]
        aside = moved_files.move_empty_aside(target, source, present)
        moved_files.move(source, target, present)
        moved_files.remove(source, aside)
    finally:
        os.close(source)
