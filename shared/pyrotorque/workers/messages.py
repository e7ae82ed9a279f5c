"""What a worker and its scheduler say to each other: one JSON object a line, over a socket of their own.

The side of the worker runs foreign code: what it says is data with bounds, and never more than that.
"""

from typing import Any, Final

import msgspec

from pyrotorque.events import JobReported
from pyrotorque.text import encode_json

LINE_MAX: Final = 1 << 20
TEXT_MAX: Final = 4_000
PUBLISHED_MAX: Final = 1_000


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all messages."""


class Prepare(Message, frozen=True, kw_only=True, tag=True):
    """To the worker, first: make this job."""

    job: str
    handler: str
    config: dict[str, Any]
    config_dir: str
    state_dir: str = ""
    url: str | None = None
    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    aliases: dict[str, str] = {}
    traits_by_alias: dict[str, str] = {}
    log_level: str = "INFO"
    memory_max: int = 0
    takes_events: bool = False


class Run(Message, frozen=True, kw_only=True, tag=True):
    """To the worker: run once; `mark` is written down when the run has come to its end."""

    number: int
    event: msgspec.Raw = msgspec.Raw(b"null")
    mark: str = ""


class Stop(Message, frozen=True, kw_only=True, tag=True):
    """To the worker: close the job and leave."""


class Ready(Message, frozen=True, kw_only=True, tag=True):
    """From the worker: the job is made."""


class Refused(Message, frozen=True, kw_only=True, tag=True):
    """From the worker: no such class, or its constructor raised; `configured_wrong` where that was UserError."""

    reason: str
    configured_wrong: bool = False


class Said(Message, frozen=True, kw_only=True, tag=True):
    """From the worker: a line for the log."""

    level: int
    text: str


class Published(Message, frozen=True, kw_only=True, tag=True):
    """From the worker: what the job told with `publish`; others hear of it when the run has ended."""

    report: JobReported


class Finished(Message, frozen=True, kw_only=True, tag=True):
    """From the worker: the run came to its end; `error` says how it failed."""

    number: int
    error: str = ""


ToWorker = Prepare | Run | Stop
FromWorker = Ready | Refused | Said | Published | Finished

_to_worker: Final[msgspec.json.Decoder[ToWorker]] = msgspec.json.Decoder(ToWorker)
_from_worker: Final[msgspec.json.Decoder[FromWorker]] = msgspec.json.Decoder(FromWorker)


def line(message: Message) -> bytes:
    """The message as it travels."""
    return encode_json(message) + b"\n"


def for_worker(text: bytes) -> ToWorker:
    return _to_worker.decode(text)


def from_worker(text: bytes) -> FromWorker:
    """Raises msgspec.DecodeError on anything that is not a message of a worker."""
    return _from_worker.decode(text)
