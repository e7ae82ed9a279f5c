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

from typing import Final, Literal

import msgspec

from pyrotorque.text import encode_json

VERSION: Final = 1

LoadMode = Literal["start", "normal", "queued"]
LoadFailure = Literal["invalid", "duplicate", "rpc", "timeout", "io", "template", "refused", "too_large"]
StartFailure = Literal["rejected", "gone"]
RemovedData = Literal["keep", "quarantine", "delete"]


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all events: `at` is when it happened, in Unix seconds."""

    at: float


class TorrentLoaded(Fact, frozen=True, kw_only=True, tag=True):
    """A metafile's item became visible in rTorrent; `seconds` from file close until then.

    It may not be durable yet: if rTorrent is killed before it has saved the item, it is loaded again, without a second
    event. State `loaded` in `pyrotorque watched` means that it is saved.
    """

    info_hash: str
    name: str
    metafile: str
    job: str
    mode: LoadMode
    seconds: float


class LoadFailed(Fact, frozen=True, kw_only=True, tag=True):
    """A metafile was not loaded, permanently or until it changes; `reason` is a sentence, `kind` its class."""

    metafile: str
    job: str
    kind: LoadFailure
    reason: str


class TorrentStarted(Fact, frozen=True, kw_only=True, tag=True):
    """The queue (or `pyrotorque start`) started an item; `waited` from load to start, None when unknown.

    `durable` is False if rTorrent could not save the start in its session (a full disk?), None if that cannot be seen.
    """

    info_hash: str
    name: str
    job: str
    waited: float | None = None
    durable: bool | None = None


class StartFailed(Fact, frozen=True, kw_only=True, tag=True):
    """An item that should run does not."""

    info_hash: str
    name: str
    job: str
    kind: StartFailure
    reason: str


class TorrentCompleted(Fact, frozen=True, kw_only=True, tag=True):
    """An item has all its data, or all of the files that are selected; published again only after it was incomplete."""

    info_hash: str
    name: str


class TorrentMoved(Fact, frozen=True, kw_only=True, tag=True):
    """A job moved the data of an item (`pyrotorque.jobs.mover`); published once for each move."""

    info_hash: str
    name: str
    job: str
    old_path: str
    new_path: str


class TorrentRemoved(Fact, frozen=True, kw_only=True, tag=True):
    """A clean-up job removed an item (`pyrotorque.jobs.cleanup`); published once for each removal.

    `data` says what happened to its files: with `quarantine` they are in the folder `quarantine`, `size` bytes that are
    free after the purge; with `delete`, `freed` bytes are free. `kept_files` stay because other items have them.
    """

    info_hash: str
    name: str
    job: str
    reason: str
    data: RemovedData
    size: int
    freed: int
    files: int
    kept_files: int
    quarantine: str = ""


class TorrentRestored(Fact, frozen=True, kw_only=True, tag=True):
    """`pyrotorque quarantine restore` brought back an item with its files, or orphaned files (no `info_hash`)."""

    info_hash: str
    name: str
    job: str
    files: int


class QuarantinePurged(Fact, frozen=True, kw_only=True, tag=True):
    """The data of an entry of the quarantine was deleted, after its time or by its owner; `freed` bytes are free."""

    info_hash: str
    name: str
    job: str
    freed: int


class OrphansMoved(Fact, frozen=True, kw_only=True, tag=True):
    """Files that belong to no item were moved to quarantine."""

    job: str
    files: int
    size: int
    quarantine: str


class TorrentErased(Fact, frozen=True, kw_only=True, tag=True):
    """An item is no longer in rTorrent."""

    info_hash: str
    name: str


class JobFailed(Fact, frozen=True, kw_only=True, tag=True):
    """A run of a job raised, crashed, hung or could not start."""

    job: str
    reason: str
    seconds: float


class JobRecovered(Fact, frozen=True, kw_only=True, tag=True):
    """A run of a job succeeded after `failures` runs in a row had failed, the first of them `seconds` ago."""

    job: str
    failures: int
    seconds: float


class RTorrentLost(Fact, frozen=True, kw_only=True, tag=True):
    """rTorrent has not answered for `seconds`; published once for each absence, after half a minute."""

    reason: str
    seconds: float


class RTorrentReturned(Fact, frozen=True, kw_only=True, tag=True):
    """rTorrent answers again, `seconds` after the first call that failed; only after RTorrentLost."""

    seconds: float


class JobReported(Fact, frozen=True, kw_only=True, tag=True):
    """A user job published a report (`Job.publish`): a text, and values by name."""

    job: str
    text: str
    data: dict[str, str | int | float | bool] = {}


class ServiceStateChanged(Fact, frozen=True, kw_only=True, tag=True):
    """supervisord reported a state change of a service; states have its names (RUNNING, BACKOFF, FATAL, …)."""

    service: str
    state: str
    before: str
    reason: str = ""


class ActionTaken(Fact, frozen=True, kw_only=True, tag=True):
    """Someone had a service do something, such as `pyrotorque pause`, or it was refused (`ok` is False).

    `by` is the command line with its user, or a session or token of the panel; `text` is the answer.
    """

    by: str
    action: str
    target: str
    ok: bool
    text: str


Durable = (
    TorrentLoaded
    | LoadFailed
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
    | JobReported
    | ServiceStateChanged
    | ActionTaken
)


UniqueEvent = TorrentMoved | TorrentRemoved | TorrentRestored | QuarantinePurged | OrphansMoved
"""Jobs send these again after a kill; each is stored once."""


class QueueChecked(Fact, frozen=True, kw_only=True, tag=True):
    """A queue checked its items; `startable` and `downloading` are None if the check did not need them.

    `reason` is the sentence why no more was started; `summary` is the same without rTorrent's message about an item.
    """

    job: str
    startable: int | None
    downloading: int | None
    slots: int
    started: int
    reason: str
    summary: str = ""


class JobFinished(Fact, frozen=True, kw_only=True, tag=True):
    """A run of a job succeeded."""

    job: str
    seconds: float


class Heartbeat(Fact, frozen=True, kw_only=True, tag=True):
    """A service is alive: what its loop does (`step`), since when, and until when (`deadline`).

    `step_since` and `deadline` are CLOCK_MONOTONIC seconds, comparable within one boot; `head` is the newest seq.
    """

    service: str
    pid: int
    started: float
    step: str
    step_since: float
    deadline: float
    epoch: str
    head: int
    config: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a family; `labels` in the order of the family's; buckets of a histogram are not cumulative."""

    labels: tuple[str, ...] = ()
    value: float = 0.0
    buckets: tuple[float, ...] = ()
    count: float = 0.0


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a service: absolute totals, which need no adding up.

    For `histogram`, `bounds` are the upper bounds without +Inf, each sample has len(bounds) + 1 bucket counts,
    `value` is the sum and `count` the number of observations.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    samples: tuple[Sample, ...] = ()


class TotalsReported(Fact, frozen=True, kw_only=True, tag=True):
    """All metrics of one service at one moment."""

    service: str
    families: tuple[Family, ...]


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


_event_decoder = msgspec.json.Decoder(Event)
_envelope_decoder = msgspec.json.Decoder(Envelope)
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
