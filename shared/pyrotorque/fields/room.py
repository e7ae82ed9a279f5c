"""The field `has_room`: is there space on the target's filesystem for what is left to download?"""

import os
from pathlib import Path

from pyrotorque.fields.field import Field
from pyrotorque.fields.reading import number


def room_field(min_free: int) -> Field:
    """`has_room` that leaves `min_free` bytes alone."""

    def has_room(directory: str, left: str) -> bool:
        free = free_space(directory)
        return free is not None and number(left) <= max(0, free - min_free)

    doc = "its filesystem has space for what is left to download, beyond `min_free`"
    return Field("has_room", "bool", ("d.directory=", "d.left_bytes="), has_room, doc, local=True)


def free_space(directory: str) -> int | None:
    """Bytes that a user may still write where `directory` is or will be; None when that cannot be told."""
    folder = Path(directory).expanduser()
    if not folder.is_absolute():
        return None
    for place in (folder, *folder.parents):
        try:
            found = os.statvfs(place)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            continue
        except OSError:
            return None
        return found.f_bavail * found.f_frsize
    return None
