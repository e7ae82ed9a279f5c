"""Protocol between the scheduler and a worker: one JSON object per line, over a socket pair.

The worker runs foreign code, so its messages are bounded in size and validated. The tags are those of 1.0.0: a running
scheduler of 1.0.0 starts workers from a newer installation.
"""

from typing import Any, Final

import msgspec

from pyrotorque.events import JobReported, UniqueEvent
from pyrotorque.json_input import JsonDecoder
from pyrotorque.text import encode_json

LINE_MAX: Final = 1 << 20
TEXT_MAX: Final = 4_000
REPORTS_MAX: Final = 1_000
"""Events that are accepted from one run."""
FAILED: Final = " failed"
"""Appended to the mark of a run that failed."""


class WorkerMessage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all messages."""


class CreateJob(WorkerMessage, frozen=True, kw_only=True, tag="Prepare"):
    """To the worker, first: construct this job."""

    job: str
    handler: str
    config: dict[str, Any]
    texts: dict[str, str] = {}
    config_dir: str
    state_dir: str = ""
    run_dir: str = ""
    url: str | None = None
    connect_timeout: float = 3.0
    read_timeout: float = 10.0
    aliases: dict[str, str] = {}
    traits_by_alias: dict[str, str] = {}
    log_level: str = "INFO"
    memory_max: int = 0
    takes_events: bool = False
    reviewed_config_py: str = ""
    """The copy of config.py that was checked; empty in a check, which reads the file."""
    keeps_reports: bool = False
    """Whether the scheduler reads the reports of a run from the mark file; that of 1.0.0 does not."""
    accepts_unique_events: bool = False
    """Whether the scheduler accepts UniqueEventPublished; that of 1.0.0 does not."""


class StartRun(WorkerMessage, frozen=True, kw_only=True, tag="Run"):
    """To the worker: run once; it writes `mark` to the mark file when the run has ended."""

    number: int
    event: msgspec.Raw = msgspec.Raw(b"null")
    mark: str = ""


class StopWorker(WorkerMessage, frozen=True, kw_only=True, tag="Stop"):
    """To the worker: close the job and exit."""


class JobCreated(WorkerMessage, frozen=True, kw_only=True, omit_defaults=True, tag="Ready"):
    """From the worker: the constructor returned.

    `misread` has the settings that are used as 1.0.0 read them, but cannot mean what was typed, each with its error.
    """

    misread: list[tuple[str, str]] = []


class CreationFailed(WorkerMessage, frozen=True, kw_only=True, tag="Refused"):
    """From the worker: the class is missing, or its constructor raised; `config_error` if it raised UserError."""

    reason: str
    config_error: bool = msgspec.field(name="configured_wrong", default=False)


class LogLine(WorkerMessage, frozen=True, kw_only=True, tag="Said"):
    """From the worker: a log record."""

    level: int
    text: str


class ReportPublished(WorkerMessage, frozen=True, kw_only=True, tag="Published"):
    """From the worker: the job called `publish`; the event is published when the run has ended."""

    report: JobReported


class UniqueEventPublished(WorkerMessage, frozen=True, kw_only=True, tag="Moved"):
    """From the worker: a job did something; published once for each `identity` when the run has ended."""

    identity: str
    event: UniqueEvent


class RunFinished(WorkerMessage, frozen=True, kw_only=True, omit_defaults=True, tag="Finished"):
    """From the worker: the run ended; `error` is empty if it succeeded, `rtorrent_away` if rTorrent did not answer."""

    number: int
    error: str
    rtorrent_away: bool = False


ToWorker = CreateJob | StartRun | StopWorker
FromWorker = JobCreated | CreationFailed | LogLine | ReportPublished | UniqueEventPublished | RunFinished

_to_worker: Final[JsonDecoder[ToWorker]] = JsonDecoder(ToWorker)
_from_worker: Final[JsonDecoder[FromWorker]] = JsonDecoder(FromWorker)


def encode_message(message: WorkerMessage) -> bytes:
    """The message as one line."""
    return encode_json(message) + b"\n"


def decode_to_worker(text: bytes) -> ToWorker:
    return _to_worker.decode(text)


def decode_from_worker(text: bytes) -> FromWorker:
    """Raises msgspec.DecodeError for anything that is not a message of a worker."""
    return _from_worker.decode(text)
