"""Limits in bytes of what the services store, queue and send, and the shortening of events that exceed theirs.

Limits of numbers alone bound nothing: an event has a few hundred bytes, or, from a user's job, hundreds of kilobytes.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from pyrotorque.events import Event
from pyrotorque.text import encode_json

EVENT_BYTES: Final = 256 << 10
"""One durable event; longer texts are cut."""
OUTBOX_BYTES: Final = 64 << 20
"""The stored events of one service; the oldest are deleted, and subscribers that still need them record a gap."""
EVENT_RUN_BYTES: Final = 16 << 20
"""The events that wait for runs of one job; the oldest are dropped and logged."""
REPORT_BYTES: Final = 8 << 20
"""All reports of one run of a job; further ones are dropped, and a last report has their number."""
UNIQUE_EVENT_BYTES: Final = 8 << 10
"""One event of what a job did, such as a move; they are counted, so 1,000 of them have 8 MiB."""
IDENTITY_CHARACTERS: Final = 200
"""The unique name of such an event, which is stored for a month."""
PUBLISHED_BYTES: Final = 16 << 10
"""A larger durable event is not sent to subscribers: its seq is missing, so they request a replay.

ZeroMQ limits its send queues by the number of messages (`QUEUED_MESSAGES`), for each subscriber that does not read.
"""
QUEUED_MESSAGES: Final = 1000
LIVE_BYTES: Final = 256 << 10
"""One live event; larger ones are dropped and counted."""
REPLAY_BYTES: Final = 2 << 20
"""The events in one answer to a replay request."""
QUEUED_ANSWERS: Final = 16
"""Answers and replays that wait for one client that does not read; further ones are dropped, and it requests again."""
FRAME_BYTES: Final = 1 << 20
"""One frame on the bus; the details of a larger answer are left out."""
REQUEST_BYTES: Final = 64 << 10
"""One frame that a service accepts as a request; a connection that sends more is closed. Lists are sent in parts."""
QUEUED_REQUESTS: Final = 16
"""Requests of one client that wait in the service; further ones wait in the client."""
MESSAGE_BYTES: Final = REPLAY_BYTES + 2 * FRAME_BYTES
MESSAGE_FRAMES: Final = 1024
"""One message on the bus, which has several frames; a larger one is dropped."""
LOG_BURST_BYTES: Final = 256 << 10
LOG_BYTES_PER_SECOND: Final = 16 << 10
"""Lines of one job in the scheduler's log: a burst, then this rate; further ones are dropped and counted."""
LABEL_CHARACTERS: Final = 200
SERIES_MAX: Final = 1000
"""Combinations of label values of one total; further ones are counted with the label values `other`."""

_E = TypeVar("_E", bound=Event)
_T = TypeVar("_T")
# Characters of each text, and entries of each mapping, from a first to a last attempt.
_CUTS: Final = ((2_000, 100), (200, 50), (64, 8))


def in_parts(values: Iterable[_T], limit: int = REQUEST_BYTES // 2) -> Iterator[tuple[_T, ...]]:
    """The values in order, in parts whose JSON has at most `limit` bytes; at least one each."""
    part: list[_T] = []
    size = 0
    for value in values:
        more = len(encode_json(value)) + 1
        if part and size + more > limit:
            yield tuple(part)
            part, size = [], 0
        part.append(value)
        size += more
    if part:
        yield tuple(part)


def shortened(event: _E, limit: int = EVENT_BYTES) -> _E:
    """`event`, with its texts and mappings cut if its JSON is larger than `limit` bytes."""
    if len(encode_json(event)) <= limit:
        return event
    found = event
    for characters, entries in _CUTS:
        fields = {name: _cut(value, characters, entries) for name, value in msgspec.structs.asdict(event).items()}
        found = msgspec.structs.replace(event, **fields)
        if len(encode_json(found)) <= limit:
            break
    return found


def _cut(value: object, characters: int, entries: int) -> object:
    if isinstance(value, str):
        return value[:characters]
    if isinstance(value, dict):
        return {str(name)[:characters]: _cut(inner, characters, entries) for name, inner in [*value.items()][:entries]}
    if isinstance(value, tuple):
        return tuple(_cut(inner, characters, entries) for inner in value[:entries])
    return value
