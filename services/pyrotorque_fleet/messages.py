"""What groups write for each other: facts about themselves, decoded strictly and bounded in size.

The name of a group in an answer becomes a part of a claim: with any other text the claim would be valid for no group.
"""

from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from pyrotorque.json_input import decode_json
from pyrotorque_fleet.claims import Claim, GroupName, InfoHash, folder_error

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

    name: GroupName
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
    jobs: Annotated[tuple[_Word, ...], Meta(max_length=16)] = ()
    """The active tree watches that take metafiles of the fleet."""
    joining: bool = False
    """Whether it still makes sure that no other process uses its name, and does nothing under it yet."""


class SoughtItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that may be in other groups, or that has siblings there: items of this name and size."""

    info_hash: InfoHash
    name: Annotated[str, Meta(max_length=512)] = ""
    size: _Count = 0


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request to all groups. find: which items have this info-hash, or this text in their name; holds: who has the
    items in `sought`, or their siblings; why: why a group does not take the claim on the info-hash in `text`."""

    kind: Literal["find", "holds", "why"] = "find"
    text: Annotated[str, Meta(max_length=256)] = ""
    sought: Annotated[tuple[SoughtItem, ...], Meta(max_length=64)] = ()


class FoundItem(msgspec.Struct, frozen=True, kw_only=True):
    info_hash: InfoHash
    name: Annotated[str, Meta(max_length=512)]
    size: _Count
    left: _Count
    is_active: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one group; `problem` is why it could not look."""

    group: GroupName
    items: Annotated[tuple[FoundItem, ...], Meta(max_length=50)] = ()
    more: _Count = 0
    problem: _Line = ""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one group to `holds`: of which of the sought items it has the item, and of which a sibling.

    `kept` are those of `items` whose metadata and session files are complete, so that a metafile of them may be
    removed. It is None if the group could not look, and from version 1.1.0.
    """

    group: GroupName
    items: Annotated[tuple[InfoHash, ...], Meta(max_length=64)] = ()
    siblings: Annotated[tuple[InfoHash, ...], Meta(max_length=64)] = ()
    kept: Annotated[tuple[InfoHash, ...], Meta(max_length=64)] | None = None


class BidRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one group to `why`; an empty reason: it takes the metafile when its turn has come."""

    group: GroupName
    reason: Annotated[str, Meta(max_length=600)] = ""


def encode(message: GroupFacts | Question | Found | Held | BidRefusal) -> bytes:
    return msgspec.json.encode(message)


class BadValue(Exception):
    """What another group wrote is not valid."""


T = TypeVar("T", GroupFacts, Question, Found, Held, BidRefusal, Claim)


def decode_facts(group: str, value: bytes) -> GroupFacts:
    """The facts stored under the key `group`; raises BadValue for anything else."""
    if len(value) > VALUE_MAX:
        raise BadValue(f"{len(value)} bytes")
    facts = _decoded(value, GroupFacts)
    if facts.name != group:
        raise BadValue("it has the name of another group")
    return facts


def decode_claim(info_hash: str, value: bytes) -> Claim:
    """The claim stored under the key `info_hash`; raises BadValue for anything else."""
    if len(value) > VALUE_MAX:
        raise BadValue(f"{len(value)} bytes")
    claim = _decoded(value, Claim)
    if claim.info_hash != info_hash:
        raise BadValue("it is about another item")
    if reason := folder_error(claim.folder):
        raise BadValue(reason)
    if claim.state in ("assigned", "granted") and not claim.owner:
        raise BadValue("it has no owner")
    return claim


def decode_question(value: bytes) -> Question:
    """Raises BadValue for anything else."""
    found = _decoded(value, Question)
    if found.kind != "holds" and not found.text:
        raise BadValue("it has no text")
    return found


def decode_held(value: bytes) -> Held:
    """Raises BadValue for anything else."""
    return _decoded(value, Held)


def decode_refusal(value: bytes) -> BidRefusal:
    """Raises BadValue for anything else."""
    return _decoded(value, BidRefusal)


def decode_found(value: bytes) -> Found:
    """Raises BadValue for anything else."""
    return _decoded(value, Found)


def _decoded(value: bytes, kind: type[T]) -> T:
    try:
        return decode_json(value, type=kind)
    except msgspec.DecodeError as error:
        raise BadValue(str(error)[:200]) from error
