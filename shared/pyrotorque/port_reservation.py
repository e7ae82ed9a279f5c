"""Keeps the port of the panel for its user while the panel restarts.

Sockets of one user that all set SO_REUSEPORT may share an address, which the kernel then refuses to every other user; a
socket that is bound and does not listen gets no connections. The panel stores its address, and the
guardian, which runs while the panel restarts, holds a second socket on it. Without that, another user of the machine
could listen there, and receive the cookies of open pages.

`localhost` is two addresses, and browsers try both: the one that the panel does not listen on is kept, too.
"""

import logging
import socket
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias, cast

import msgspec

from pyrotorque.errors import StateError
from pyrotorque.json_input import decode_json
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.listen_address import bare_address
from pyrotorque.options import write_atomically

log = logging.getLogger(__name__)

SocketAddress: TypeAlias = tuple[str | int, ...]


class ListenPlace(msgspec.Struct, frozen=True):
    """Where a TCP socket listens: its address family, and an address of that family."""

    family: int
    where: SocketAddress


def listen_place(address: str, port: int) -> ListenPlace:
    """Raises OSError for a name or an address that this machine does not know."""
    found = socket.getaddrinfo(bare_address(address) or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, where = found[0]
    return ListenPlace(int(family), cast(SocketAddress, where))


def localhost_twin(place: ListenPlace) -> ListenPlace | None:
    """The other address of `localhost` with this port; None for a place that this name does not mean."""
    match place.where:
        case ("127.0.0.1" | "0.0.0.0", int(port)):
            return ListenPlace(int(socket.AF_INET6), ("::1", port, 0, 0))
        case ("::1", int(port), *_):
            return ListenPlace(int(socket.AF_INET), ("127.0.0.1", port))
        case _:
            return None


def shared_socket(place: ListenPlace, *, is_to_listen: bool = False) -> socket.socket:
    """Bound where other sockets of this user may be, and those of no other user. Raises OSError.

    One that is to listen ignores closed connections of an earlier version, which do not share. The others must not have
    this option: to the kernel, it is a permission for every user as long as the socket does not listen.
    """
    # asyncio sets TCP_NODELAY only on sockets of this protocol: else each answer takes 44 ms.
    made = socket.socket(place.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if is_to_listen:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place.where)
    except BaseException:
        made.close()
        raise
    return made


class WantedPort:
    """What the panel stores: the address that is to stay its user's, or that it needs none."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stored: bytes | None = None

    def store(self, place: ListenPlace | None) -> None:
        """Without a writable file, nothing is reserved."""
        content = msgspec.json.encode(place)
        if self._file is None or content == self._stored:
            return
        try:
            write_atomically(self._file, content)
        except StateError as error:
            log.debug("the port is not reserved: %s", error)
        else:
            self._stored = content


class PortReservation:
    """What the guardian holds: sockets on the address in the file and its twin, until the file has another one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp = (0, 0)
        self._wanted: ListenPlace | None = None
        self._held: dict[ListenPlace, socket.socket] = {}

    def update(self) -> None:
        """Hold the address that is wanted now; another program may have it, so this is repeated."""
        # A file that was swept away says nothing about what the panel needs.
        with suppress(OSError, msgspec.DecodeError):
            found = self._file.stat()
            if (stamp := (found.st_ino, found.st_mtime_ns)) != self._stamp:
                self._stamp = stamp
                wanted = decode_json(read_regular_file(self._file), type=ListenPlace | None)
                if wanted != self._wanted:
                    self.close()
                    self._wanted = wanted
        places = (self._wanted, localhost_twin(self._wanted)) if self._wanted is not None else ()
        for place in places:
            if place is not None and place not in self._held:
                with suppress(OSError, TypeError):
                    self._held[place] = shared_socket(place)

    def close(self) -> None:
        while self._held:
            self._held.popitem()[1].close()
