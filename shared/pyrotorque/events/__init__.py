"""The protocol between the services: facts in the past tense, one struct each, and how they look on the wire.

A message has two frames:

1. topic: the struct's name in ASCII, for example `TorrentLoaded`;
2. body: one JSON object, `{"v": 1, "source": "watcher", "epoch": "…", "seq": 12, "type": "TorrentLoaded", "at": …, …}`.

`seq` counts the durable events of one (source, epoch) from 1 without gaps; live events carry 0 and are never replayed.
The epoch changes with a new database or a new boot of the kernel. A reader ignores unknown fields, and counts, logs
once and drops unknown types and bad bodies. Info-hashes are upper-case hex as rTorrent prints them; times are Unix
seconds; durations are seconds. Paths and names may hold bytes that are not UTF-8: they travel as text in which each
such byte, and each lone surrogate, is shown as `\\xNN` (`pyrotorque.text.printable`).
"""

from typing import Final

import msgspec

from pyrotorque.events.base import Fact
from pyrotorque.events.group import (
    ActionTaken,
    DiskLow,
    DiskRecovered,
    JobFailed,
    JobRecovered,
    JobReported,
    ProblemEnded,
    ProblemReported,
    QueueResumed,
    QueueStalled,
    RTorrentLost,
    RTorrentReturned,
    ServiceStateChanged,
)
from pyrotorque.events.items import (
    LoadFailed,
    LoadFailure,
    LoadMode,
    MetafileOffered,
    MetafilePlaced,
    OrphansMoved,
    QuarantinePurged,
    RemovedData,
    StartFailed,
    StartFailure,
    TorrentCompleted,
    TorrentErased,
    TorrentLoaded,
    TorrentMoved,
    TorrentRemoved,
    TorrentRestored,
    TorrentStarted,
)
from pyrotorque.events.live import (
    Family,
    Heartbeat,
    JobFinished,
    QueueChecked,
    Sample,
    TotalsReported,
)
from pyrotorque.json_input import JsonDecoder
from pyrotorque.text import encode_json

__all__ = [
    "VERSION",
    "ActionTaken",
    "Delivery",
    "DiskLow",
    "DiskRecovered",
    "Durable",
    "Envelope",
    "Event",
    "Fact",
    "Family",
    "Heartbeat",
    "JobFailed",
    "JobFinished",
    "JobRecovered",
    "JobReported",
    "Live",
    "LoadFailed",
    "LoadFailure",
    "LoadMode",
    "MetafileOffered",
    "MetafilePlaced",
    "OrphansMoved",
    "ProblemEnded",
    "ProblemReported",
    "QuarantinePurged",
    "QueueChecked",
    "QueueResumed",
    "QueueStalled",
    "RTorrentLost",
    "RTorrentReturned",
    "RemovedData",
    "Sample",
    "ServiceStateChanged",
    "StartFailed",
    "StartFailure",
    "TorrentCompleted",
    "TorrentErased",
    "TorrentLoaded",
    "TorrentMoved",
    "TorrentRemoved",
    "TorrentRestored",
    "TorrentStarted",
    "TotalsReported",
    "UniqueEvent",
    "decode",
    "encode",
    "topic",
]

VERSION: Final = 1

Durable = (
    TorrentLoaded
    | LoadFailed
    | MetafileOffered
    | MetafilePlaced
    | TorrentStarted
    | StartFailed
    | TorrentCompleted
    | TorrentMoved
    | TorrentRemoved
    | TorrentRestored
    | QuarantinePurged
    | OrphansMoved
    | TorrentErased
    | JobFailed
    | JobRecovered
    | RTorrentLost
    | RTorrentReturned
    | DiskLow
    | DiskRecovered
    | QueueStalled
    | QueueResumed
    | ProblemReported
    | ProblemEnded
    | JobReported
    | ServiceStateChanged
    | ActionTaken
)


UniqueEvent = TorrentMoved | TorrentRemoved | TorrentRestored | QuarantinePurged | OrphansMoved
"""Jobs send these again after a kill; each is stored once."""

Live = QueueChecked | JobFinished | Heartbeat | TotalsReported
Event = Durable | Live


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The source of an event; `seq` 0 means live."""

    v: int = VERSION
    source: str
    epoch: str
    seq: int = 0


class Delivery(msgspec.Struct, frozen=True):
    """An event as a subscriber receives it."""

    envelope: Envelope
    event: Event


_event_decoder = JsonDecoder(Event)
_envelope_decoder = JsonDecoder(Envelope)
_encoder = msgspec.json.Encoder()


def topic(event: Event) -> bytes:
    """The first frame."""
    return type(event).__name__.encode("ascii")


def encode(event: Event, envelope: Envelope) -> bytes:
    """The second frame; a lone surrogate is escaped, never an error."""
    head, body = _encoder.encode(envelope), encode_json(event)
    return head[:-1] + b"," + body[1:]


def decode(body: bytes) -> Delivery:
    """The event in a second frame.

    Raises msgspec.DecodeError (ValidationError for an unknown type or a wrong shape) on anything else.
    """
    return Delivery(_envelope_decoder.decode(body), _event_decoder.decode(body))
