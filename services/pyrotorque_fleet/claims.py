"""The claim on a metafile: its states, and each step as a pure function from the stored claim to the next one.

A step is written by compare-and-set on the revision of the claim that it was computed from. `grant` is the only step
that permits a start, and only the owner of the current assignment takes it. A granted claim is taken over by nothing
but `release`, on request of the owner of the fleet.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.structs import replace

ClaimState: TypeAlias = Literal["offered", "assigned", "granted", "done", "failed", "withdrawn"]
CHUNK: Final = 256 << 10
CHUNKS_MAX: Final = 64
"""16 MiB: the limit for metafiles."""
TRIED_MAX: Final = 32
FOLDERS_MAX: Final = 4
_PAD: Final = 512
Flag: TypeAlias = Literal["start", "load", "queue", "queued"]
MISSING: Final = "its content is not stored"
"""The reason of an offer that no group can load until its content is stored again, by its sender or another one."""
FLAGS: Final[tuple[Flag, ...]] = ("start", "load", "queue", "queued")

# `$` would accept a line break at the end.
GroupName = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,63}\Z")]
MaybeGroup = Annotated[str, Meta(pattern=r"^[a-z0-9-]{0,63}\Z")]
InfoHash = Annotated[str, Meta(pattern=r"^[0-9A-F]{40}\Z")]
_Count = Annotated[int, Meta(ge=0, le=2**53)]
_FOLDER_MAX: Final = 64


class Metafacts(msgspec.Struct, frozen=True, kw_only=True):
    """What `fleet.accepts` may use of a metafile; `tracker` is its first host, `size` has the bytes of its content."""

    name: Annotated[str, Meta(max_length=512)]
    size: _Count = 0
    files: _Count = 1
    tracker: Annotated[str, Meta(max_length=253)] = ""
    private: bool = False


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The value of one info-hash in the bucket of claims. `generation` counts the assignments."""

    v: Literal[1] = 1
    info_hash: InfoHash
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    length: Annotated[int, Meta(ge=1, le=CHUNK * CHUNKS_MAX)]
    """Bytes of the metafile."""
    job: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    folder: Annotated[str, Meta(max_length=FOLDERS_MAX * (_FOLDER_MAX + 1))] = ""
    """Of the metafile below the root of its tree."""
    flags: Annotated[tuple[Flag, ...], Meta(max_length=4)] = ()
    facts: Metafacts
    siblings: Annotated[tuple[GroupName, ...], Meta(max_length=16)] = ()
    """Groups with an item of the same name and size."""
    sender: GroupName
    offered: float
    """Unix seconds of the sender's clock; for display only."""
    offer: Annotated[str, Meta(max_length=64)]
    """Identifies the file that was dropped, in its group."""
    state: ClaimState
    owner: MaybeGroup = ""
    generation: Annotated[int, Meta(ge=0, le=2**31)] = 0
    tried: Annotated[tuple[GroupName, ...], Meta(max_length=TRIED_MAX)] = ()
    reason: Annotated[str, Meta(max_length=200)] = ""
    changed: float = 0.0
    """Unix seconds of the writer's clock; for display only."""


class KnownClaim(msgspec.Struct, frozen=True):
    """The metafile is in the fleet already, so it is not offered again."""

    claim: Claim


