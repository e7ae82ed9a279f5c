"""Scheduler side of one worker process: start, send, receive and kill it, without ever blocking on it."""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.foreign_errors import summary
from pyrotorque.interpreter import UTF8, import_path, module_command
from pyrotorque.linux.processes import session_members
from pyrotorque.workers.messages import (
    LINE_MAX,
    CreateJob,
    FromWorker,
    WorkerMessage,
    decode_from_worker,
    encode_message,
)

# Bytes read from one worker per iteration of the loop, so that every worker gets its turn.
_READ_MAX: Final = 256 << 10
_OUTPUT_LINE_MAX: Final = 2_000
# Output lines per read; further ones are only counted.
_OUTPUT_LINES_MAX: Final = 200
_PIPE_SIZE: Final = 1 << 20
_F_SETPIPE_SZ: Final = 1031
# A child of ours with these variables of supervisord would believe to be a program of the group.
_NOT_INHERITED: Final = ("SUPERVISOR_ENABLED", "SUPERVISOR_PROCESS_NAME", "SUPERVISOR_GROUP_NAME")

# An exiting process closes its socket shortly before its exit is visible.
_EXIT_DELAY: Final = 0.05

KillReason = Literal["", "deadline", "oversized message", "disconnected", "stopped"]


@dataclass
class WorkerOutput:
    """What a worker sent since the last look: messages, lines that it printed, and the number of lines dropped."""

    messages: list[FromWorker] = field(default_factory=list[FromWorker])
    printed: list[str] = field(default_factory=list[str])
    dropped: int = 0


class JobProcess:
    """A process in its own session that constructs the job of `create`; the kernel kills it when we die."""

    def __init__(self, create: CreateJob, *, umask: int = -1, mark_file: Path | None = None) -> None:
        self.kill_reason: KillReason = ""
        """Why we killed it; empty if we did not."""
        self._received = bytearray()
        self._printed = bytearray()
        self._unsent = bytearray()
        self._output = self._pidfd = -1
        self._start(create, umask, mark_file)
        self.send(create)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def fds(self) -> list[int]:
        """Readable when there is something to `receive`, or the process has ended."""
        return [fd for fd in (self._messages.fileno(), self._output, self._pidfd) if fd >= 0]

    def send(self, message: WorkerMessage) -> None:
        """Send without blocking; what does not fit into the socket's buffer is sent by a later `receive`."""
        self._unsent += encode_message(message)
        self._flush()

    def receive(self) -> WorkerOutput:
        """Read what is available, up to a limit, without blocking."""
        output = WorkerOutput()
        self._flush()
        self._read_messages(output)
        self._read_output(output)
        return output

    def status(self) -> int | None:
        """The exit status, negative for a signal, once it has ended; the rest of its group is killed then."""
        if self._process.returncode is None and _has_ended(self._process.pid):
            self._kill_group()
            self._process.poll()
        return self._process.returncode

    def kill(self, reason: KillReason) -> None:
        """Kill it and everything that it started in its session."""
        if self._process.returncode is None:
            self.kill_reason = self.kill_reason or reason
            self._kill_group()

    def close(self) -> None:
        """Close its descriptors; it must have ended."""
        self._messages.close()
        for fd in (self._output, self._pidfd):
            if fd >= 0:
                os.close(fd)
        self._output = self._pidfd = -1

    def terminate(self, timeout: float = 2.0) -> None:
        """Kill it, wait up to `timeout` seconds for its end (a kill takes milliseconds) and close."""
        self.kill("stopped")
        end = time.monotonic() + timeout
        while self.status() is None and time.monotonic() < end:
            time.sleep(0.002)
        self.close()

    def _start(self, create: CreateJob, umask: int, mark_file: Path | None) -> None:
        self._messages, theirs = socket.socketpair()
        output, their_output = os.pipe2(os.O_CLOEXEC)
        mark = _open_mark_file(mark_file)
        passed = [theirs.fileno(), *([mark] if mark >= 0 else [])]
        try:
            self._process = subprocess.Popen(
                module_command(
                    "pyrotorque.workers.child", str(theirs.fileno()), str(mark), str(os.getpid()), flags=UTF8
                ),
                stdin=subprocess.DEVNULL,
                stdout=their_output,
                stderr=their_output,
                env=_environment(os.environ),
                cwd=create.config_dir,
                pass_fds=passed,
                start_new_session=True,
                umask=umask,
            )
        except OSError as error:
            self._messages.close()
            os.close(output)
            raise StateError(f"cannot start the process of job {create.job}: {summary(error)}") from error
        finally:
            theirs.close()
            os.close(their_output)
            if mark >= 0:
                os.close(mark)
        self._output = output
        self._pidfd = os.pidfd_open(self._process.pid)
        self._messages.setblocking(False)
        os.set_blocking(output, False)
        with suppress(OSError):  # a larger pipe only saves wake-ups
            import fcntl

            fcntl.fcntl(output, _F_SETPIPE_SZ, _PIPE_SIZE)

    def _flush(self) -> None:
        while self._unsent:
            try:
                sent = self._messages.send(self._unsent)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                return
            del self._unsent[:sent]

    def _read_messages(self, output: WorkerOutput) -> None:
        try:
            block = self._messages.recv(_READ_MAX)
        except BlockingIOError:
            return
        except ConnectionResetError:
            block = b""
        if not block and not select.select([self._pidfd], (), (), _EXIT_DELAY)[0]:
            # It closed its end but is still running: the end of its runs could not be received.
            self.kill("disconnected")
        self._received += block
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        for text in lines:
            try:
                output.messages.append(decode_from_worker(bytes(text)))
            except msgspec.DecodeError:
                output.dropped += 1
        if len(rest) > LINE_MAX:
            self.kill("oversized message")

    def _read_output(self, output: WorkerOutput) -> None:
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
        *lines, rest = self._printed.split(b"\n", _OUTPUT_LINES_MAX)
        if len(lines) == _OUTPUT_LINES_MAX:
            # A flood of output: reading all of it would block the loop.
            flood, _, rest = rest.rpartition(b"\n")
            output.dropped += flood.count(b"\n") + bool(flood)
        if len(rest) > _OUTPUT_LINE_MAX or not block:
            lines, rest = [*lines, rest], bytearray()
        self._printed = rest
        shown = [text for text in lines if text.strip()]
        output.printed += [bytes(text[:_OUTPUT_LINE_MAX]).decode("utf-8", "surrogateescape") for text in shown]

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        # Other process groups of its session, such as programs with their own deadline.
        for pid in session_members(self._process.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _has_ended(pid: int) -> bool:
    """Whether our child has ended; it stays a zombie, so that its pid is not reused while we kill its group."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _open_mark_file(path: Path | None) -> int:
    if path is None:
        return -1
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in ours.items() if name not in _NOT_INHERITED}
    return kept | {"PYTHONPATH": import_path()}
