"""Logging: each service to its standard output, and what the owner reads to `torque.log`; as text or as JSON."""

import io
import logging
import os
import sys
import threading
import time
from collections import deque

from pyrotorque.events import ProblemEnded, ProblemReported
from pyrotorque.humanize import date_time
from pyrotorque.interpreter import use_utf8
from pyrotorque.layout import Layout
from pyrotorque.linux.foreign_links import open_file
from pyrotorque.owner_events import BurstFolding, OwnerEvent, OwnerLine, problem_events
from pyrotorque.text import encode_json, printable

log = logging.getLogger(__name__)

OWNERS_LOG = "torque.log"

_LEVELS = {"DEBUG": "DEBUG", "INFO": "INFO ", "WARNING": "WARN ", "ERROR": "ERROR", "CRITICAL": "CRIT "}
_owners: dict[str, str] = {}
_folding = BurstFolding()
_folding_lock = threading.Lock()
# Those of a process that publishes none, such as a command, are dropped.
_problems: deque[ProblemReported | ProblemEnded] = deque(maxlen=100)


class OneLine(logging.Formatter):
    """`2026-11-23 22:41:07 INFO  watcher: text`: names from outside cannot break a line or a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = date_time(record.created)
        level = _LEVELS.get(record.levelname, record.levelname)
        line = f"{stamp} {level} {_who(record.name)}: {printable(record.getMessage())}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n    {printable(text)}" for text in trace.splitlines())
        return line


class OneObject(logging.Formatter):
    """One JSON object for each record: `{"at":1700000000.1,"level":"WARN","service":"watcher","text":"…"}`."""

    def format(self, record: logging.LogRecord) -> str:
        line = _json(record.created, record.levelno, _who(record.name), record.getMessage())
        if record.exc_info:
            line["traceback"] = [printable(text) for text in self.formatException(record.exc_info).splitlines()]
        return encode_json(line).decode()


class AppendedFile(io.TextIOBase):
    """A log file that is opened for each line: another process may rename it at any time."""

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, text: str, /) -> int:
        fd = open_file(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(fd, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(fd)
        return len(text)


def configure(
    level: str, service: str, layout: Layout, *, file: str = "", quiet: bool = False, log_format: str = "text"
) -> None:
    """Log from `level` on to the standard output, or to `file`, and remember where the owner's log is.

    `quiet` (the option -q) limits the owner's log to warnings and errors. `log_format` is `text` or `json`.
    """
    _owners.update(format=log_format)
    output = AppendedFile(file) if file else sys.stdout
    use_utf8(None if isinstance(output, AppendedFile) else output)
    lines = logging.StreamHandler(output)
    lines.setFormatter(OneObject() if is_json() else OneLine())
    logging.basicConfig(level=level.upper(), handlers=[lines], force=True)
    # No traceback when the reader of the log exits: the heartbeat thread detects that.
    logging.raiseExceptions = False
    _owners.update(service=service, path=str(layout.log_dir / OWNERS_LOG), quiet="yes" if quiet else "")


def set_level(level: str) -> None:
    """Change the level, after a reload."""
    logging.getLogger().setLevel(level.upper())


def set_format(log_format: str) -> None:
    """Change the format, after a reload."""
    _owners.update(format=log_format)
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, OneLine | OneObject):
            handler.setFormatter(OneObject() if is_json() else OneLine())


def service() -> str:
    """The service for which `configure` was called."""
    return _owners.get("service", "")


def job_logger(job: str) -> logging.Logger:
    """The logger of a job of the scheduler: its lines carry the job's name, and `log_level` sets its level."""
    return logging.getLogger(f"pyrotorque_scheduler.{job}")


def is_json() -> bool:
    """Whether lines are JSON objects (`log_format = json`)."""
    return _owners.get("format") == "json"


def owner_event(event: OwnerEvent, *texts: str, subject: str = "") -> None:
    """Append one line for each text to the owner's log at the level of the event; bursts and repetitions become one
    line.

    Of PROBLEMS, an event is published in the next turn of the service; `subject` is what it is about.
    """
    with _folding_lock:
        lines = _folding.add(event, texts, time.monotonic(), subject)
        _problems.extend(problem_events(event, texts, service(), subject, time.time()))
    _append(lines)


def take_problems() -> list[ProblemReported | ProblemEnded]:
    """The events of PROBLEMS since the last call, which the caller publishes."""
    with _folding_lock:
        found = list(_problems)
        _problems.clear()
    return found


def write_folded(*, at_end: bool = False) -> None:
    """Append the lines of bursts that have ended: called in each turn of a service, and `at_end` of its process."""
    with _folding_lock:
        now = time.monotonic()
        lines = _folding.end(now) if at_end else _folding.due(now)
    _append(lines)


def _append(lines: list[OwnerLine]) -> None:
    """In one write: several processes write this file."""
    lines = [line for line in lines if line.level >= _owners_level()]
    if "path" not in _owners or not lines:
        return
    now = time.time()
    text = "".join(_owner_json(line, now) if is_json() else _owner_text(line, now) for line in lines)
    try:
        AppendedFile(_owners["path"]).write(text)
    except OSError as error:
        log.warning("cannot write %s: %s", _owners["path"], error.strerror)


def _owner_text(line: OwnerLine, now: float) -> str:
    level = _LEVELS[logging.getLevelName(line.level)].strip()
    stamp = f"{date_time(now)},{int(now % 1 * 1000):03d}"
    return f"{stamp} {level} {_owners['service']}: {printable(line.text)}\n"


def _owner_json(line: OwnerLine, now: float) -> str:
    found = _json(now, line.level, _owners["service"], line.text)
    return encode_json({**found, "event": line.event}).decode() + "\n"


def _json(at: float, level: int, service: str, text: str) -> dict[str, object]:
    named = _LEVELS.get(logging.getLevelName(level), str(level)).strip()
    return {"at": round(at, 3), "level": named, "service": service, "text": printable(text)}


def _owners_level() -> int:
    """The level of the owner's log: that of `-q`; a `log_level` in torque.ini concerns the logs of services only."""
    return logging.WARNING if _owners.get("quiet") else logging.INFO


def _who(name: str) -> str:
    return name.removeprefix("pyrotorque_").removeprefix("pyrotorque.").removesuffix(".service")
