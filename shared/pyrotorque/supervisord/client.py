"""XML-RPC client for supervisord over its unix socket; every call has a deadline."""

import socket
import time
from dataclasses import dataclass
from pathlib import Path

from pyrotorque.errors import PyrotorqueError, RTorrentError, RTorrentFault
from pyrotorque.rtorrent.xml import Value, decode_answer, encode_call
from pyrotorque.text import printable

_ANSWER_MAX = 8 << 20

ALREADY_STARTED = 60  # one of supervisor's xmlrpc.Faults
_SHUTDOWN_STATE = 6  # another one


class SupervisordError(PyrotorqueError):
    """supervisord is not running or does not answer."""


class SupervisordFault(SupervisordError):
    """supervisord answered with a fault; `code` is its number."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Process:
    """State of one program; `started` in Unix seconds, `pid` 0 when it is not running."""

    name: str
    group: str
    state: str
    pid: int
    started: float
    reason: str
    description: str

    @property
    def full_name(self) -> str:
        """The name to use in calls."""
        return f"{self.group}:{self.name}"


class Supervisord:
    """Client of one supervisord; opens a connection for each call."""

    def __init__(self, socket_path: Path, *, timeout: float = 5.0) -> None:
        self._path = str(socket_path)
        self._timeout = timeout

    def listens(self) -> bool:
        """Whether a process listens on the socket; sends nothing and never blocks."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.setblocking(False)
                connection.connect(self._path)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def processes(self) -> list[Process]:
        found = self.call("supervisor.getAllProcessInfo")
        return [_process(entry) for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []

    def pid(self) -> int:
        found = self.call("supervisor.getPID")
        return found if isinstance(found, int) else 0

    def is_ending(self) -> bool | None:
        """Whether it stops its programs, to end or to start them again; None without an answer: its socket goes before
        its process."""
        try:
            self.call("supervisor.getState")
        except SupervisordFault as fault:
            return fault.code == _SHUTDOWN_STATE
        except SupervisordError:
            return None
        return False

    def start(self, name: str) -> None:
        """Start a program without waiting until it runs."""
        self.call("supervisor.startProcess", name, 0)

    def stop(self, name: str) -> None:
        """Stop a program without waiting until it has stopped."""
        self.call("supervisor.stopProcess", name, 0)

    def signal(self, name: str, signal: str) -> None:
        self.call("supervisor.signalProcess", name, signal)

    def shutdown(self) -> None:
        self.call("supervisor.shutdown")

    def restart(self) -> None:
        """Stop all programs, read the files again, start all programs; the supervisord process stays."""
        self.call("supervisor.restart")

    def call(self, method: str, *params: str | int) -> Value:
        """Raises SupervisordError when there is no answer before the deadline, SupervisordFault for a fault."""
        try:
            return decode_answer(self._exchange(encode_call(method, params)))
        except RTorrentFault as fault:
            raise SupervisordFault(f"supervisord refused {method}{params}: {fault}", fault.code) from fault
        except (OSError, RTorrentError) as error:
            why = getattr(error, "strerror", "") or error
            raise SupervisordError(f"supervisord at {printable(self._path)} does not answer {method}: {why}") from error

    def _exchange(self, body: bytes) -> bytes:
        deadline = time.monotonic() + self._timeout
        head = f"POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout)
            connection.connect(self._path)
            connection.sendall(head.encode() + body)
            answer = _read_all(connection, deadline)
        status, _, rest = answer.partition(b"\r\n")
        _, _, content = rest.partition(b"\r\n\r\n")
        if status.split(b" ")[1:2] != [b"200"]:
            raise OSError(0, f"unexpected HTTP status {printable(status)}")
        return content


def _read_all(connection: socket.socket, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < _ANSWER_MAX:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(0, "no answer before the deadline")
        connection.settimeout(left)
        part = connection.recv(65536)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _process(entry: dict[str, Value]) -> Process:
    pid, started = entry.get("pid", 0), entry.get("start", 0)
    return Process(
        name=str(entry.get("name", "")),
        group=str(entry.get("group", "")),
        state=str(entry.get("statename", "")),
        pid=pid if isinstance(pid, int) else 0,
        started=float(started) if isinstance(started, int) else 0.0,
        reason=str(entry.get("spawnerr", "")),
        description=str(entry.get("description", "")),
    )
