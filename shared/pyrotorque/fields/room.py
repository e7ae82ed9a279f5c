"""The field `has_room`: is there space on the target's filesystem for what is left to download?"""

from pyrotorque.fields.field import Field
from pyrotorque.fields.reading import number
from pyrotorque.linux.filesystems import disk_space


def room_field(min_free: int) -> Field:
    """`has_room` that leaves `min_free` bytes alone."""

    def has_room(directory: str, left: str) -> bool:
        space = disk_space(directory)
        return space is not None and number(left) <= max(0, space.free - min_free)

    doc = "its filesystem has space for what is left to download, beyond `min_free`"
    return Field("has_room", "bool", ("d.directory=", "d.left_bytes="), has_room, doc, local=True)
