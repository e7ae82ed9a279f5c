"""A small web server that no client can hold up: one thread, non-blocking sockets, a deadline for each step.

Not http.server: a thread for each connection lets 300 silent clients hold 300 threads, a bounded pool lets them block
it. Not waitress: its limit of connections stops accepting when silent clients fill it, and a client that sends one byte
now and then is never dropped.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import parse_qs, urlsplit

from pyrotorque.text import printable

log = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 400
HEAD_MAX: Final = 8192
READ_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 30.0
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The head of a request; header names are lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What is sent back; the connection is closed after it."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def encode(self, *, head_only: bool) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {_REASONS[self.status]}", f"Content-Type: {self.content_type}"]
        lines += [f"Content-Length: {len(self.body)}", "Connection: close", "Cache-Control: no-store"]
        lines += ["X-Content-Type-Options: nosniff"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
        return head if head_only else head + self.body


class PendingResponse(Protocol):
    """An answer that is not there yet: `poll` gives it, `late` what is said when `deadline` (monotonic) has come."""

    deadline: float

    def poll(self) -> HttpResponse | None: ...
    def timeout_response(self) -> HttpResponse: ...


Respond = Callable[[HttpRequest], HttpResponse | PendingResponse]


class BadRequest(Exception):
    """The head cannot be read; `status` says how that is told."""

    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status


def parse_head(head: bytes) -> HttpRequest:
    """The request in `head` (without the empty line).

    Raises BadRequest for anything that is not HTTP/1.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.0", "HTTP/1.1") or not parts[1].startswith("/"):
        raise BadRequest(400)
    try:
        target = urlsplit(parts[1])
        query = parse_qs(target.query, max_num_fields=64)
    except ValueError as error:
        raise BadRequest(400) from error
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return HttpRequest(parts[0], target.path, query, headers)


class _Connection:
    def __init__(self, sock: socket.socket, now: float) -> None:
        self.sock = sock
        self.received = b""
        self.deadline = now + READ_SECONDS
        self.head_only = False
        self.waiting: PendingResponse | None = None
        self.unsent: memoryview | None = None


class HttpServer:
    """Answers requests on `listener` with what `respond` gives, in a thread of its own."""

    def __init__(
        self, listener: socket.socket, respond: Respond, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._listener, self._respond, self._clock = listener, respond, clock
        self._selector = selectors.DefaultSelector()
        self._connections: dict[int, _Connection] = {}
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self.wake()
        self._thread.join(2.0)

    def wake(self) -> None:
        """Look at the waiting answers again; may be called from any thread, also after `stop`."""
        try:
            os.eventfd_write(self._wake, 1)
        except OSError:
            return

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._step()
            except Exception:
                # One strange connection must not end the server.
                log.exception("the web server stumbled and goes on")
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._selector.close()
        self._listener.close()
        os.close(self._wake)

    def _step(self) -> None:
        for key, _ in self._selector.select(self._select_timeout()):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fd == self._wake:
                os.eventfd_read(self._wake)
            elif (connection := self._connections.get(key.fd)) is not None:
                self._serve(connection)
        self._check_deadlines()

    def _select_timeout(self) -> float | None:
        deadlines = [connection.deadline for connection in self._connections.values()]
        return max(0.0, min(deadlines) - self._clock()) if deadlines else None

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Out of file descriptors, or the client is gone already.
                log.warning("a connection could not be accepted: %s", error)
                self._make_room()
                return
            if len(self._connections) >= CONNECTIONS_MAX:
                self._make_room()
            sock.setblocking(False)
            self._connections[sock.fileno()] = connection = _Connection(sock, self._clock())
            self._selector.register(sock, selectors.EVENT_READ)
            self._serve(connection)

    def _make_room(self) -> None:
        """Drop one: the oldest that has not sent its request, else the oldest that does not read its answer."""

        def place(one: _Connection) -> tuple[bool, bool, float]:
            return one.waiting is not None, one.unsent is not None, one.deadline

        if oldest := min(self._connections.values(), key=place, default=None):
            self._drop(oldest)

    def _serve(self, connection: _Connection) -> None:
        try:
            if connection.unsent is not None:
                self._write(connection)
            elif connection.waiting is None:
                self._read(connection)
            elif not connection.sock.recv(HEAD_MAX):
                self._drop(connection)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)

    def _read(self, connection: _Connection) -> None:
        chunk = connection.sock.recv(HEAD_MAX)
        if not chunk:
            self._drop(connection)
            return
        connection.received += chunk
        head, end, _ = connection.received.partition(b"\r\n\r\n")
        if end:
            self._answer(connection, head)
        elif len(connection.received) > HEAD_MAX:
            self._send(connection, _error_response(431))

    def _answer(self, connection: _Connection, head: bytes) -> None:
        connection.received = b""
        try:
            request = parse_head(head)
        except BadRequest as error:
            self._send(connection, _error_response(error.status))
            return
        connection.head_only = request.method == "HEAD"
        try:
            answer = self._respond(request)
        except Exception:
            log.exception("no answer to a request for %s", printable(request.path[:200]))
            answer = _error_response(500)
        if isinstance(answer, HttpResponse):
            self._send(connection, answer)
        elif (ready := answer.poll()) is not None:
            self._send(connection, ready)
        else:
            connection.waiting, connection.deadline = answer, answer.deadline

    def _send(self, connection: _Connection, response: HttpResponse) -> None:
        connection.waiting = None
        connection.deadline = self._clock() + WRITE_SECONDS
        connection.unsent = memoryview(response.encode(head_only=connection.head_only))
        self._selector.modify(connection.sock, selectors.EVENT_WRITE)
        self._serve(connection)

    def _write(self, connection: _Connection) -> None:
        assert connection.unsent is not None
        connection.unsent = connection.unsent[connection.sock.send(connection.unsent) :]
        if not connection.unsent:
            connection.sock.shutdown(socket.SHUT_WR)
            self._drop(connection)

    def _check_deadlines(self) -> None:
        now = self._clock()
        for connection in list(self._connections.values()):
            if connection.waiting is not None:
                ready = connection.waiting.poll()
                if ready is None and now >= connection.deadline:
                    ready = connection.waiting.timeout_response()
                if ready is not None:
                    self._send(connection, ready)
            elif now >= connection.deadline:
                self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        if self._connections.pop(connection.sock.fileno(), None) is not None:
            self._selector.unregister(connection.sock)
            connection.sock.close()


def _error_response(status: int) -> HttpResponse:
    return HttpResponse(status, f"{_REASONS[status]}\n".encode())
