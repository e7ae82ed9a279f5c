"""The values of fields that are not known for an item.

A module of its own: a process of 1.0.0 that imports conditions late has `fields.kinds` of 1.0.0 already.
"""

from typing import Final

from pyrotorque.fields.kinds import Tags

UNKNOWN: Final = Tags(("unknown",))
"""The value of a set that is not known; None is that of all other kinds."""


def is_unknown(value: object) -> bool:
    """Whether this is the value of a field that is not known for an item."""
    return value is None or value == UNKNOWN
