"""The port of the panel: opened while it is active, tried again while it is in use, never a reason to restart."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pyrotorque import logs
from pyrotorque.humanize import duration
from pyrotorque.listen_address import is_loopback
from pyrotorque.settings.schema import PanelSettings
from pyrotorque_panel.app import PanelApp
from pyrotorque_panel.recent_events import Event, Streams
from pyrotorque_panel.server import KeptListener, ListenError, PanelProtocol, WebServer, listen_unix, remove_socket

log = logging.getLogger(__name__)

_RETRY: Final = 5.0


class PanelPort:
    """The web server with its sockets; `make_app` makes the application of one opening, with its streams."""

    def __init__(self, make_app: Callable[[Streams], PanelApp]) -> None:
        self._make_app = make_app
        self._server: WebServer | None = None
        self._app: PanelApp | None = None
        self._next_try = 0.0
        self._socket_open = ""
        self._listener = KeptListener()
        self.streams = Streams()
        self.problem = ""
        """Why it is not open, although the panel is active."""
        self._failing_since = 0.0

    @property
    def is_open(self) -> bool:
        return self._server is not None

    def open(self, settings: PanelSettings, now: float) -> None:
        """Open the port, unless it is open or the last attempt was just now."""
        if self._server is not None and not self._server.is_serving:
            self.close(for_now=True)
        if not (settings.active and settings.port):
            self._listener.release()
        if self._server is not None or not settings.active or now < self._next_try:
            return
        self._next_try = now + _RETRY
        sockets = []
        try:
            if settings.port:
                sockets.append(self._listener.listen(settings.address, settings.port))
            if settings.socket is not None:
                sockets.append(listen_unix(settings.socket, settings.socket_mode))
                self._socket_open = str(settings.socket)
        except ListenError as error:
            for each in sockets:
                each.close()
            if not self.problem:
                self._failing_since = now
            if str(error) != self.problem:
                self.problem = str(error)
                log.error("%s; retrying every %.0f s", error, _RETRY)
                logs.owner_event("port unavailable", str(error), subject="panel")
            return
        if self.problem:
            text = f"the panel is on {settings.url} after {duration(now - self._failing_since)}"
            logs.owner_event("port open", text, subject="panel")
        self.problem = ""
        self.streams = Streams()
        self._app = self._make_app(self.streams)
        self._server = WebServer(self._app, sockets, self.streams.end, PanelProtocol)
        self._server.start()
        log.info("the panel is on %s; `pyrotorque panel` prints a login link", settings.url)
        if settings.port and not is_loopback(settings.address):
            text = (
                "the panel listens on %s, without encryption: a reverse proxy with TLS in front of 127.0.0.1 is safer"
            )
            log.warning(text, settings.address)

    def publish(self, group: str, event: Event) -> None:
        """Into the open streams of a group; from any thread."""
        app = self._app
        if app is not None and event["type"] != "Sampled":
            app.changed(group)
        self.streams.publish(group, event)

    def close(self, *, for_now: bool = False) -> None:
        """May be opened again at once; `for_now` keeps the port."""
        self._app = None
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        if self._socket_open:
            remove_socket(Path(self._socket_open))
            self._socket_open = ""
        self._next_try = 0.0
        if not for_now:
            self._listener.release()
