"""Logging: each service to its standard output, and one line per load, start and failure to the owner's log."""

import io
import logging
import os
import sys
import time

from pyrotorque.humanize import date_time
from pyrotorque.interpreter import use_utf8
from pyrotorque.layout import Layout
from pyrotorque.text import printable

log = logging.getLogger(__name__)

OWNERS_LOG = "torque.log"

_LEVELS = {"DEBUG": "DEBUG", "INFO": "INFO ", "WARNING": "WARN ", "ERROR": "ERROR", "CRITICAL": "FATAL"}
_owners: dict[str, str] = {}


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


class AppendedFile(io.TextIOBase):
    """A log file that is opened for each line: another process may rename it at any time."""

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, text: str, /) -> int:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(fd)
        return len(text)


def configure(level: str, service: str, layout: Layout, *, file: str = "", quiet: bool = False) -> None:
    """Log from `level` on to the standard output, or to `file`, and remember where the owner's log is.

    `quiet` (the option -q) limits the owner's log to warnings and errors.
    """
    output = AppendedFile(file) if file else sys.stdout
    use_utf8(None if isinstance(output, AppendedFile) else output)
    lines = logging.StreamHandler(output)
    lines.setFormatter(OneLine())
    logging.basicConfig(level=level.upper(), handlers=[lines], force=True)
    # No traceback when the reader of the log exits: the heartbeat thread detects that.
    logging.raiseExceptions = False
    _owners.update(service=service, path=str(layout.log_dir / OWNERS_LOG), quiet="yes" if quiet else "")


def set_level(level: str) -> None:
    """Change the level, after a reload."""
    logging.getLogger().setLevel(level.upper())


def job_logger(job: str) -> logging.Logger:
    """The logger of a job of the scheduler: its lines carry the job's name, and `log_level` sets its level."""
    return logging.getLogger(f"pyrotorque_scheduler.{job}")


def owner_log(*texts: str, level: int = logging.INFO) -> None:
    """Append one line for each text to the owner's log, in one write: several processes write this file."""
    if "path" not in _owners or not texts or level < _owners_level():
        return
    now = time.time()
    stamp = date_time(now)
    named = _LEVELS[logging.getLevelName(level)].strip()
    head = f"{stamp},{int(now % 1 * 1000):03d} {named} {_owners['service']}: "
    try:
        AppendedFile(_owners["path"]).write("".join(f"{head}{printable(text)}\n" for text in texts))
    except OSError as error:
        log.warning("cannot write %s: %s", _owners["path"], error.strerror)


def _owners_level() -> int:
    """The level of the owner's log: that of `-q`; a `log_level` in torque.ini concerns the logs of services only."""
    return logging.WARNING if _owners.get("quiet") else logging.INFO


def _who(name: str) -> str:
    return name.removeprefix("pyrotorque_").removeprefix("pyrotorque.").removesuffix(".service")
