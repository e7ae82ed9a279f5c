"""Requests share scrapes and meet Prometheus' deadline."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from pyrotorque.settings.schema import PanelSettings
from pyrotorque_exporter.admission import PENDING_MAX, REGULAR_AFTER
from pyrotorque_exporter.collectors import ScrapeContext
from pyrotorque_exporter.exposition import Exposition
from pyrotorque_exporter.families import single
from pyrotorque_exporter.http import PendingResponse
from pyrotorque_exporter.http_messages import HttpRequest, HttpResponse, accepts_gzip
from pyrotorque_exporter.landing import landing_page
from pyrotorque_exporter.routes import MARGIN, TIMEOUT, TIMEOUT_HEADER, TIMEOUT_MAX, Routes, scrape_timeout
from pyrotorque_exporter.rtorrent_calls import RTorrentCalls
from pyrotorque_exporter.scrape import Scraper
from pyrotorque_exporter.scrape_thread import FRESH, ScrapeThread
from tests.exporter_fakes import Clock, FakeRTorrent
from tests.waiting import bound, eventually


@dataclass
class Gate:
    """A collector that blocks until the test opens it."""

    name: str = "queue"
    uses_rtorrent: bool = False
    open: threading.Event = field(default_factory=threading.Event)
    passed: int = 0

    def collect(self, context: ScrapeContext) -> Iterable[Metric]:
        self.open.wait(bound(10))
        self.passed += 1
        yield single("gauge", "passed", "…", float(self.passed))


class Station:
    """Routes with a scrape thread that runs one `Gate`."""

    def __init__(self) -> None:
        self.gate, self.clock, fake = Gate(), Clock(now=0.0), FakeRTorrent()
        scraper = Scraper([self.gate], RTorrentCalls(fake, fake), "rtorrent_")
        self.scrapes = ScrapeThread(scraper, lambda: None, clock=self.clock)
        self.routes = Routes(scraper, self.scrapes, b"page", clock=self.clock)
        self.scrapes.start()

    def get(self, path: str, method: str = "GET", *, collect: tuple[str, ...] = (), client: str = "") -> HttpResponse:
        answer = self.routes(HttpRequest(method, path, {"collect[]": list(collect)}, {}, client))
        return answer if isinstance(answer, HttpResponse) else _finished(answer)


def _finished(waiting: PendingResponse) -> HttpResponse:
    found: list[HttpResponse] = []

    def ready() -> bool:
        found[:] = [answer] if (answer := waiting.poll()) else []
        return bool(found)

    eventually(ready)
    return found[0]


@pytest.fixture
def station() -> Iterator[Station]:
    made = Station()
    yield made
    made.gate.open.set()
    made.scrapes.stop()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param(None, TIMEOUT - MARGIN, id="nothing said"),
        pytest.param("5", 5 - MARGIN, id="the timeout of Prometheus less a margin"),
        pytest.param("0.4", 0.2, id="a very short time is halved"),
        pytest.param("1e9", TIMEOUT_MAX - MARGIN, id="the timeout is bounded"),
        pytest.param("-1", TIMEOUT - MARGIN, id="below zero"),
        pytest.param("nan", TIMEOUT - MARGIN, id="not a number"),
        pytest.param("soon", TIMEOUT - MARGIN, id="not even digits"),
    ],
)
def test_the_deadline_comes_from_prometheus(header: str | None, seconds: float) -> None:
    headers = {} if header is None else {TIMEOUT_HEADER: header}
    assert scrape_timeout(HttpRequest("GET", "/metrics", {}, headers)) == pytest.approx(seconds)


def test_requests_for_the_same_groups_share_a_scrape(station: Station) -> None:
    first, second = (station.scrapes.request(frozenset(), 10.0) for _ in range(2))
    assert first is second
    assert station.scrapes.request(frozenset({"queue"}), 10.0) is not first


def test_a_result_is_reused_for_a_second(station: Station) -> None:
    station.gate.open.set()
    assert b"passed 1.0" in station.get("/metrics").body
    station.clock.now += FRESH / 2
    assert b"passed 1.0" in station.get("/metrics").body
    station.clock.now += FRESH
    assert b"passed 2.0" in station.get("/metrics").body


def test_a_short_deadline_of_another_client_does_not_cut_off_the_scrape_of_prometheus(station: Station) -> None:
    """Its result says that rTorrent does not answer."""
    hasty = station.scrapes.request(frozenset(), 0.0005)
    assert hasty is not None
    station.gate.open.set()
    eventually(lambda: hasty.result is not None)
    hasty.finished_at = 0.0006
    assert station.scrapes.request(frozenset(), 9.5) is not hasty
    assert b"passed 2.0" in station.get("/metrics").body, "made for this request"


def test_a_scrape_that_waits_gets_the_longest_deadline_and_one_in_progress_one_successor(station: Station) -> None:
    running = station.scrapes.request(frozenset(), 0.5)
    assert running is not None
    eventually(lambda: running.has_begun)
    requests = [station.scrapes.request(frozenset(), deadline) for deadline in (9.5, 0.1, 9.6, 9.5, 30.0)]
    successor = requests[0]
    assert successor is not None
    assert running is not successor
    assert all(each is successor for each in requests)
    assert successor.deadline == 30.0
    assert station.scrapes.request(frozenset(), 20.0) is successor


def test_a_complete_result_is_reused_whatever_deadline_it_had(station: Station) -> None:
    station.gate.open.set()
    first = station.scrapes.request(frozenset(), 0.5)
    assert first is not None
    eventually(lambda: first.result is not None)
    assert station.scrapes.request(frozenset(), 60.0) is first


def test_too_many_different_scrapes_are_rejected(station: Station) -> None:
    for number in range(PENDING_MAX):
        assert station.scrapes.request(frozenset({str(number)}), 10.0) is not None
    assert station.get("/metrics", collect=("queue",)).status == 503


def test_the_scrape_of_all_groups_is_accepted_whatever_others_request(station: Station) -> None:
    others = [station.scrapes.request(frozenset({str(number)}), 10.0) for number in range(3 * PENDING_MAX)]
    assert others.count(None) == 2 * PENDING_MAX
    station.gate.open.set()
    assert station.get("/metrics").status == 200


def test_the_scrape_of_all_groups_goes_before_others(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[frozenset[str]] = []
    opened = threading.Event()

    def scrape(_: Scraper, groups: frozenset[str], deadline: float) -> Exposition:
        order.append(groups)
        opened.wait(bound(10))
        return Exposition(b"x")

    monkeypatch.setattr(Scraper, "scrape", scrape)
    station.scrapes.request(frozenset({"queue"}), 10.0)
    eventually(lambda: len(order) == 1)
    for name in "abc":
        station.scrapes.request(frozenset({name}), 10.0)
    station.scrapes.request(frozenset(), 10.0)
    opened.set()
    eventually(lambda: len(order) == 5)
    assert order[1] == frozenset()


def test_a_flood_of_one_client_leaves_places_for_another(station: Station) -> None:
    flood = [station.scrapes.request(frozenset({str(number)}), 10.0, "visitor") for number in range(3 * PENDING_MAX)]
    owner = [station.scrapes.request(frozenset({name}), 10.0, "owner") for name in ("queue", "a", "b")]
    assert None not in owner
    refused = [scrape for scrape in flood if scrape is not None and scrape.is_refused]
    assert refused == flood[PENDING_MAX - 3 : PENDING_MAX]
    station.gate.open.set()
    assert station.get("/metrics", collect=("queue",), client="owner").status == 200


def test_a_request_whose_place_was_given_away_gets_503_at_once(station: Station) -> None:
    for number in range(PENDING_MAX - 1):
        station.scrapes.request(frozenset({str(number)}), 10.0, "visitor")
    answer = station.routes(HttpRequest("GET", "/metrics", {"collect[]": ["queue"]}, {}, "visitor"))
    assert not isinstance(answer, HttpResponse)
    assert answer.poll() is None
    station.scrapes.request(frozenset({"mine"}), 10.0, "owner")
    assert _finished(answer).status == 503


def test_a_regular_choice_is_accepted_although_the_same_client_floods(station: Station) -> None:
    """Behind a proxy all clients have one address."""
    station.gate.open.set()
    for _ in range(REGULAR_AFTER):
        assert station.get("/metrics", collect=("queue",)).status == 200
        station.clock.now += 60.0
    station.gate.open.clear()
    deadline = station.clock.now + 10.0
    flood = [station.scrapes.request(frozenset({str(number)}), deadline) for number in range(3 * PENDING_MAX)]
    assert flood.count(None) == 2 * PENDING_MAX
    assert station.scrapes.request(frozenset({"queue"}), deadline) is not None


def test_clients_take_turns_and_regular_choices_go_first(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    opened = threading.Event()

    def scrape(_: Scraper, groups: frozenset[str], deadline: float) -> Exposition:
        order.extend(groups)
        opened.wait(bound(10))
        return Exposition(b"x")

    for _ in range(REGULAR_AFTER):
        station.gate.open.set()
        station.get("/metrics", collect=("queue",))
        station.clock.now += 60.0
    monkeypatch.setattr(Scraper, "scrape", scrape)
    deadline = station.clock.now + 10.0
    station.scrapes.request(frozenset({"first"}), deadline, "a")
    eventually(lambda: order == ["first"])
    for client, name in (("a", "a2"), ("a", "a3"), ("b", "b1"), ("b", "b2"), ("c", "c1"), ("b", "queue")):
        station.scrapes.request(frozenset({name}), deadline, client)
    opened.set()
    eventually(lambda: len(order) == 7)
    assert order == ["first", "queue", "b1", "c1", "a2", "b2", "a3"]


def test_groups_that_are_rejected_are_accepted_again_later(station: Station) -> None:
    for number in range(PENDING_MAX):
        station.scrapes.request(frozenset({str(number)}), 10.0)
    assert station.get("/metrics", collect=("queue",)).status == 503
    station.gate.open.set()
    eventually(lambda: station.scrapes.request(frozenset({"queue"}), 10.0) is not None)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True), ("gzip, deflate, br", True), ("GZIP;q=0.5", True), ("deflate, gzip;q=1.0", True), ("*", True),
        ("x-gzip", True), ("", False), ("gzip;q=0", False), ("gzip; q=0.000", False), ("identity, *;q=0", False),
        ("notgzip", False), ("gzip;q=x", False), ("*;q=1, gzip;q=0", False), ("br", False),
    ],
)  # fmt: skip
def test_a_weight_of_zero_excludes_compression(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_other_paths_and_methods_are_rejected(station: Station) -> None:
    assert station.get("/debug").status == 404
    refused = station.get("/metrics", "POST")
    assert (refused.status, refused.headers) == (405, {"Allow": "GET, HEAD"})


def test_the_landing_page_needs_no_rtorrent_and_names_the_panel() -> None:
    fake = FakeRTorrent()
    scraper = Scraper([Gate("summary", uses_rtorrent=True)], RTorrentCalls(fake, fake), "rtorrent_")
    scrapes = ScrapeThread(scraper, lambda: None)
    made = landing_page(PanelSettings(active=True, port=9999, base_path="/torque/"))
    answer = Routes(scraper, scrapes, made)(HttpRequest("GET", "/", {}, {}))
    assert isinstance(answer, HttpResponse)
    assert answer.status == 200
    assert b'<a href="http://127.0.0.1:9999/torque">' in answer.body
    assert b'<a href="metrics">' in answer.body
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("panel", "text"),
    [
        pytest.param(PanelSettings(), b"set <code>panel.active = True</code>", id="no panel"),
        pytest.param(PanelSettings(active=True), b"http://127.0.0.1:9180", id="on loopback"),
        pytest.param(PanelSettings(active=True, address="::"), b"http://[::1]:9180", id="on all addresses"),
        pytest.param(PanelSettings(active=True, port=0, socket=Path("/run/p")), b"on its unix socket", id="a socket"),
    ],
)
def test_the_landing_page_shows_where_the_panel_is(panel: PanelSettings, text: bytes) -> None:
    assert text in landing_page(panel)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("evil.example", False), ("evil.example:9135", False), ("127.0.0.1.evil.example", False), ("", False),
        ("127.0.0.1:9135", True), ("box", True), ("box1.lan:9135", True), (None, True),
    ],
)  # fmt: skip
def test_only_what_programs_read_is_served_for_a_host_that_is_not_ours(
    tmp_path: Path, host: str | None, own: bool
) -> None:
    """A page of another site could read the rest through DNS rebinding."""
    fake, gate = FakeRTorrent(), Gate("summary")
    gate.open.set()
    scraper = Scraper([gate], RTorrentCalls(fake, fake), "rtorrent_")
    scrapes = ScrapeThread(scraper, lambda: None)
    scrapes.start()
    (tmp_path / "targets").write_text("[]")
    routes = Routes(scraper, scrapes, b"page", targets=tmp_path / "targets", hosts=("", "box1.lan:9135"))
    headers = {} if host is None else {"host": host}

    def status(path: str, method: str = "GET") -> int:
        answer = routes(HttpRequest(method, path, {}, headers))
        return (answer if isinstance(answer, HttpResponse) else _finished(answer)).status

    try:
        assert [status("/metrics"), status("/-/healthy")] == [200, 200]
        found = {path: status(path) for path in ("/", "/fleet/targets", "/debug", "/metrics/", "//metrics")}
        refused = dict.fromkeys(found, 421)
        assert found == ({"/": 200, "/fleet/targets": 200, "/debug": 404, "/metrics/": 404, "//metrics": 404} if own
                         else refused)  # fmt: skip
        assert status("/", "POST") == (405 if own else 421)
    finally:
        scrapes.stop()
