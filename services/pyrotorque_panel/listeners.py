"""The listening sockets of the panel: kept while their addresses stay, also over a reload and a failed web server.

A port that is closed, even for a moment, can be taken by another user of the machine, whom browsers and programs would
then send the panel's cookies and tokens.
"""

import errno
import logging
import socket
import stat
from contextlib import suppress
from pathlib import Path

from pyrotorque.port_reservation import listen_place, localhost_twin, shared_socket
from pyrotorque.settings.schema import PanelSettings
from pyrotorque_panel.server import ListenError, listen_tcp, listen_unix, remove_socket

log = logging.getLogger(__name__)

_Address = tuple[str, int]
_UnixPath = tuple[Path, int]


class PanelListeners:
    """A socket for each address of the settings; web servers get copies, which they close."""

    def __init__(self) -> None:
        self._open: dict[_Address | _UnixPath, socket.socket] = {}
        self._twins: dict[_Address | _UnixPath, socket.socket] = {}
        """Bound, and not listening: see `localhost_twin`."""

    def copies(self, settings: PanelSettings) -> list[socket.socket]:
        """Listen on the addresses of `settings` and on no others. Raises ListenError: then on none."""
        wanted: list[_Address | _UnixPath] = []
        wanted += [(settings.address, settings.port)] if settings.port else []
        wanted += [(settings.socket, settings.socket_mode)] if settings.socket is not None else []
        for key in [key for key in self._open if key not in wanted or not _is_reachable(key)]:
            self._close(key)
        try:
            for key in wanted:
                if key not in self._open:
                    self._open[key] = _listen(key)
                    self._reserve_twin(key)
        except ListenError:
            self.close()
            raise
        return [self._open[key].dup() for key in wanted]

    def close(self) -> None:
        for key in list(self._open):
            self._close(key)

    def _reserve_twin(self, key: _Address | _UnixPath) -> None:
        address, port = key
        if isinstance(address, Path):
            return
        try:
            twin = localhost_twin(listen_place(address, port))
            if twin is not None:
                self._twins[key] = shared_socket(twin)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                log.warning(
                    "another program has port %d on the other address of localhost: open the panel by %s only",
                    port,
                    address,
                )

    def _close(self, key: _Address | _UnixPath) -> None:
        if key in self._twins:
            self._twins.pop(key).close()
        listener = self._open.pop(key)
        if isinstance(key[0], Path):
            remove_socket(key[0])
        with suppress(OSError):
            listener.close()


def _listen(key: _Address | _UnixPath) -> socket.socket:
    where, number = key
    return listen_unix(where, number) if isinstance(where, Path) else listen_tcp(where, number)


def _is_reachable(key: _Address | _UnixPath) -> bool:
    """Whether the file of a unix socket is still there."""
    with suppress(OSError):
        return not isinstance(key[0], Path) or stat.S_ISSOCK(key[0].lstat().st_mode)
    return False
