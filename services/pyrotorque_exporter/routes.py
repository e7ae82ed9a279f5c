"""What is answered to which request: /metrics, the status page on /, /-/healthy, and nothing else."""

import time
from collections.abc import Callable
from typing import Final, Protocol

from pyrotorque_exporter.exposition import CONTENT_TYPE, Exposition, render
from pyrotorque_exporter.http import HttpRequest, HttpResponse, PendingResponse
from pyrotorque_exporter.scrape import FRESH, Scraper, ScrapeThread, SharedScrape

TIMEOUT_HEADER: Final = "x-prometheus-scrape-timeout-seconds"
TIMEOUT: Final = 10.0
TIMEOUT_MAX: Final = 60.0
# Left over for rendering, compressing and sending.
MARGIN: Final = 0.5
GZIP_FROM: Final = 1024
PAGE_TIMEOUT: Final = 2.0


class Page(Protocol):
    """The status page; `groups` are what it shows of rTorrent."""

    @property
    def groups(self) -> frozenset[str]: ...

    def refresh(self) -> None: ...
    def html(self, seen: Exposition) -> bytes: ...


class Routes:
    """Answers requests; scrapes and the page wait for a scrape, at most until their time is up."""

    def __init__(
        self,
        scraper: Scraper,
        scrapes: ScrapeThread,
        page: Page,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scraper, self._scrapes, self._page, self._clock = scraper, scrapes, page, clock
        self._late: tuple[frozenset[str], float, Exposition] | None = None

    def __call__(self, request: HttpRequest) -> HttpResponse | PendingResponse:
        answers = {"/metrics": self._metrics, "/": self._status, "/-/healthy": _healthy}
        answer = answers.get(request.path)
        if answer is None:
            return HttpResponse(404, b"Not Found: look at / or /metrics\n")
        if request.method not in ("GET", "HEAD"):
            return HttpResponse(405, b"Method Not Allowed\n", headers={"Allow": "GET, HEAD"})
        return answer(request)

    def _metrics(self, request: HttpRequest) -> HttpResponse | PendingResponse:
        wanted = frozenset(request.query.get("collect[]", ()))
        if unknown := wanted - set(self._scraper.names):
            names = ", ".join(self._scraper.names)
            return HttpResponse(400, f"no such group: {sorted(unknown)[0][:40]!a}; there are {names}\n".encode())
        deadline = self._clock() + scrape_timeout(request)
        scrape = self._scrapes.request(wanted, deadline)
        if scrape is None:
            return HttpResponse(503, b"too many different scrapes are waiting\n")
        gzip = "gzip" in request.headers.get("accept-encoding", "")

        return _Pending(
            scrape,
            deadline + MARGIN / 2,
            lambda result: _exposed(result, gzip),
            lambda: _exposed(self._without_rtorrent(wanted), gzip),
        )

    def _without_rtorrent(self, wanted: frozenset[str]) -> Exposition:
        # Many scrapes may run out of time at once: they share one answer.
        now = self._clock()
        if self._late is None or self._late[0] != wanted or now - self._late[1] >= FRESH:
            self._late = wanted, now, render(self._scraper.without_rtorrent(wanted))
        return self._late[2]

    def _status(self, request: HttpRequest) -> HttpResponse | PendingResponse:
        def shown(result: Exposition) -> HttpResponse:
            return HttpResponse(200, self._page.html(result), "text/html; charset=utf-8", _PAGE_HEADERS)

        self._page.refresh()
        deadline = self._clock() + PAGE_TIMEOUT
        wanted = self._page.groups & set(self._scraper.names)
        if not wanted:
            return shown(Exposition(b""))
        scrape = self._scrapes.request(wanted, deadline)
        if scrape is None:
            return shown(self._without_rtorrent(wanted))
        return _Pending(scrape, deadline, shown, lambda: shown(self._without_rtorrent(wanted)))


def scrape_timeout(request: HttpRequest) -> float:
    """How long collecting may take: what Prometheus says in its header, less a margin."""
    try:
        told = float(request.headers.get(TIMEOUT_HEADER, TIMEOUT))
    except ValueError:
        told = TIMEOUT
    # A timeout that is not a number above 0 (also nan) is nobody's real one.
    told = min(told, TIMEOUT_MAX) if told > 0 else TIMEOUT
    return max(told - MARGIN, told / 2)


_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}


class _Pending:
    def __init__(
        self,
        scrape: SharedScrape,
        deadline: float,
        shown: Callable[[Exposition], HttpResponse],
        late: Callable[[], HttpResponse],
    ) -> None:
        self.deadline = deadline
        self._flight, self._shown, self._late = scrape, shown, late

    def poll(self) -> HttpResponse | None:
        result = self._flight.result
        return None if result is None else self._shown(result)

    def timeout_response(self) -> HttpResponse:
        return self._late()


def _healthy(_: HttpRequest) -> HttpResponse:
    return HttpResponse(200, b"healthy\n")


def _exposed(exposition: Exposition, gzip: bool) -> HttpResponse:
    if not exposition.plain:
        return HttpResponse(500, b"the scrape could not be rendered: see the exporter's log\n")
    if gzip and len(exposition.plain) >= GZIP_FROM:
        headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return HttpResponse(200, exposition.compressed, CONTENT_TYPE, headers)
    return HttpResponse(200, exposition.plain, CONTENT_TYPE, {"Vary": "Accept-Encoding"})
