"""The paths of an endpoint: /metrics, the landing page on /, /-/healthy, and in a fleet /fleet/targets."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pyrotorque.hosts import is_own_host
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque_exporter.exposition import CONTENT_TYPE, Exposition
from pyrotorque_exporter.http import PendingResponse
from pyrotorque_exporter.http_messages import HttpRequest, HttpResponse, accepts_gzip
from pyrotorque_exporter.landing import PAGE_HEADERS
from pyrotorque_exporter.scrape import Scraper
from pyrotorque_exporter.scrape_thread import FRESH, ScrapeThread, SharedScrape

TIMEOUT_HEADER: Final = "x-prometheus-scrape-timeout-seconds"
TIMEOUT: Final = 10.0
TIMEOUT_MAX: Final = 60.0
MARGIN: Final = 0.5
"""Seconds reserved for rendering, compressing and sending."""
GZIP_FROM: Final = 1024

_FOR_ANY_HOST: Final = frozenset(("/metrics", "/-/healthy"))
"""Programs request these by whatever name their configuration has; everything else has a host of this machine."""
_FOREIGN_HOST: Final = HttpResponse(
    421, b"this is not a name of the exporter: use an address, or add the name to panel.hosts in torque.ini\n"
)
_TOO_MANY: Final = HttpResponse(503, b"too many different scrapes are pending\n")

Route = Callable[[HttpRequest], HttpResponse | PendingResponse]


class Routes:
    """Responds to requests; /metrics waits for a scrape, at most until its deadline.

    `hosts` are names of this machine beside those that no site on the internet can have.
    """

    def __init__(
        self,
        scraper: Scraper,
        scrapes: ScrapeThread,
        landing: bytes,
        *,
        targets: Path | None = None,
        hosts: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._targets, self._hosts = targets, hosts
        self._scraper, self._scrapes, self._landing, self._clock = scraper, scrapes, landing, clock
        self._late: tuple[frozenset[str], float, Exposition] | None = None

    def __call__(self, request: HttpRequest) -> HttpResponse | PendingResponse:
        if request.path not in _FOR_ANY_HOST and not is_own_host(request.headers.get("host"), self._hosts):
            return _FOREIGN_HOST
        routes: dict[str, Route] = {"/metrics": self._metrics, "/": self._landing_page, "/-/healthy": _healthy}
        if self._targets is not None:
            routes["/fleet/targets"] = self._fleet_targets
        route = routes.get(request.path)
        if route is None:
            return HttpResponse(404, b"Not Found: use / or /metrics\n")
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(405, b"Method Not Allowed\n", headers={"Allow": "GET, HEAD"})
        return route(request)

    def _metrics(self, request: HttpRequest) -> HttpResponse | PendingResponse:
        groups = frozenset(request.query.get("collect[]", ()))
        if unknown := groups - set(self._scraper.names):
            names = ", ".join(self._scraper.names)
            return HttpResponse(400, f"no such group: {sorted(unknown)[0][:40]!a}; available: {names}\n".encode())
        deadline = self._clock() + scrape_timeout(request)
        scrape = self._scrapes.request(groups, deadline, request.client)
        if scrape is None:
            return _TOO_MANY
        gzip = accepts_gzip(request.headers.get("accept-encoding", ""))
        return _ScrapeResponse(
            scrape,
            deadline + MARGIN / 2,
            lambda exposition: _metrics_response(exposition, gzip),
            lambda: _metrics_response(self._without_rtorrent(groups), gzip),
        )

    def _without_rtorrent(self, groups: frozenset[str]) -> Exposition:
        # Many requests may reach their deadline at once; they share one result.
        now = self._clock()
        if self._late is None or self._late[0] != groups or now - self._late[1] >= FRESH:
            self._late = groups, now, self._scraper.without_rtorrent(groups)
        return self._late[2]

    def _landing_page(self, _: HttpRequest) -> HttpResponse:
        return HttpResponse(200, self._landing, "text/html; charset=utf-8", PAGE_HEADERS)

    def _fleet_targets(self, request: HttpRequest) -> HttpResponse:
        """Service discovery by HTTP: at any other status than 200, Prometheus keeps the targets that it has."""
        assert self._targets is not None
        try:
            return HttpResponse(200, read_regular_file(self._targets), "application/json")
        except OSError:
            return HttpResponse(503, b"the groups of the fleet are not known yet\n")


def scrape_timeout(request: HttpRequest) -> float:
    """How long collecting may take: the timeout in Prometheus' header, less a margin."""
    try:
        timeout = float(request.headers.get(TIMEOUT_HEADER, TIMEOUT))
    except ValueError:
        timeout = TIMEOUT
    # Anything that is not above 0 (also nan) is not a timeout.
    timeout = min(timeout, TIMEOUT_MAX) if timeout > 0 else TIMEOUT
    return max(timeout - MARGIN, timeout / 2)


class _ScrapeResponse:
    """The response to a request that waits for a scrape."""

    def __init__(
        self,
        scrape: SharedScrape,
        deadline: float,
        respond: Callable[[Exposition], HttpResponse],
        respond_late: Callable[[], HttpResponse],
    ) -> None:
        self.deadline = deadline
        self._scrape, self._respond, self._respond_late = scrape, respond, respond_late

    def poll(self) -> HttpResponse | None:
        if self._scrape.is_refused:
            return _TOO_MANY
        result = self._scrape.result
        return None if result is None else self._respond(result)

    def timeout_response(self) -> HttpResponse:
        return self._respond_late()


def _healthy(_: HttpRequest) -> HttpResponse:
    return HttpResponse(200, b"healthy\n")


def _metrics_response(exposition: Exposition, gzip: bool) -> HttpResponse:
    if not exposition.plain:
        return HttpResponse(500, b"the scrape could not be rendered; see log/exporter.log\n")
    if gzip and len(exposition.plain) >= GZIP_FROM:
        headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return HttpResponse(200, exposition.compressed, CONTENT_TYPE, headers)
    return HttpResponse(200, exposition.plain, CONTENT_TYPE, {"Vary": "Accept-Encoding"})
