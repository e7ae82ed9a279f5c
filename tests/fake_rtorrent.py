"""The other side of the client, playing scripts: what a real rTorrent does only by chance."""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

Play = Callable[[socket.socket], None]


def answer(value: bytes) -> bytes:
    return b"<methodResponse><params><param>%b</param></params></methodResponse>" % value


def array(*values: bytes) -> bytes:
    return b"<value><array><data>%b</data></array></value>" % b"".join(values)


SEVEN = b"<value><i8>7</i8></value>"
OK = answer(SEVEN)


class FakeRTorrent:
    """A fake, because rTorrent breaks connections and answers only by chance: plays one script per connection."""

    def __init__(self, path: Path, *plays: Play) -> None:
        self.url = f"scgi://{path}"
        self.requests: list[bytes] = []
        self._plays = plays
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(5)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for play in self._plays:
            with contextlib.suppress(OSError), self._listener.accept()[0] as connection:
                self.requests.append(connection.recv(1 << 16))
                play(connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def answers(body: bytes, length: int | None = None) -> Play:
    header = b"Status: 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n"
    return lambda connection: connection.sendall(header % (len(body) if length is None else length) + body)


def sends(raw: bytes) -> Play:
    return lambda connection: connection.sendall(raw)


def closes(_: socket.socket) -> None:
    """Breaks the connection before the first byte."""


def is_silent(connection: socket.socket) -> None:
    """Never answers; ends when the client goes."""
    connection.recv(1)


def never_ends(connection: socket.socket) -> None:
    connection.sendall(b"Content-Type: text/xml\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def drips(connection: socket.socket) -> None:
    """A byte now and then: each arrives long before any timeout of a single read."""
    connection.sendall(b"Content-Length: 100000\r\n\r\n")
    gone = threading.Event()
    while not gone.wait(0.02):
        connection.sendall(b" ")


def strings(*texts: bytes) -> bytes:
    return array(*(b"<value><string>%b</string></value>" % text for text in texts))


def fault(code: int, text: bytes) -> bytes:
    members = (
        b"<member><name>faultCode</name><value><i4>%d</i4></value></member>" % code,
        b"<member><name>faultString</name><value><string>%b</string></value></member>" % text,
    )
    return b"<value><struct>%b</struct></value>" % b"".join(members)


def refuses(code: int, text: bytes) -> Play:
    return answers(b"<methodResponse><fault>%b</fault></methodResponse>" % fault(code, text))
