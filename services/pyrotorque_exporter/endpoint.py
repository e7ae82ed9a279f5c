"""The endpoint of one exporter job: its listening port, HTTP server and scrape thread."""

import errno
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrotorque.errors import PyrotorqueError
from pyrotorque.humanize import duration
from pyrotorque.listen_address import bare_address, is_loopback
from pyrotorque.logs import owner_event
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.recognition import SessionGate
from pyrotorque.settings.schema import ExporterSettings, RTorrentSettings
from pyrotorque_exporter.collectors import Collector
from pyrotorque_exporter.groups import collectors_for
from pyrotorque_exporter.http import HttpServer
from pyrotorque_exporter.routes import Routes
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.scrape import Scraper
from pyrotorque_exporter.scrape_thread import ScrapeThread
from pyrotorque_exporter.service_states import ServiceStates
from pyrotorque_exporter.tracker_names import TrackerNames
from pyrotorque_exporter.tracker_totals import TrackerTotals

log = logging.getLogger(__name__)

RETRY_AFTER = 5.0


class PortUnavailable(PyrotorqueError):
    """The address cannot be bound now."""


def listen(address: str, port: int) -> socket.socket:
    """A listening socket; on `::` (all addresses) it accepts IPv4, too.

    Raises PortUnavailable, with what to do, when the port is in use or the address is not one of this machine.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(
            bare_address(address) or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        both = family == socket.AF_INET6 and where[0] == "::" and socket.has_dualstack_ipv6()
        # The scope of a link-local address (`fe80::1%eth0`) is in its last part.
        place = where if family == socket.AF_INET6 and not both else where[:2]
        return socket.create_server(place, family=family, backlog=256, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:
        # UnicodeError: no host name, such as one with an empty label.
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            reason = "another program listens there: stop it, or set another job.NAME.port in torque.ini"
        else:
            why = error.strerror if isinstance(error, OSError) else "this is no host name"
            reason = f"{why}: set job.NAME.address in torque.ini to an address of this machine"
        raise PortUnavailable(f"cannot listen on {address}:{port}: {reason}") from error


@dataclass(frozen=True, slots=True)
class EndpointContext:
    """What all endpoints of the service share; `on_finished` is called after each scrape."""

    states: ServiceStates
    processes: Collector
    trackers: TrackerTotals
    aliases: Mapping[str, str]
    landing: bytes
    """The page on `/`."""
    on_finished: Callable[[], None]
    gate: SessionGate
    roots: Sequence[str] = ()
    """The watched folders, whose disks are shown, too."""
    configuration: Path | None = None
    """The stored configuration."""
    targets: Path | None = None
    """The exporters of the fleet that this group belongs to."""
    hosts: Sequence[str] = ()
    """Names of this machine, for pages."""


class Endpoint:
    """Serves one exporter job; while its port is in use it retries every few seconds."""

    def __init__(self, settings: ExporterSettings, rtorrent: RTorrentSettings, shared: EndpointContext) -> None:
        self.settings = settings
        self._rtorrent, self._shared = rtorrent, shared
        self._server: HttpServer | None = None
        self._scrapes: ScrapeThread | None = None
        self._next_try = float("-inf")
        self._logged_error = ""
        self._failing_since = 0.0

    @property
    def is_open(self) -> bool:
        return self._server is not None

    def open(self, now: float) -> None:
        """Open the port, unless it is open or the last attempt was just now."""
        if self._server is not None or now < self._next_try:
            return
        self._next_try = now + RETRY_AFTER
        address, port = self.settings.address, self.settings.port
        try:
            listener = listen(address, port)
        except PortUnavailable as error:
            if not self._logged_error:
                self._failing_since = now
            if self._logged_error != str(error):
                self._logged_error = str(error)
                log.error("%s; retrying every %.0f s", error, RETRY_AFTER)
                owner_event("port unavailable", f"{self.settings.name}: {error}", subject=self.settings.name)
            return
        if self._logged_error:
            text = f"{self.settings.name}: listens on {address}:{port} after {duration(now - self._failing_since)}"
            owner_event("port open", text, subject=self.settings.name)
        self._logged_error = ""
        routes = self._routes()
        self._server = HttpServer(listener, routes)
        self._server.start()
        bare = bare_address(address)
        log.info("metrics on http://%s:%d/metrics", f"[{bare}]" if ":" in bare else bare, port)
        if not is_loopback(address):
            log.warning(
                "%s:%d can be reached from other machines: anyone there can read the metrics and put load on rTorrent; "
                "a reverse proxy with TLS and a password in front of 127.0.0.1 is safer",
                address,
                port,
            )

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()
        if self._scrapes is not None:
            self._scrapes.stop()
        self._server = self._scrapes = None

    def _routes(self) -> Routes:
        shared, rtorrent = self._shared, self._rtorrent
        calls = RTorrentCalls(_client(rtorrent), _client(rtorrent, untrusted=True))
        names = TrackerNames(shared.aliases)
        collectors = collectors_for(
            self.settings,
            calls,
            shared.states,
            shared.processes,
            shared.trackers,
            names,
            shared.gate,
            shared.roots,
            shared.configuration,
        )
        scraper = Scraper(collectors, calls, self.settings.prefix, clock=time.monotonic)
        self._scrapes = ScrapeThread(scraper, self._finished)
        self._scrapes.start()
        return Routes(scraper, self._scrapes, shared.landing, targets=shared.targets, hosts=shared.hosts)

    def _finished(self) -> None:
        server = self._server
        if server is not None:
            server.wake()
        self._shared.on_finished()


def _client(settings: RTorrentSettings, *, untrusted: bool = False) -> RTorrent:
    """A client; without an address it finds rTorrent unavailable, since no such socket exists."""
    return RTorrent.from_settings(settings, untrusted=untrusted) or RTorrent("scgi:///nonexistent/rtorrent.sock")
