"""What crosses between the link's thread and the service's loop: plain data, and two kinds of failure."""

from collections.abc import Callable
from dataclasses import dataclass


class LinkError(Exception):
    """Nothing is known about the effect: it may have been written."""


class Conflict(Exception):
    """It was not written: another value has been there."""


@dataclass(frozen=True)
class Connected:
    server: str


@dataclass(frozen=True)
class Disconnected:
    reason: str


@dataclass(frozen=True)
class Update:
    """A value of the bucket of groups, which arrived `at` (CLOCK_MONOTONIC seconds)."""

    key: str
    value: bytes
    at: float


@dataclass(frozen=True, slots=True)
class ClaimUpdate:
    """A value of the bucket of claims, written as `revision`."""

    info_hash: str
    revision: int
    value: bytes


@dataclass(frozen=True)
class BucketState:
    """A bucket: its `identity` changes when it is created again, `newest` is its newest revision.

    It is `cut` where the servers lost revisions that were known: more of them lost their data than may.
    """

    identity: str
    newest: int
    cut: bool = False


@dataclass(frozen=True)
class Asked:
    """A request of another group; `reply` may be called from any thread, once."""

    payload: bytes
    reply: Callable[[bytes], None]


@dataclass(frozen=True)
class StoredEvent:
    sequence: int
    body: bytes
    subject: str = ""


@dataclass(frozen=True)
class StoredClaim:
    revision: int
    value: bytes


Received = Connected | Disconnected | Update | ClaimUpdate | BucketState
