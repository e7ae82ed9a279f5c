"""Program of a worker process: creates one job, runs it on request and exits with its scheduler.

`python -m pyrotorque.workers.child SOCKET MARKS PARENT`: the file descriptors of the message socket and of the mark
file (-1: none), and the pid of the scheduler.
"""

import faulthandler
import inspect
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from pyrotorque.errors import PyrotorqueError, UserError
from pyrotorque.events import Event, JobReported
from pyrotorque.jobs.context import JobContext, set_context
from pyrotorque.jobs.limits import limit_memory
from pyrotorque.jobs.params import JobConfig
from pyrotorque.linux.processes import die_with_parent
from pyrotorque.text import printable
from pyrotorque.workers.handlers import explained, job_class
from pyrotorque.workers.messages import (
    LINE_MAX,
    TEXT_MAX,
    Finished,
    Message,
    Prepare,
    Published,
    Ready,
    Refused,
    Run,
    Said,
    Stop,
    ToWorker,
    for_worker,
    line,
)

_event = msgspec.json.Decoder(Event)
_MARK_SIZE: Final = 80


class Channel:
    """Messages over a socket; what does not fit is cut, never split."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        # The scheduler may be busy for a while, or stopped: then we wait.
        self._socket.setblocking(True)
        self._one_at_a_time = threading.Lock()

    def send(self, message: Message) -> None:
        text = line(message)
        if len(text) <= LINE_MAX:
            with self._one_at_a_time:
                self._socket.sendall(text)

    def messages(self) -> Iterator[ToWorker]:
        """What we are told, until the scheduler closes its end."""
        with self._socket.makefile("rb") as lines:
            for text in lines:
                yield for_worker(text)


class ToScheduler(logging.Handler):
    """Log records become lines of the scheduler's log."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            self._channel.send(Said(level=record.levelno, text=text[:TEXT_MAX]))
        except Exception:
            self.handleError(record)


def main() -> int:
    descriptor, marks, parent = map(int, sys.argv[1:4])
    die_with_parent(parent)
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    if marks >= 0:
        os.set_inheritable(marks, False)
    channel = Channel(descriptor)
    messages = channel.messages()
    prepare = next(messages, None)
    if not isinstance(prepare, Prepare):
        return 0
    try:
        job = made(prepare, channel)
    except BaseException as error:  # a user's module may raise anything, also SystemExit
        channel.send(_refused(error, prepare))
        return 1
    channel.send(Ready())
    for message in messages:
        if isinstance(message, Run):
            failure = failure_of(job, message)
            _write_mark(marks, message.mark)
            channel.send(Finished(number=message.number, error=failure[:TEXT_MAX]))
        elif isinstance(message, Stop):
            _close(job)
            return 0
    return 0


def made(prepare: Prepare, channel: Channel) -> Any:
    """The user's job; raises whatever its module or constructor raises."""
    logging.basicConfig(level=prepare.log_level.upper(), handlers=[ToScheduler(channel)], force=True)
    config_dir = Path(prepare.config_dir)

    def publish(report: JobReported) -> None:
        channel.send(Published(report=report))

    set_context(
        JobContext(
            config_dir=config_dir,
            state_dir=Path(prepare.state_dir) if prepare.state_dir else None,
            url=prepare.url,
            connect_timeout=prepare.connect_timeout,
            read_timeout=prepare.read_timeout,
            aliases=prepare.aliases,
            traits_by_alias=prepare.traits_by_alias,
            publish=publish,
        )
    )
    sys.dont_write_bytecode = True
    limit_memory(prepare.memory_max)
    job = job_class(prepare.handler, config_dir / "jobs")(JobConfig(prepare.config))
    run = getattr(job, "run", None)
    if not callable(run):
        raise UserError(f"{prepare.handler} has no method run()")
    if prepare.takes_events and not _takes_event(run):
        raise UserError(f"the method run() of {prepare.handler} takes no event: write `def run(self, event=None)`")
    return job


def failure_of(job: Any, message: Run) -> str:
    """Run the job once; why that failed, or nothing."""
    try:
        event = None if message.event == msgspec.Raw(b"null") else _event.decode(message.event)
        if event is None:
            job.run()
        else:
            job.run(event)
    except SystemExit as error:
        return "" if error.code in (None, 0) else explained(error)
    except PyrotorqueError as error:
        return printable(str(error)) or type(error).__name__
    except BaseException as error:  # it ends this run only, whatever it is
        logging.getLogger().debug("how the run failed", exc_info=True)
        return explained(error)
    return ""


def _takes_event(run: Callable[..., object]) -> bool:
    try:
        inspect.signature(run).bind(object())
    except TypeError:
        return False
    except ValueError:  # written in C: nobody can tell
        return True
    return True


def _refused(error: BaseException, prepare: Prepare) -> Refused:
    wrong = isinstance(error, UserError)
    said = printable(str(error)) if wrong else f"{prepare.handler} cannot be made: {explained(error)}"
    return Refused(reason=said[:TEXT_MAX], configured_wrong=wrong)


def _write_mark(marks: int, mark: str) -> None:
    if marks >= 0 and mark:
        os.pwrite(marks, mark.ljust(_MARK_SIZE)[:_MARK_SIZE].encode("ascii"), 0)


def _close(job: Any) -> None:
    if callable(close := getattr(job, "close", None)):
        try:
            close()
        except Exception:
            logging.getLogger().exception("close() failed")


if __name__ == "__main__":
    sys.exit(main())