def chunks_of(length: int) -> int:
    return -(-length // CHUNK)


def folder_error(folder: str) -> str:
    """Why this folder of a metafile is not used in another group; empty if it is."""
    if not folder:
        return ""
    parts = folder.split("/")
    if len(parts) > FOLDERS_MAX:
        return f"more than {FOLDERS_MAX} folders"
    for part in parts:
        if not part or part.startswith(".") or len(part.encode("utf-8", "replace")) > _FOLDER_MAX:
            return "a folder whose name is empty, hidden or too long"
        if not part.isprintable() or "\ufffd" in part or any(0xD800 <= ord(char) < 0xE000 for char in part):
            return "a folder with a name that is not printable"
    return ""


# -- steps of the sender


def offer(new: Claim, known: Claim | None, *, is_gone: bool = False) -> Claim | KnownClaim:
    """The claim to write for a metafile that was dropped. `known` is what is stored; with `is_gone`, the group that
    had its item has looked just now, and has it no more."""
    if known is None:
        return new
    if known.state in ("withdrawn", "failed") or is_missing(known) or (is_gone and known.state == "done"):
        return replace(new, generation=known.generation)
    return KnownClaim(known)


def is_missing(claim: Claim) -> bool:
    """Whether it is offered, and its content is gone."""
    return claim.state == "offered" and claim.reason == MISSING


def is_same_offer(claim: Claim, sender: str, number: str) -> bool:
    """Whether the claim is about this very file: an earlier attempt to offer it was written."""
    return claim.sender == sender and claim.offer == number


def withdraw(claim: Claim, sender: str) -> Claim | None:
    """The file of an offer is gone, and no group has taken it."""
    if claim.state != "offered" or claim.sender != sender:
        return None
    return replace(claim, state="withdrawn", reason="the metafile was removed")


# -- steps of a group that takes it


def assign(claim: Claim, group: str) -> Claim | None:
    """`group` takes it; only a group itself takes work."""
    if claim.state != "offered" or group in claim.tried:
        return None
    return replace(claim, state="assigned", owner=group, generation=claim.generation + 1, reason="")


def has_item(claim: Claim, group: str) -> Claim | None:
    """`group` had the item before: nothing is loaded, nothing starts."""
    if claim.state != "offered" and not _is_assigned(claim, group, claim.generation):
        return None
    return replace(claim, state="done", owner=group, reason="the item was there before")


def grant(claim: Claim, group: str, generation: int) -> Claim | None:
    """The owner may start it from now on: the fence."""
    return replace(claim, state="granted") if _is_assigned(claim, group, generation) else None


def may_start(claim: Claim | None, group: str, generation: int) -> bool:
    """Whether `group` may start what it loaded for this assignment."""
    return claim is not None and claim.state in ("granted", "done") and _is_owner(claim, group, generation)


def report(claim: Claim, group: str, generation: int) -> Claim | None:
    """The owner has released it to its own rules."""
    if claim.state != "granted" or not _is_owner(claim, group, generation):
        return None
    return replace(claim, state="done")


def give_back(claim: Claim, group: str, generation: int, reason: str, *, is_bad: bool) -> Claim | None:
    """The owner cannot load it; with `is_bad` no group can."""
    if not _is_assigned(claim, group, generation):
        return None
    tried = tuple(dict.fromkeys((*claim.tried, group)))
    if is_bad or len(tried) > TRIED_MAX:
        return replace(claim, state="failed", owner="", reason=reason[:200])
    return replace(claim, state="offered", owner="", tried=tried, reason=reason[:200])


# -- steps of others


def take_back(claim: Claim, reason: str) -> Claim | None:
    """The owner of an assignment is gone, or does not progress: it is offered again. Never for a granted claim."""
    if claim.state != "assigned":
        return None
    return replace(claim, state="offered", owner="", reason=reason[:200])


def release(claim: Claim) -> Claim | None:
    """The owner of the fleet takes back what a dead host has, or the fleet's memory of what was loaded."""
    if claim.state == "granted":
        return replace(claim, state="offered", owner="", reason=f"released from {claim.owner}"[:200])
    if claim.state in ("done", "failed"):
        return replace(claim, state="withdrawn", owner="", reason="released: drop the metafile again to place it")
    return None


def _is_assigned(claim: Claim, group: str, generation: int) -> bool:
    return claim.state == "assigned" and _is_owner(claim, group, generation)


def _is_owner(claim: Claim, group: str, generation: int) -> bool:
    return claim.owner == group and claim.generation == generation


def encode_claim(claim: Claim) -> bytes:
    """Padded: a full bucket takes updates that are not larger, so each claim reserves its room."""
    body = msgspec.json.encode(claim)
    return body.ljust(-(-len(body) // _PAD) * _PAD)
