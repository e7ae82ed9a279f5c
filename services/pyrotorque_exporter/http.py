"""An HTTP server that no client can block: one thread, non-blocking sockets, a deadline for each step.

Not http.server: with a thread for each connection 300 silent clients occupy 300 threads, and they exhaust a bounded
pool. Not waitress: once silent clients reach its limit of connections it stops accepting, and it never drops a client
that sends one byte now and then.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from pyrotorque.text import printable
from pyrotorque_exporter.admission import client_of
from pyrotorque_exporter.http_messages import BadRequest, HttpRequest, HttpResponse, error_response, parse_head

log = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 400
HEAD_MAX: Final = 8192
READ_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 30.0


class PendingResponse(Protocol):
    """A response that is not ready yet; `timeout_response` replaces it at `deadline` (monotonic)."""

    deadline: float

    def poll(self) -> HttpResponse | None: ...
    def timeout_response(self) -> HttpResponse: ...


Respond = Callable[[HttpRequest], HttpResponse | PendingResponse]


class _Connection:
    def __init__(self, sock: socket.socket, client: str, now: float) -> None:
        self.sock, self.client = sock, client
        self.received = b""
        self.deadline = now + READ_SECONDS
        self.head_only = False
        self.pending: PendingResponse | None = None
        self.unsent: memoryview | None = None


class HttpServer:
    """Serves requests on `listener` by `respond`, in its own thread."""

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
        """Poll the pending responses; may be called from any thread, also after `stop`."""
        try:
            os.eventfd_write(self._wake, 1)
        except OSError:
            return

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._step()
            except Exception:
                # An error with one connection must not end the server.
                log.exception("unexpected error in the HTTP server loop; continuing")
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
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Out of file descriptors, or the client has disconnected.
                log.warning("cannot accept an HTTP connection: %s", error)
                self._drop_oldest()
                return
            if len(self._connections) >= CONNECTIONS_MAX:
                self._drop_oldest()
            sock.setblocking(False)
            connection = _Connection(sock, client_of(address[0]), self._clock())
            self._connections[sock.fileno()] = connection
            self._selector.register(sock, selectors.EVENT_READ)
            self._serve(connection)

    def _drop_oldest(self) -> None:
        """Of the client with the most connections, drop the oldest without a complete request, else the oldest that
        does not read its response.
        """
        counts = Counter(one.client for one in self._connections.values())

        def rank(one: _Connection) -> tuple[int, bool, bool, float]:
            return -counts[one.client], one.pending is not None, one.unsent is not None, one.deadline

        if oldest := min(self._connections.values(), key=rank, default=None):
            self._drop(oldest)

    def _serve(self, connection: _Connection) -> None:
        try:
            if connection.unsent is not None:
                self._write(connection)
            elif connection.pending is None:
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
            self._respond_to(connection, head)
        elif len(connection.received) > HEAD_MAX:
            self._send(connection, error_response(431))

    def _respond_to(self, connection: _Connection, head: bytes) -> None:
        connection.received = b""
        try:
            request = parse_head(head, connection.client)
        except BadRequest as error:
            self._send(connection, error_response(error.status))
            return
        connection.head_only = request.method == "HEAD"
        try:
            response = self._respond(request)
        except Exception:
            log.exception("unexpected error: no response to a request for %s", printable(request.path[:200]))
            response = error_response(500)
        if isinstance(response, HttpResponse):
            self._send(connection, response)
        elif (ready := response.poll()) is not None:
            self._send(connection, ready)
        else:
            connection.pending, connection.deadline = response, response.deadline

    def _send(self, connection: _Connection, response: HttpResponse) -> None:
        connection.pending = None
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
            if connection.pending is not None:
                ready = connection.pending.poll()
                if ready is None and now >= connection.deadline:
                    ready = connection.pending.timeout_response()
                if ready is not None:
                    self._send(connection, ready)
            elif now >= connection.deadline:
                self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        if self._connections.pop(connection.sock.fileno(), None) is not None:
            self._selector.unregister(connection.sock)
            connection.sock.close()
