"""One request to rTorrent over SCGI: connect, send, read to the end, all within one deadline and a bounded size."""

import contextlib
import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, InvalidStateError
from typing import Final

from pyrotorque.errors import RequestTooLarge, RTorrentPermission
from pyrotorque.rtorrent.address import Address, TcpAddress, UnixAddress
from pyrotorque.rtorrent.answers import Deadline, ExchangeFailed, IncomingAnswer, send, work_before
from pyrotorque.text import printable

# 100,000 items with 20 fields, packed, are about 50 MB; a much larger answer is an error.
ANSWER_MAX: Final = 128 * 1024 * 1024

# Compiled into rTorrent: 0.9.8 and earlier close the connection on a larger request, without an answer.
_OLD_BODY_MAX: Final = 2 * 1024 * 1024


def exchange(
    address: Address,
    body: bytes,
    deadline: Deadline,
    *,
    untrusted: bool = False,
    limit: int = ANSWER_MAX,
    meanwhile: Callable[[], None] | None = None,
) -> bytes:
    """The body of rTorrent's answer to `body`; `meanwhile` runs while rTorrent works on it, and may call it too.

    Raises ExchangeFailed, RTorrentPermission, or RequestTooLarge when rTorrent closed on a body above its limit.
    """
    with _connected(address, deadline) as connection:
        answer = IncomingAnswer(connection, address, limit)
        with _request_errors(address, body, deadline, answer):
            send(connection, _framed(body, untrusted), deadline)
        if meanwhile is not None:
            work_before(answer, meanwhile)
        with _request_errors(address, body, deadline, answer):
            return answer.read(deadline)


@contextlib.contextmanager
def _request_errors(address: Address, body: bytes, deadline: Deadline, answer: IncomingAnswer) -> Generator[None]:
    """Translates OS errors into what they mean for the request."""
    try:
        yield
    except TimeoutError as error:
        raise ExchangeFailed(
            f"rTorrent at {address} did not answer within {deadline.seconds:.3g} s"
            f"{' to the end' if answer.received else ''}: it is busy or hangs",
            "timeout",
        ) from error
    except OSError as error:
        if not answer.received and len(body) > _OLD_BODY_MAX:
            raise _too_large(address, body) from error
        raise ExchangeFailed(
            f"rTorrent at {address} broke the connection: {error.strerror or error}",
            "reset",
            unanswered=not answer.received,
        ) from error


def _framed(body: bytes, untrusted: bool) -> bytes:
    header = b"CONTENT_LENGTH\0%d\0SCGI\x001\0" % len(body)
    if untrusted:
        # Since 0.16.10 rTorrent then refuses calls that change something; older versions ignore it.
        header += b"UNTRUSTED_CONNECTION\x001\0"
    return b"%d:%b,%b" % (len(header), header, body)


def _connected(address: Address, deadline: Deadline) -> socket.socket:
    timeout = min(deadline.connect, deadline.left)
    try:
        if isinstance(address, TcpAddress):
            return _connected_tcp(address, timeout)
        return _connected_unix(address, timeout)
    except TimeoutError as error:
        raise ExchangeFailed(f"no connection to rTorrent at {address} within {timeout:g} s", "connect") from error
    except BlockingIOError as error:
        raise ExchangeFailed(
            f"rTorrent at {address} accepts no more connections: it hangs or is overloaded", "connect"
        ) from error
    except PermissionError as error:
        raise RTorrentPermission(_permission_text(address)) from error
    except UnicodeError as error:
        raise ExchangeFailed(f"no connection to rTorrent at {address}: not a valid host name", "connect") from error
    except OSError as error:
        raise ExchangeFailed(_connect_text(address, error), "connect") from error


def _connected_tcp(address: TcpAddress, timeout: float) -> socket.socket:
    if address.is_number:
        return socket.create_connection((address.host, address.port), timeout=timeout)
    # The lookup of a name has no deadline: it runs in a thread, which is abandoned at our deadline.
    made = Future[socket.socket]()
    threading.Thread(target=_connect_for, args=(made, address, timeout), daemon=True).start()
    try:
        return made.result(timeout)
    except TimeoutError:
        if made.cancel():
            raise
        return made.result()


def _connect_for(made: Future[socket.socket], address: TcpAddress, timeout: float) -> None:
    try:
        connection = socket.create_connection((address.host, address.port), timeout=timeout)
    except Exception as error:
        with contextlib.suppress(InvalidStateError):
            made.set_exception(error)
        return
    try:
        made.set_result(connection)
    except InvalidStateError:  # the caller has given up
        connection.close()


def _connected_unix(address: UnixAddress, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # A non-blocking connect to a full backlog fails at once; with this timeout the kernel waits for a free place.
        whole, fraction = divmod(max(timeout, 1e-3), 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(whole), int(fraction * 1e6)))
        connection.connect(os.fsencode(address.path))
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_text(address: Address, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return (
                f"there is no socket {address}: rTorrent is not running, or its network.scgi.open_local is another path"
            )
        case errno.ECONNREFUSED:
            return f"no process listens at {address}: rTorrent is not running"
        case errno.ENOTSOCK:
            return f"{address} is not a socket"
        case _:
            return f"no connection to rTorrent at {address}: {error.strerror or error}"


def _permission_text(address: Address) -> str:
    text = f"this user (uid {os.geteuid()}) may not use rTorrent's socket {address}"
    if not isinstance(address, UnixAddress):
        return text
    try:
        found = os.stat(address.path)
    except OSError:
        return f"{text}: a parent folder is not accessible; run as rTorrent's user or join a group that may enter it"
    return (
        f"{text}, which belongs to uid {found.st_uid}, gid {found.st_gid}, mode {found.st_mode & 0o7777:04o}: "
        "run as that user, or join that group and let rTorrent give it write permission"
    )


def _too_large(address: Address, body: bytes) -> RequestTooLarge:
    return RequestTooLarge(
        f"rTorrent at {address} closed the connection on a request of {len(body)} bytes: "
        f"0.9.8 accepts {_OLD_BODY_MAX} (compiled in), 0.10 and later 16777216"
    )


def shown_size_fault(text: str, body: bytes) -> str:
    """What a `request too large` fault means, and which setting to change."""
    return (
        f"a request of {len(body)} bytes is too large for rTorrent ({printable(text)}): "
        "raise network.xmlrpc.size_limit.set in its configuration (default 524288, at most 2097152 on 0.9.8)"
    )
