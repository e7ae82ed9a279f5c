"""One worker's process as its scheduler sees it: started, told, heard and ended, without ever waiting for it."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.linux.processes import session_members
from pyrotorque.workers.messages import LINE_MAX, FromWorker, Message, Prepare, from_worker, line

# So much is read from one worker in one turn of the loop: others have their turn in between.
_READ_MAX: Final = 256 << 10
_OUTPUT_LINE_MAX: Final = 2_000
# More lines at once are counted, and not looked at.
_LINES_MAX: Final = 200
_PIPE_SIZE: Final = 1 << 20
_F_SETPIPE_SZ: Final = 1031
# supervisord's own words would make a child of ours believe that it is a program of the group.
_NOT_INHERITED: Final = ("SUPERVISOR_ENABLED", "SUPERVISOR_PROCESS_NAME", "SUPERVISOR_GROUP_NAME")

# Who ends closes its socket a moment before that can be seen.
_ENDS_WITHIN: Final = 0.05

End = Literal["", "deadline", "nonsense", "deaf", "done"]


@dataclass
class Heard:
    """What a worker brought since the last look; `output` are lines that it printed, not told."""

    messages: list[FromWorker] = field(default_factory=list[FromWorker])
    output: list[str] = field(default_factory=list[str])
    dropped: int = 0


class JobProcess:
    """A process in a session of its own that makes the job `prepare` describes; ends with us, by the kernel's hand."""

    def __init__(self, prepare: Prepare, *, umask: int = -1, marks: Path | None = None) -> None:
        self.ended_by: End = ""
        """Why we killed it; empty as long as we did not."""
        self._received = bytearray()
        self._printed = bytearray()
        self._unsent = bytearray()
        self._output = self._pidfd = -1
        self._begin(prepare, umask, marks)
        self.send(prepare)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def fds(self) -> list[int]:
        """Readable when there is something for `hear`, or the process has ended."""
        return [fd for fd in (self._messages.fileno(), self._output, self._pidfd) if fd >= 0]

    def send(self, message: Message) -> None:
        """Tell it; what its buffer does not take goes out with a later `hear`."""
        self._unsent += line(message)
        self._push()

    def hear(self) -> Heard:
        """Take what is there, a bounded amount, at once."""
        heard = Heard()
        self._push()
        self._read_messages(heard)
        self._read_output(heard)
        return heard

    def status(self) -> int | None:
        """The exit status, negative for a signal, once it has ended; what it left in its group is gone then, too."""
        if self._process.returncode is None and _is_over(self._process.pid):
            self._kill_group()
            self._process.poll()
        return self._process.returncode

    def kill(self, why: End) -> None:
        """End it and all that it started in its group, now."""
        if self._process.returncode is None:
            self.ended_by = self.ended_by or why
            self._kill_group()

    def close(self) -> None:
        """Give back what it used; it must have ended."""
        self._messages.close()
        for fd in (self._output, self._pidfd):
            if fd >= 0:
                os.close(fd)
        self._output = self._pidfd = -1

    def end(self, patience: float = 2.0) -> None:
        """Kill it, wait for that (bounded: a kill takes milliseconds) and close."""
        self.kill("done")
        end = time.monotonic() + patience
        while self.status() is None and time.monotonic() < end:
            time.sleep(0.002)
        self.close()

    def _begin(self, prepare: Prepare, umask: int, marks: Path | None) -> None:
        self._messages, theirs = socket.socketpair()
        output, their_output = os.pipe2(os.O_CLOEXEC)
        mark = _opened(marks)
        passed = [theirs.fileno(), *([mark] if mark >= 0 else [])]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pyrotorque.workers.child", str(theirs.fileno()), str(mark), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=their_output,
                stderr=their_output,
                env=_environment(os.environ),
                cwd=prepare.config_dir,
                pass_fds=passed,
                start_new_session=True,
                umask=umask,
            )
        except OSError as error:
            self._messages.close()
            os.close(output)
            raise StateError(f"no process could be started for job {prepare.job}: {error.strerror}") from error
        finally:
            theirs.close()
            os.close(their_output)
            if mark >= 0:
                os.close(mark)
        self._output = output
        self._pidfd = os.pidfd_open(self._process.pid)
        self._messages.setblocking(False)
        os.set_blocking(output, False)
        with suppress(OSError):  # a larger pipe only saves turns
            import fcntl

            fcntl.fcntl(output, _F_SETPIPE_SZ, _PIPE_SIZE)

    def _push(self) -> None:
        while self._unsent:
            try:
                sent = self._messages.send(self._unsent)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                return
            del self._unsent[:sent]

    def _read_messages(self, heard: Heard) -> None:
        try:
            block = self._messages.recv(_READ_MAX)
        except BlockingIOError:
            return
        except ConnectionResetError:
            block = b""
        if not block and not select.select([self._pidfd], (), (), _ENDS_WITHIN)[0]:
            # It closed its end and lives on: nobody will ever hear of its runs.
            self.kill("deaf")
        self._received += block
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        for text in lines:
            try:
                heard.messages.append(from_worker(bytes(text)))
            except (msgspec.DecodeError, UnicodeDecodeError):
                heard.dropped += 1
        if len(rest) > LINE_MAX:
            self.kill("nonsense")

    def _read_output(self, heard: Heard) -> None:
        if self._output < 0:
            return
        try:
            block = os.read(self._output, _PIPE_SIZE)
        except BlockingIOError:
            return
        if not block:
            os.close(self._output)
            self._output = -1
        self._printed += block
        *lines, rest = self._printed.split(b"\n", _LINES_MAX)
        if len(lines) == _LINES_MAX:
            # A flood: who reads on for ever does nothing else.
            flood, _, rest = rest.rpartition(b"\n")
            heard.dropped += flood.count(b"\n") + bool(flood)
        if len(rest) > _OUTPUT_LINE_MAX or not block:
            lines, rest = [*lines, rest], bytearray()
        self._printed = rest
        shown = [text for text in lines if text.strip()]
        heard.output += [bytes(text[:_OUTPUT_LINE_MAX]).decode("utf-8", "surrogateescape") for text in shown]

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        # Other process groups of its session, as programs with a deadline of their own have. The session number stays
        # in use until its leader is reaped.
        for pid in session_members(self._process.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _is_over(pid: int) -> bool:
    """Whether our child has ended; it stays a zombie, so that its number is nobody else's while we kill its group."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _opened(marks: Path | None) -> int:
    if marks is None:
        return -1
    marks.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(marks, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in ours.items() if name not in _NOT_INHERITED}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
