"""The port of the panel: opened while it is active, tried again while it is in use, never a reason to restart."""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque import logs
from pyrotorque.humanize import duration
from pyrotorque.listen_address import is_loopback
from pyrotorque.port_reservation import ListenPlace, WantedPort, listen_place
from pyrotorque.settings.schema import PanelSettings
from pyrotorque_panel.app import PanelApp
from pyrotorque_panel.listeners import PanelListeners
from pyrotorque_panel.recent_events import Event, Streams
from pyrotorque_panel.server import ListenError, PanelProtocol, WebServer

log = logging.getLogger(__name__)

_RETRY: Final = 5.0


class PanelPort:
    """The web server with its sockets; `make_app` makes the application of one opening, with its streams.

    `wanted_port` has the address that stays reserved while the panel restarts.
    """

    def __init__(self, make_app: Callable[[Streams], PanelApp], wanted_port: Path | None = None) -> None:
        self._make_app = make_app
        self._wanted_port = WantedPort(wanted_port)
        self._server: WebServer | None = None
        self._app: PanelApp | None = None
        self._next_try = 0.0
        self._listeners = PanelListeners()
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
            self.stop_serving()
        if not settings.active:
            self._listeners.close()
            self._wanted_port.store(None)
        if self._server is not None or not settings.active or now < self._next_try:
            return
        self._next_try = now + _RETRY
        self._wanted_port.store(_place(settings))
        try:
            sockets = self._listeners.copies(settings)
        except ListenError as error:
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

    def stop_serving(self) -> None:
        """Until the next `open`, which may follow at once: clients wait for it."""
        self._app = None
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        self._next_try = 0.0

    def close(self) -> None:
        self.stop_serving()
        self._listeners.close()


def _place(settings: PanelSettings) -> ListenPlace | None:
    with suppress(OSError):
        return listen_place(settings.address, settings.port) if settings.port else None
    return None
