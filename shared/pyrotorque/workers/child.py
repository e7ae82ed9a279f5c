"""Program of a worker process: creates one job, runs it on request and exits with its scheduler.

`python -m pyrotorque.workers.child SOCKET MARKS PARENT`: the file descriptors of the message socket and of the mark
file (-1: none), and the pid of the scheduler.
"""

import errno
import faulthandler
import inspect
import logging
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from pyrotorque import housekeeping
from pyrotorque.errors import ConditionError, PyrotorqueError, RTorrentUnavailable, UserError
from pyrotorque.events import Event, JobReported, UniqueEvent
from pyrotorque.jobs.context import JobContext, set_context
from pyrotorque.jobs.params import with_texts
from pyrotorque.json_input import JsonDecoder
from pyrotorque.limits import EVENT_BYTES, IDENTITY_CHARACTERS, UNIQUE_EVENT_BYTES, shortened
from pyrotorque.linux.processes import die_with_parent
from pyrotorque.room import use_limits_of
from pyrotorque.text import printable
from pyrotorque.tolerance import set_default_report
from pyrotorque.workers.handlers import error_summary, load_handler
from pyrotorque.workers.mark_files import KeptReports, write_mark
from pyrotorque.workers.messages import (
    FAILED,
    LINE_MAX,
    TEXT_MAX,
    CreateJob,
    CreationFailed,
    JobCreated,
    LogLine,
    ReportPublished,
    RunFinished,
    StartRun,
    StopWorker,
    ToWorker,
    UniqueEventPublished,
    WorkerMessage,
    decode_to_worker,
    encode_message,
)

_event = JsonDecoder(Event)
_MISREAD_MAX: Final = 100


class Descriptor:
    """A file that was open at the start. A job may close its descriptor, and its number may be that of another file."""

    def __init__(self, number: int) -> None:
        os.set_inheritable(number, False)
        self.number = number
        self._identity = self._stat()

    def check(self) -> None:
        """Raise OSError if the descriptor is closed, or is another file by now."""
        if self._stat() != self._identity:
            raise OSError(errno.EBADF, "the job has closed this descriptor, and it belongs to another file now")

    def _stat(self) -> tuple[int, int]:
        found = os.fstat(self.number)
        return found.st_dev, found.st_ino


class Channel:
    """The message socket; an oversized message is dropped as a whole."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = Descriptor(descriptor)
        self._socket = socket.socket(fileno=descriptor)
        # The scheduler may be busy or stopped (SIGSTOP): sending then blocks.
        self._socket.setblocking(True)
        self._lock = threading.Lock()
        self.reports = KeptReports()

    def send(self, message: WorkerMessage) -> None:
        text = encode_message(message)
        if len(text) <= LINE_MAX:
            with self._lock:
                self._descriptor.check()
                self._socket.sendall(text)

    def messages(self) -> Iterator[ToWorker]:
        """Messages of the scheduler, until it closes its end."""
        with self._socket.makefile("rb") as lines:
            for text in lines:
                yield decode_to_worker(text)


class SchedulerLogHandler(logging.Handler):
    """Sends log records to the scheduler's log."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            self._channel.send(LogLine(level=record.levelno, text=text[:TEXT_MAX]))
        except Exception:
            self.handleError(record)


def main() -> int:
    descriptor, mark_file, parent = map(int, sys.argv[1:4])
    die_with_parent(parent)
    original = os.getpid()
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    marks = Descriptor(mark_file) if mark_file >= 0 else None
    channel = Channel(descriptor)
    messages = channel.messages()
    create = next(messages, None)
    if not isinstance(create, CreateJob):
        return 0
    misread = _report_misread(create)
    try:
        job = create_job(create, channel)
    except BaseException as error:  # a user's module may raise anything, including SystemExit
        failed = _creation_failed(error, create)
        _end_copy(original, failed.reason)
        channel.send(failed)
        return 1
    _end_copy(original)
    channel.send(JobCreated(misread=[(key, text[:TEXT_MAX]) for key, text in misread.items()][:_MISREAD_MAX]))
    for message in messages:
        if isinstance(message, StartRun):
            finished = run_job(job, message)
            _end_copy(original, finished.error)
            reports = channel.reports.take()
            _write_mark(marks, message, finished, reports if create.keeps_reports else b"")
            channel.send(finished)
        elif isinstance(message, StopWorker):
            _close(job)
            return 0
    return 0


