"""What a group of the fleet said about an item: it permits to dispose of a metafile for a while only."""

from typing import Final

from pyrotorque_watcher.rows import IN_FLEET, Row

ANSWER_AGE: Final = 60.0
"""Seconds after which the item may have been erased since: nothing asks the group again."""


def is_of_fleet(row: Row) -> bool:
    """Whether the item of this metafile is in a group of the fleet, by an answer from when the row was `changed`."""
    progress = row.progress
    return progress.state == "placed" or (progress.state == "duplicate" and progress.incarnation == IN_FLEET)
