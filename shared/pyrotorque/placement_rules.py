"""The fields of `fleet.accepts` and `fleet.prefer`: which metafiles a group takes, and which group is first."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from pyrotorque.errors import ConditionError
from pyrotorque.fields.field import Field
from pyrotorque.fields.kinds import Kind
from pyrotorque.suggestions import suggestion

if TYPE_CHECKING:
    from pyrotorque.conditions import Condition, SortOrder

PREFER: Final = "-free_slots, -free_share"


def _field(name: str, kind: Kind, doc: str) -> Field:
    return Field(name, kind, (), str, doc)


METAFILE_FIELDS: Final[Mapping[str, Field]] = {
    each.name: each
    for each in (
        _field("name", "text", "the name of the torrent"),
        _field("size", "size", "the bytes of its content"),
        _field("files", "number", "how many files it has"),
        _field("tracker", "text", "the host of its first tracker"),
        _field("is_private", "bool", "whether it is private"),
        _field("job", "text", "the job of the tree"),
        _field("folder", "text", "the folder below the root of the tree"),
        _field("sender", "text", "the group in whose tree it was dropped"),
    )
}
GROUP_FIELDS: Final[Mapping[str, Field]] = {
    each.name: each
    for each in (
        _field("free", "size", "free bytes of the fullest disk that items are loaded to"),
        _field("free_share", "number", "the same in percent of its size"),
        _field("free_slots", "number", "slots of the queues, less items that download and open claims"),
        _field("slots", "number", "slots of the queues"),
        _field("downloading", "number", "items that download"),
        _field("items", "number", "all items"),
        _field("open_claims", "number", "metafiles that the group was given and has not started yet"),
        _field("down_rate", "size", "bytes per second"),
        _field("up_rate", "size", "bytes per second"),
        _field("group", "text", "the name of the group"),
    )
}
_ACCEPTS_FIELDS: Final = {**METAFILE_FIELDS, **GROUP_FIELDS}


def parse_accepts(text: str) -> "Condition | None":
    """`fleet.accepts`; None for an empty text. Raises ConditionError."""
    if not text.strip():
        return None
    from pyrotorque.conditions import parse  # the grammar takes memory, which a group without conditions does not need

    found = parse(text, custom=_ACCEPTS_FIELDS)
    _refuse_others(found.fields, _ACCEPTS_FIELDS)
    return found


def parse_prefer(text: str) -> "SortOrder":
    """`fleet.prefer`; raises ConditionError."""
    from pyrotorque.conditions import parse_sort

    found = parse_sort(text or PREFER, custom=GROUP_FIELDS)
    _refuse_others(found.fields, GROUP_FIELDS)
    return found


def _refuse_others(names: Iterable[str], known: Mapping[str, Field]) -> None:
    for name in names:
        if name not in known:
            raise ConditionError(f"`{name}` is no field of a group{suggestion(name, known)}: {', '.join(known)}")
