"""Whether a quarantine is out of sight because its disk is not mounted, or was removed by its owner."""

import os

from pyrotorque.housekeeping.journal import RemovalRecord


def is_away(removal: RemovalRecord) -> bool:
    """Whether the entry of a removal is out of sight together with its disk.

    Not if only the entry is gone, or if the folder of the item, on the same mount, is still there.
    """
    if not removal.entry or os.path.lexists(removal.entry) or os.path.lexists(os.path.dirname(removal.entry)):
        return False
    try:
        return os.stat(removal.directory).st_ino != removal.inode
    except OSError:
        return True
