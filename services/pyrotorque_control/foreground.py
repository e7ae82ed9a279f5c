"""`--fg`: runs supervisord as a child and prints the logs of all services, each line with the name of its service."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal, TextIO, TypeAlias

from pyrotorque.configuration import Configuration
from pyrotorque.layout import ALL_SERVICES, Layout
from pyrotorque.linux.foreign_links import open_file
from pyrotorque.linux.processes import parent_death_signal
from pyrotorque.linux.signals import handled_ends
from pyrotorque.supervisord import launch
from pyrotorque.text import encode_json
from pyrotorque_control.exit_codes import EX_OK
from pyrotorque_control.terminal import discard_output, has_colour

LineStyle: TypeAlias = Literal["text", "journal", "json"]

_POLL_INTERVAL = 0.1  # seconds
# Lines of supervisord's event listener protocol, which share the guardian's standard output with its log.
_PROTOCOL = re.compile(r"(RESULT \d+|OK|READY|OKREADY|FAIL|FAILREADY)?")
_STAMPED = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}(?:,[0-9]{3})? (?P<level>DEBUG|INFO|WARN|ERROR|CRIT) +(?P<text>.*)",
    re.DOTALL,
)
# As syslog(3) numbers them; journald reads `<4>` at the beginning of a line.
_PRIORITIES = {"CRIT": 2, "ERROR": 3, "WARN": 4, "INFO": 6, "DEBUG": 7}
_COLOURS = ("36", "32", "35", "33", "34")


def run(configuration: Configuration, directory: str, *, store: Callable[[], None]) -> int:
    """Run supervisord until it exits; Ctrl-C, TERM and HUP stop it, HUP unless it is ignored (nohup).

    `store` writes what the services read, once no other group can run.
    """
    layout = configuration.layout
    tails = {name: LogTail(path) for name, path in logs(layout).items()}
    optional = configuration.settings.optional_services
    start = launch.foreground_start(layout, configuration.options, optional, store=store)
    with (
        subprocess.Popen(
            start.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory or "/",
            env=start.environment,
            pass_fds=(start.lock,),
            # Ctrl-C reaches the whole process group: only supervisord may stop the services, in its order.
            start_new_session=True,
            preexec_fn=parent_death_signal(signal.SIGTERM),
        ) as supervisord,
        handled_ends(lambda _number, _frame: supervisord.send_signal(signal.SIGTERM)),
    ):
        os.close(start.lock)
        _show(supervisord, tails, LinePrinter(sys.stdout, line_style(sys.stdout, configuration.settings.log_format)))
        for tail in tails.values():
            tail.close()
    # Before it has installed its handlers, TERM ends it by the signal itself: that is a clean end, too.
    return EX_OK if supervisord.returncode in (0, -signal.SIGTERM) else supervisord.returncode


def logs(layout: Layout) -> dict[str, Path]:
    """The log file of each service."""
    return {service: layout.log_dir / f"{service}.log" for service in ALL_SERVICES}


def reap_orphans(ours: int) -> None:
    """Reap the children that have ended, except the process `ours`; as PID 1 of a container, this process inherits what
    jobs leave behind.
    """
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != ours:
            os.waitpid(ended.si_pid, os.WNOHANG)


def split_line(line: str) -> tuple[str, str]:
    """The level of a log line, empty if it has none, and its text without time stamp and level."""
    found = _STAMPED.fullmatch(line)
    return (found["level"], found["text"]) if found else ("", line)


def is_protocol(line: str) -> bool:
    """Whether the line belongs to the event listener protocol."""
    return _PROTOCOL.fullmatch(line) is not None


class LogTail:
    """New lines of a log; after a rotation, the old file is read to its end first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = ""
        self._file = self._opened()
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def lines(self) -> Iterator[str]:
        """The complete lines written since the last call."""
        yield from self._rest()
        if self._rotated():
            self.close()
            self._file = self._opened()
            yield from self._rest()

    def _rest(self) -> list[str]:
        content = self._file.read() if self._file is not None else b""
        *whole, self._part = (self._part + content.decode("utf-8", "backslashreplace")).split("\n")
        return whole

    def _rotated(self) -> bool:
        try:
            found = self._path.stat()
        except OSError:
            return False
        if self._file is None:
            return True
        ours = os.fstat(self._file.fileno())
        return (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino) or found.st_size < self._file.tell()

    def _opened(self) -> BinaryIO | None:
        try:
            return open(open_file(self._path, os.O_RDONLY), "rb")
        except OSError:
            return None


def line_style(output: TextIO, log_format: str) -> LineStyle:
    """How lines are printed: `json`, with priorities for journald if `output` leads there, else `text`."""
    if log_format == "json":
        return "json"
    # systemd.exec(5): device and inode of the stream that is connected to the journal.
    with suppress(OSError, ValueError):
        found = os.fstat(output.fileno())
        if os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}":
            return "journal"
    return "text"


class LinePrinter:
    """Prints lines after the name of their service, in colour on a terminal."""

    def __init__(self, output: TextIO, style: LineStyle = "text") -> None:
        self._output, self._style = output, style
        self._priorities: dict[str, int] = {}
        self._colours = has_colour(output)
        self._lock = threading.Lock()
        self._open = True

    def show(self, name: str, line: str) -> None:
        """Print one line."""
        with self._lock:
            if self._open:
                self._open = self._printed(self._styled(name, line))

    def _styled(self, name: str, line: str) -> str:
        if self._style == "json":
            if line.startswith("{"):
                return line
            level, text = split_line(line)
            return encode_json({"at": round(time.time(), 3), "level": level, "service": name, "text": text}).decode()
        if self._style == "journal":
            level, text = split_line(line)
            # A line without a level, of a traceback, belongs to the one before.
            priority = self._priorities[name] = _PRIORITIES.get(level, self._priorities.get(name, 6))
            return f"<{priority}>{name}: {text}"
        mark = f"{name:<9} |"
        if self._colours:
            names = ("group", *ALL_SERVICES)
            mark = f"\x1b[{_COLOURS[names.index(name) % len(_COLOURS)]}m{mark}\x1b[0m"
        return f"{mark} {line}"

    def _printed(self, line: str) -> bool:
        try:
            print(line, file=self._output, flush=True)
        except OSError:
            # Our reader is gone, for example a closed terminal: stop the group.
            discard_output()
            os.kill(os.getpid(), signal.SIGTERM)
            return False
        return True


def _show(supervisord: subprocess.Popen[bytes], tails: dict[str, LogTail], output: LinePrinter) -> None:
    """Print all lines until supervisord has exited."""
    reader = threading.Thread(target=_show_group, args=(supervisord, output), daemon=True)
    reader.start()
    ended = False
    while not ended:
        try:
            supervisord.wait(_POLL_INTERVAL)
            ended = True
        except subprocess.TimeoutExpired:
            pass
        if os.getpid() == 1:
            reap_orphans(supervisord.pid)
        for name, tail in tails.items():
            for line in tail.lines():
                if not is_protocol(line):
                    output.show(name, line)
    reader.join(_POLL_INTERVAL)


def _show_group(supervisord: subprocess.Popen[bytes], output: LinePrinter) -> None:
    for line in supervisord.stdout or ():
        output.show("group", line.decode("utf-8", "backslashreplace").rstrip("\n"))
