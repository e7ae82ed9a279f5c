"""What groups write for each other: facts about themselves, decoded strictly and bounded in size."""

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

VALUE_MAX: Final = 8192
"""Bytes of a value in a bucket."""

_Word = Annotated[str, Meta(max_length=64)]
_Line = Annotated[str, Meta(max_length=200)]
_Count = Annotated[int, Meta(ge=0, le=2**53)]


class DiskRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A filesystem that items are loaded to; bytes."""

    path: _Line
    free: _Count
    size: _Count


class GroupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One heartbeat of a group. `started` (Unix µs) identifies its process, `number` counts its heartbeats.

    `items` and what follows is None while the group's rTorrent cannot be reached. Rates are bytes per second.
    """

    name: _Word
    started: _Count
    number: _Count
    version: _Word
    beat: Annotated[float, Meta(gt=0, le=60)]
    rtorrent: _Word = ""
    items: _Count | None = None
    downloading: _Count | None = None
    seeding: _Count | None = None
    down_rate: _Count | None = None
    up_rate: _Count | None = None
    slots: _Count | None = None
    """All slots of the active queues; None without a queue."""
    rooms: Annotated[tuple[DiskRoom, ...], Meta(max_length=8)] = ()
    problems: Annotated[tuple[_Line, ...], Meta(max_length=8)] = ()
    metrics: _Line = ""
    """Where Prometheus reaches this group's exporter, as host:port."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request to all groups: which items have this info-hash, or this text in their name."""

    text: Annotated[str, Meta(min_length=1, max_length=256)]


class FoundItem(msgspec.Struct, frozen=True, kw_only=True):
    info_hash: Annotated[str, Meta(pattern=r"^[0-9A-F]{40}$")]
    name: Annotated[str, Meta(max_length=512)]
    size: _Count
    left: _Count
    is_active: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one group; `problem` is why it could not look."""

    group: _Word
    items: Annotated[tuple[FoundItem, ...], Meta(max_length=50)] = ()
    more: _Count = 0
    problem: _Line = ""


def encode(message: GroupFacts | Question | Found) -> bytes:
    return msgspec.json.encode(message)


class BadValue(Exception):
    """What another group wrote is not valid."""


T = TypeVar("T", GroupFacts, Question, Found)


def decode_facts(group: str, value: bytes) -> GroupFacts:
    """The facts stored under the key `group`; raises BadValue for anything else."""
    if len(value) > VALUE_MAX:
        raise BadValue(f"{len(value)} bytes")
    facts = _decoded(value, GroupFacts)
    if facts.name != group:
        raise BadValue("it has the name of another group")
    return facts


def decode_question(value: bytes) -> Question:
    """Raises BadValue for anything else."""
    return _decoded(value, Question)


def decode_found(value: bytes) -> Found:
    """Raises BadValue for anything else."""
    return _decoded(value, Found)


def _decoded(value: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadValue(str(error)[:200]) from error
