"""Removes the folders of an item whose files are gone: only empty ones, and only those that its torrent names."""

import os
from collections.abc import Collection
from contextlib import suppress

from pyrotorque.housekeeping import moved_files
from pyrotorque.housekeeping.journal import RemovalRecord


def remove_own_folders(removal: RemovalRecord, keep: Collection[tuple[int, int]]) -> None:
    """Remove the item's own folders that are empty now, but none of `keep` (device, inode)."""
    with suppress(OSError):
        root = moved_files.open_root(removal.directory, (removal.device, removal.inode))
        try:
            moved_files.remove_empty_folders(root, removal.files, keep)
        finally:
            os.close(root)
        if removal.own_folder and (removal.device, removal.inode) not in keep:
            above = moved_files.open_root(os.path.dirname(removal.directory))
            try:
                os.rmdir(os.path.basename(removal.directory), dir_fd=above)
            finally:
                os.close(above)
