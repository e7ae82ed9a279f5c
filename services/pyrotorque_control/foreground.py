"""`--fg`: runs supervisord as a child and prints the logs of all services, each line with the name of its service."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from pyrotorque.configuration import Configuration
from pyrotorque.layout import SERVICES, Layout
from pyrotorque.linux.processes import parent_death_signal
from pyrotorque.linux.signals import handled_ends
from pyrotorque.supervisord import launch
from pyrotorque_control.exit_codes import EX_OK
from pyrotorque_control.terminal import discard_output

_POLL_INTERVAL = 0.1  # seconds
# Lines of supervisord's event listener protocol, which share the guardian's standard output with its log.
_PROTOCOL = re.compile(r"(RESULT \d+|OK|READY|OKREADY|FAIL|FAILREADY)?")
_COLOURS = ("36", "32", "35", "33", "34")


def run(configuration: Configuration, directory: str = "") -> int:
    """Run supervisord until it exits; Ctrl-C, TERM and HUP stop it, HUP unless it is ignored (nohup)."""
    layout = configuration.layout
    tails = {name: LogTail(path) for name, path in logs(layout).items()}
    start = launch.foreground_start(layout, configuration.options)
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
        _show(supervisord, tails, LinePrinter(sys.stdout))
        for tail in tails.values():
            tail.close()
    # Before it has installed its handlers, TERM ends it by the signal itself: that is a clean end, too.
    return EX_OK if supervisord.returncode in (0, -signal.SIGTERM) else supervisord.returncode


def logs(layout: Layout) -> dict[str, Path]:
    """The log file of each service."""
    return {service: layout.log_dir / f"{service}.log" for service in SERVICES}


def reap_orphans(ours: int) -> None:
    """Reap the children that have ended, except the process `ours`; as PID 1 of a container, this process inherits what
    jobs leave behind.
    """
    with suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != ours:
            os.waitpid(ended.si_pid, os.WNOHANG)


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
            return self._path.open("rb")
        except OSError:
            return None


class LinePrinter:
    """Prints lines after the name of their service, in colour on a terminal."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._colours = output.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()
        self._open = True

    def show(self, name: str, line: str) -> None:
        """Print one line."""
        mark = f"{name:<9} |"
        if self._colours:
            names = ("group", *SERVICES)
            mark = f"\x1b[{_COLOURS[names.index(name) % len(_COLOURS)]}m{mark}\x1b[0m"
        with self._lock:
            if self._open:
                self._open = self._printed(f"{mark} {line}")

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