def create_job(create: CreateJob, channel: Channel) -> Any:
    """The user's job; raises whatever its module or constructor raises."""
    logging.basicConfig(level=create.log_level.upper(), handlers=[SchedulerLogHandler(channel)], force=True)
    config_dir = Path(create.config_dir)

    def publish(report: JobReported) -> None:
        sent = shortened(report)
        if sent is not report:
            logging.getLogger(report.job).warning("shortened a report: it exceeded %d bytes", EVENT_BYTES)
        channel.reports.add(sent)
        channel.send(ReportPublished(report=sent))

    def publish_once(identity: str, event: UniqueEvent) -> None:
        sent = shortened(event, UNIQUE_EVENT_BYTES)  # a message that is too long would end this process
        channel.send(UniqueEventPublished(identity=identity[:IDENTITY_CHARACTERS], event=sent))

    set_context(
        JobContext(
            config_dir=config_dir,
            state_dir=Path(create.state_dir) if create.state_dir else None,
            run_dir=Path(create.run_dir) if create.run_dir else None,
            reviewed_config_py=Path(create.reviewed_config_py) if create.reviewed_config_py else None,
            url=create.url,
            connect_timeout=create.connect_timeout,
            read_timeout=create.read_timeout,
            aliases=create.aliases,
            traits_by_alias=create.traits_by_alias,
            publish=publish,
            publish_once=publish_once if create.accepts_unique_events else None,
        )
    )
    if create.state_dir:
        use_limits_of(Path(create.state_dir) / housekeeping.FOLDER)
    sys.dont_write_bytecode = True
    _limit_memory(create.memory_max)
    job = load_handler(create.handler, config_dir / "jobs")(with_texts(create.config, create.texts))
    run = getattr(job, "run", None)
    if not callable(run):
        raise UserError(f"{create.handler} has no method run()")
    if create.takes_events and not _accepts_event(run):
        raise UserError(
            f"the method run() of {create.handler} does not accept an event: write `def run(self, event=None)`"
        )
    return job


def _report_misread(create: CreateJob) -> dict[str, str]:
    """The errors of conditions that the job parses, by setting; each is logged once, and the job runs as with 1.0.0."""
    found: dict[str, str] = {}

    def report(error: ConditionError) -> None:
        key = _setting_of(error, create)
        if key not in found and len(found) < _MISREAD_MAX:
            found[key] = str(error)
            text = "%s is used as 1.0.0 read it, but cannot mean what was typed: %s"
            logging.getLogger(create.job).warning(
                text, f"job.{create.job}.{key}" if key else "a condition", error.summary
            )

    set_default_report(report)
    return found


def _setting_of(error: ConditionError, create: CreateJob) -> str:
    """The setting with the condition of an error; empty if none has it."""
    given, text = {**create.config, **create.texts}, error.condition.strip()
    return next((key for key, value in given.items() if isinstance(value, str) and value.strip() == text), "")


def run_job(job: Any, message: StartRun) -> RunFinished:
    """Run the job once."""
    try:
        text = _error_of_run(job, message)
    except RTorrentUnavailable as error:
        return RunFinished(number=message.number, error=printable(str(error))[:TEXT_MAX], rtorrent_away=True)
    return RunFinished(number=message.number, error=text[:TEXT_MAX])


def _error_of_run(job: Any, message: StartRun) -> str:
    """Empty if the run succeeded; raises RTorrentUnavailable."""
    try:
        event = None if message.event == msgspec.Raw(b"null") else _event.decode(message.event)
        if event is None:
            job.run()
        else:
            job.run(event)
    except SystemExit as error:
        return "" if error.code in (None, 0) else error_summary(error)
    except RTorrentUnavailable:
        raise
    except PyrotorqueError as error:
        return printable(str(error)) or type(error).__name__
    except BaseException as error:  # any exception ends this run only
        logging.getLogger().debug("traceback of the failed run", exc_info=True)
        return error_summary(error)
    return ""


def _accepts_event(run: Callable[..., object]) -> bool:
    try:
        inspect.signature(run).bind(object())
    except TypeError:
        return False
    except ValueError:  # written in C: it has no signature
        return True
    return True


def _creation_failed(error: BaseException, create: CreateJob) -> CreationFailed:
    config_error = isinstance(error, UserError)
    text = str(error) if config_error else f"{create.handler} cannot be created: {error_summary(error)}"
    if isinstance(error, ConditionError):
        key = _setting_of(error, create)
        text = f"job.{create.job}.{key}: {error.summary}" if key else error.summary or text
    return CreationFailed(reason=printable(text)[:TEXT_MAX], config_error=config_error)


def _end_copy(original: int, error: str = "") -> None:
    """Exit if this is a copy of the worker that the job made with os.fork, and that has left the job's code.

    The run is that of the original: a copy must neither report its end nor take the next one.
    """
    if os.getpid() == original:
        return
    if error:
        print(error, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the job may have replaced or closed it
            stream.flush()
    os._exit(1 if error else 0)


def _write_mark(marks: Descriptor | None, run: StartRun, finished: RunFinished, reports: bytes) -> None:
    if marks is not None and run.mark:
        marks.check()
        write_mark(marks.number, run.mark + FAILED if finished.error else run.mark, reports)


def _close(job: Any) -> None:
    if callable(close := getattr(job, "close", None)):
        try:
            close()
        except Exception:
            logging.getLogger().exception("close() failed")


def _limit_memory(allowance: int) -> None:
    """Limit this process to `allowance` bytes more than it uses now; 0 is no limit.

    The limit is on address space (RLIMIT_AS), which includes memory that is mapped but never touched and the stacks of
    threads. Each child process may use the same amount; the kernel's page cache does not count.
    """
    if allowance > 0:
        limit = min(_address_space() + allowance, sys.maxsize)
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _address_space() -> int:
    """The address space of this process in bytes (proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
