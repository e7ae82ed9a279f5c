"""The web server: uvicorn in a thread, with deadlines for silent and slow clients, on a TCP port or a unix socket."""

import asyncio
import errno
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import Server

from pyrotorque.errors import PyrotorqueError
from pyrotorque.linux.processes import umask
from pyrotorque.port_reservation import ListenPlace, listen_place, shared_socket
from pyrotorque_panel.gate import UNIX

log = logging.getLogger(__name__)

HEAD_SECONDS: Final = 5.0
BODY_SECONDS: Final = 30.0
WRITE_SECONDS: Final = 30.0
CONNECTIONS_MAX: Final = 400
_HEAD_MAX: Final = 32 << 10
_STOP_SECONDS: Final = 2.0
_PROBE_SECONDS: Final = 1.0
_ACCEPTED_AT_ONCE: Final = 64
"""Connections that asyncio accepts before any of them is looked at: the files of a process are limited."""


class ListenError(PyrotorqueError):
    """The panel cannot listen now; tried again later."""


class PanelProtocol(H11Protocol):
    """uvicorn's protocol with deadlines: for a head, a body, and a client that does not read its answer.

    uvicorn's own timer begins after an answer and ends with the first byte of the next request.
    """

    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS
    write_seconds = WRITE_SECONDS
    connections_max = CONNECTIONS_MAX
    _deadline: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        is_full = len(self.connections) >= self.connections_max and not self._close_oldest_silent()
        super().connection_made(transport)  # type: ignore[arg-type]
        if is_full:
            transport.abort()  # type: ignore[attr-defined]
        listener = transport.get_extra_info("socket")
        if listener is not None and listener.family == socket.AF_UNIX:
            self.client = (UNIX, 0)
        elif self.client is None:
            # It has disconnected already: without its address it must not count as a connection to the unix socket.
            transport.abort()  # type: ignore[attr-defined]
        self._set_deadline(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        self._clear_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._request()
        super().data_received(data)
        self._update_deadline(before)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._set_deadline(self.timeout_keep_alive)

    def shutdown(self) -> None:
        """The server ends: it waits for answers, not for a client that sends its body or reads its answer slowly."""
        request = self._request()
        is_receiving = request is not None and not request.response_complete and request.more_body
        if is_receiving or self._writing is not None:
            self.transport.abort()
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._clear_writing()

    @property
    def is_silent(self) -> bool:
        """Whether no request is being answered, or its body is not complete."""
        request = self._request()
        return request is None or request.response_complete or request.more_body

    @property
    def expires(self) -> float:
        """When it is closed, on the clock of its loop; 0 if it has no deadline."""
        return self._deadline.when() if self._deadline else 0.0

    def _request(self) -> RequestResponseCycle | None:
        """The newest request; uvicorn's type does not say that there may be none."""
        return self.cycle

    def _update_deadline(self, before: RequestResponseCycle | None) -> None:
        """The head is complete when a request has begun, the body when it has been received."""
        request = self._request()
        if request is None:
            return
        if request is not before:
            self._set_deadline(self.body_seconds) if request.more_body else self._clear_deadline()
        elif not request.response_complete:
            if not request.more_body:
                self._clear_deadline()
        elif self._deadline is None:
            self._set_deadline(self.head_seconds)

    def _set_deadline(self, seconds: float) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(seconds, self._expired)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _clear_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _expired(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()

    def _close_oldest_silent(self) -> bool:
        """Whether there was one."""
        silent: list[PanelProtocol] = [
            each
            for each in self.connections
            if isinstance(each, PanelProtocol) and each.is_silent and not each.transport.is_closing()
        ]
        if silent:
            min(silent, key=_expiry).transport.abort()
        return bool(silent)


def _expiry(protocol: PanelProtocol) -> float:
    return protocol.expires


def listen_tcp(address: str, port: int) -> socket.socket:
    """A listening socket. Raises ListenError with what to do."""
    try:
        place = listen_place(address, port)
        # Bound first: to probe an address that this machine does not have would connect to another one.
        listener = shared_socket(place, is_to_listen=True)
        try:
            if _is_served(place):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            listener.listen(256)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "another program listens there: stop it, or set another panel.port in torque.ini"
        else:
            reason = f"{error.strerror}: set panel.address in torque.ini to an address of this machine"
        raise ListenError(f"the panel cannot listen on {address}:{port}: {reason}") from error
    return listener


def listen_unix(path: Path, mode: int) -> socket.socket:
    """A listening socket that only the users whom `mode` admits can reach. Raises ListenError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not path.parent.is_dir():
            text = f"panel.socket: there is no folder {path.parent}: docs/panel.md shows how to make it"
            raise ListenError(text)
        if path.parent.stat().st_mode & stat.S_IWOTH:
            # While the panel does not run, they could listen there, and the proxy would send them its cookies.
            text = (
                f"panel.socket: every user of this machine can write into {path.parent}: set a path in another folder"
            )
            raise ListenError(text)
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise ListenError(f"panel.socket: {path} is not a socket: remove it, or set another path")
            if _is_in_use(path):
                raise ListenError(f"panel.socket: another program listens on {path}")
            path.unlink()
        with umask(0o177):
            listener.bind(str(path))
        path.chmod(mode)
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise ListenError(f"panel.socket: cannot listen on {path}: {error.strerror or error}") from error
    except ListenError:
        listener.close()
        raise
    return listener


def _is_served(place: ListenPlace) -> bool:
    """Whether another panel of this user has the port: its socket could share it."""
    with socket.socket(place.family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(place.where)
        except TimeoutError:
            return True
        except OSError:
            return False
        # The kernel may have chosen this very port for the probe, which is then connected to itself.
        return bool(probe.getsockname() != probe.getpeername())


def _is_in_use(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


class WebServer:
    """Serves `app` on these sockets in a thread of its own, until `stop`."""

    def __init__(
        self, app: Any, sockets: list[socket.socket], before_stop: Callable[[], None], protocol: type[PanelProtocol]
    ) -> None:
        config = Config(
            app,
            http=protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            log_level=logging.ERROR,  # a client could fill the log with warnings
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=5,
            backlog=_ACCEPTED_AT_ONCE,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_HEAD_MAX,
        )
        self._server = Server(config)
        self._sockets = sockets
        self._before_stop = before_stop
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self.failed = False

    def start(self) -> None:
        self._thread.start()

    @property
    def is_serving(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the streams, then the server."""
        self._before_stop()
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        for each in self._sockets:
            with suppress(OSError):
                each.close()

    def _serve(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=self._sockets))
        except Exception:
            self.failed = True
            log.exception("unexpected error in the web server")


def remove_socket(path: Path) -> None:
    """Remove the file of a unix socket after its server has ended."""
    with suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            path.unlink()
