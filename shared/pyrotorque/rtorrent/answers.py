"""rTorrent's answers as they arrive: each is read to its announced end, within a deadline and a bounded size.

rTorrent sends under its global lock (seen on 0.9.8 and 0.16.17): with an answer that exceeds the buffer of the socket
(about 200 KiB), it serves no other request and transfers nothing until the client has read enough. A call that is made
before the answer to another one has been read would thus wait for its deadline, and rTorrent with it. So whatever
waits for rTorrent also reads the answers that its thread has not taken yet.
"""

import errno
import re
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from pyrotorque.errors import RTorrentUnavailable
from pyrotorque.rtorrent.address import Address
from pyrotorque.rtorrent.stats import Failure
from pyrotorque.text import printable

_HEADER_MAX: Final = 4096
_BLOCK: Final = 256 * 1024
_FIRST_BLOCK: Final = 32 * 1024  # most answers are smaller; a larger buffer is a mapping of its own (`keep_heap_small`)
_CONTENT_LENGTH = re.compile(rb"(?im)^Content-Length:\s*(\d{1,18})\s*$")


class ExchangeFailed(RTorrentUnavailable):
    """No complete answer arrived; `unanswered` when the connection broke before its first byte."""

    def __init__(self, message: str, reason: Failure, *, unanswered: bool = False) -> None:
        super().__init__(message)
        self.reason: Failure = reason
        self.unanswered = unanswered


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of a call (CLOCK_MONOTONIC seconds), and how long its connect may take of that."""

    end: float
    seconds: float
    connect: float

    @classmethod
    def after(cls, seconds: float, *, connect: float) -> "Deadline":
        return cls(time.monotonic() + seconds, seconds, connect)

    @property
    def left(self) -> float:
        """Seconds until the end, never 0: for a socket 0 means non-blocking."""
        return max(self.end - time.monotonic(), 1e-4)


class Connection(Protocol):
    """The part of a socket that is used here."""

    def fileno(self) -> int: ...
    def settimeout(self, value: float | None, /) -> None: ...
    def recv(self, bufsize: int, /) -> bytes: ...
    def send(self, data: memoryview, /) -> int: ...
    def sendall(self, data: bytes, /) -> None: ...


class IncomingAnswer:
    """rTorrent's answer on one connection, as far as it has arrived; at most `limit` bytes."""

    def __init__(self, connection: Connection, address: Address, limit: int) -> None:
        self.connection = connection
        self.received = bytearray()
        self.has_ended = False
        self._address = address
        self._limit = limit
        self._wanted: int | None = None
        self._start = 0
        self._failure: Exception | None = None

    def read(self, deadline: Deadline) -> bytes:
        """The whole body.

        Raises OSError (TimeoutError at the deadline), or ExchangeFailed for an answer that is none, too large or cut.
        """
        while not self.has_ended:
            self.connection.settimeout(deadline.left)
            wait_for(self.connection, select.POLLIN, deadline)
            self._receive()
            if time.monotonic() > deadline.end and not self.has_ended:
                raise TimeoutError
        if self._failure is not None:
            raise self._failure
        if not self.received:
            raise ConnectionResetError(errno.ECONNRESET, "closed without an answer")
        if not self._start or (self._wanted is not None and len(self.received) < self._wanted):
            raise ExchangeFailed(
                f"rTorrent at {self._address} ended its answer after {len(self.received)} bytes", "reset"
            )
        return bytes(self.received[self._start : self._wanted])

    def receive_ready(self) -> None:
        """Take what has arrived; a failure is one of `read`."""
        try:
            self._receive()
        except (OSError, ExchangeFailed) as error:
            self._failure, self.has_ended = error, True

    def _receive(self) -> None:
        block = self.connection.recv(_BLOCK if self.received else _FIRST_BLOCK)
        self.received += block
        if self._wanted is None and (start := _body_start(self.received)):
            self._start, self._wanted = start, _announced_end(self.received, start)
        if not self._start and len(self.received) > _HEADER_MAX:
            raise ExchangeFailed(
                f"what answers at {self._address} does not use SCGI: {printable(bytes(self.received[:40]))}", "parse"
            )
        if max(len(self.received), self._wanted or 0) > self._limit:
            raise ExchangeFailed(
                f"rTorrent at {self._address} sends an answer of more than {self._limit} bytes", "parse"
            )
        self.has_ended = not block or (self._wanted is not None and len(self.received) >= self._wanted)


class _NotTaken(threading.local):
    """The answers of this thread to requests that it has sent, and has not started to read."""

    def __init__(self) -> None:
        self.answers: list[IncomingAnswer] = []


_not_taken = _NotTaken()


def work_before(answer: IncomingAnswer, work: Callable[[], None]) -> None:
    """Do `work` before `answer` is read; each call to rTorrent within it takes what has arrived of the answer."""
    _not_taken.answers.append(answer)
    try:
        work()
    finally:
        _not_taken.answers.remove(answer)


def send(connection: Connection, data: bytes, deadline: Deadline) -> None:
    """Send all of it. Raises OSError (TimeoutError at the deadline)."""
    connection.settimeout(deadline.left)
    if not _not_taken.answers:
        connection.sendall(data)
        return
    left = memoryview(data)
    while left:
        wait_for(connection, select.POLLOUT, deadline)
        left = left[connection.send(left) :]


def wait_for(connection: Connection, event: int, deadline: Deadline) -> None:
    """Read the answers that this thread has not taken until `connection` is ready; at once if there are none.

    Raises TimeoutError at the deadline.
    """
    while waiting := {each.connection.fileno(): each for each in _not_taken.answers if not each.has_ended}:
        poll = select.poll()
        poll.register(connection.fileno(), event)
        for descriptor in waiting:
            poll.register(descriptor, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll(deadline.left * 1000)]
        if not ready:
            raise TimeoutError
        for descriptor in ready:
            if descriptor in waiting:
                waiting[descriptor].receive_ready()
        if connection.fileno() in ready:
            return


def _body_start(received: bytearray) -> int:
    """Where the body begins, 0 while the header is not complete."""
    for blank in (b"\r\n\r\n", b"\n\n"):
        found = received.find(blank, 0, _HEADER_MAX)
        if found >= 0:
            return found + len(blank)
    return 0


def _announced_end(received: bytearray, start: int) -> int | None:
    announced = _CONTENT_LENGTH.search(received, 0, start)
    return start + int(announced[1]) if announced else None
