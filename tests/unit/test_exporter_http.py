"""The HTTP server responds to valid requests, rejects the others, and no client can block it."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrotorque.hosts import is_own_host
from pyrotorque.listen_address import is_loopback
from pyrotorque_exporter import http
from pyrotorque_exporter.endpoint import PortUnavailable, listen
from pyrotorque_exporter.http import HttpServer, PendingResponse
from pyrotorque_exporter.http_messages import BadRequest, HttpRequest, HttpResponse, parse_head
from tests.threads import side_by_side
from tests.waiting import bound, eventually


@dataclass
class Later:
    """A response that the test makes ready."""

    deadline: float
    ready: HttpResponse | None = None

    def poll(self) -> HttpResponse | None:
        return self.ready

    def timeout_response(self) -> HttpResponse:
        return HttpResponse(200, b"late\n")


@dataclass
class Site:
    """A running server whose responses the test chooses."""

    port: int
    requests: list[HttpRequest] = field(default_factory=list[HttpRequest])
    answer: Callable[[HttpRequest], HttpResponse | PendingResponse] = lambda _: HttpResponse(200, b"hello\n")

    def respond(self, request: HttpRequest) -> HttpResponse | PendingResponse:
        self.requests.append(request)
        return self.answer(request)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=bound(10))

    def send(self, raw: bytes) -> bytes:
        with self.connect() as client:
            client.sendall(raw)
            return _all_of(client)


def _all_of(client: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            received += chunk
    return received


@pytest.fixture
def server() -> Iterator[tuple[Site, HttpServer]]:
    listener = listen("127.0.0.1", 0)
    site = Site(listener.getsockname()[1])
    running = HttpServer(listener, site.respond)
    running.start()
    yield site, running
    running.stop()


@pytest.fixture
def site(server: tuple[Site, HttpServer]) -> Site:
    return server[0]


GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_response_closes_the_connection(site: Site) -> None:
    answer = site.send(GET)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhello\n")
    assert b"Content-Length: 6\r\n" in answer
    assert b"Connection: close\r\n" in answer


def test_the_head_of_a_request_is_parsed(site: Site) -> None:
    site.send(b"GET /metrics?collect[]=queue&collect[]=watch HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n")
    (request,) = site.requests
    assert (request.method, request.path) == ("GET", "/metrics")
    assert request.query == {"collect[]": ["queue", "watch"]}
    assert request.headers == {"accept-encoding": "gzip"}


def test_head_gets_the_head_only(site: Site) -> None:
    answer = site.send(GET.replace(b"GET", b"HEAD"))
    assert b"Content-Length: 6\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\r\n\r\n", id="a TLS handshake"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET / HTTP/2\r\n\r\n", id="HTTP/2"),
        pytest.param(b"CONNECT elsewhere:443 HTTP/1.1\r\n\r\n", id="a proxy request"),
        pytest.param(b"\r\n\r\n", id="nothing"),
        pytest.param(b"GET /?" + b"a=1&" * 200 + b" HTTP/1.1\r\n\r\n", id="a flood of parameters"),
    ],
)
def test_an_invalid_request_gets_400(site: Site, raw: bytes) -> None:
    assert site.send(raw).startswith(b"HTTP/1.1 400 ")
    assert site.requests == []


def test_an_endless_head_gets_431(site: Site) -> None:
    assert site.send(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 20_000).startswith(b"HTTP/1.1 431 ")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(head: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert parse_head(head).path.startswith("/")


def test_a_response_may_be_pending(server: tuple[Site, HttpServer]) -> None:
    site, running = server
    later = Later(time.monotonic() + 60)
    site.answer = lambda _: later
    with site.connect() as client:
        client.sendall(GET)
        eventually(lambda: site.requests)
        later.ready = HttpResponse(200, b"now\n")
        running.wake()
        assert _all_of(client).endswith(b"now\n")


def test_a_pending_response_is_replaced_at_its_deadline(site: Site) -> None:
    site.answer = lambda _: Later(time.monotonic() + 0.05)
    assert site.send(GET).endswith(b"late\n")


def test_300_silent_and_300_partial_requests_block_no_other_client(site: Site) -> None:
    with contextlib.ExitStack() as clients:
        for number in range(600):
            client = clients.enter_context(site.connect())
            if number % 2:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        began = time.monotonic()
        assert site.send(GET).endswith(b"hello\n")
        assert time.monotonic() - began < bound(1.0)


def test_a_silent_client_is_disconnected(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_SECONDS", 0.05)
    with site.connect() as client:
        assert client.recv(1) == b""


def test_a_client_that_sends_byte_by_byte_is_disconnected(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_SECONDS", 0.2)
    with site.connect() as client:

        def dropped() -> bool:
            try:
                client.send(b"G")
            except OSError:
                return True
            return False

        eventually(dropped, timeout=20)


def test_a_client_that_does_not_read_its_response_blocks_no_other(site: Site) -> None:
    site.answer = lambda request: HttpResponse(200, b"x" * 20_000_000 if request.path == "/big" else b"small\n")
    with site.connect() as client:
        client.sendall(GET.replace(b"/metrics", b"/big"))
        eventually(lambda: site.requests)
        assert site.send(GET).endswith(b"small\n")


def test_a_large_response_arrives_completely(site: Site) -> None:
    body = bytes(range(256)) * 40_000
    site.answer = lambda _: HttpResponse(200, body)
    assert site.send(GET).endswith(body)


def test_a_handler_that_raises_does_not_end_the_server(site: Site) -> None:
    def broken(_: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    site.answer = broken
    assert site.send(GET).startswith(b"HTTP/1.1 500 ")
    site.answer = lambda _: HttpResponse(200, b"alive\n")
    assert site.send(GET).endswith(b"alive\n")


def test_concurrent_clients_all_get_a_response(site: Site) -> None:
    answers: list[bytes] = []
    side_by_side(*[lambda: answers.append(site.send(GET))] * 30)
    assert len(answers) == 30
    assert all(answer.endswith(b"hello\n") for answer in answers)


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("http://seedbox:9135/metrics?collect[]=queue", "/metrics", "seedbox:9135"),
        ("HTTP://[::1]:9135/", "/", "[::1]:9135"),
        ("http://127.0.0.1:9135", "/", "127.0.0.1:9135"),
        ("http://user@evil.example/metrics", "/metrics", "evil.example"),
        ("http://evil.example?x=1", "/", "evil.example"),
        ("//metrics", "//metrics", "x"),
        ("/metrics", "/metrics", "x"),
    ],
)
def test_a_target_may_be_absolute_and_its_host_counts(target: str, path: str, host: str) -> None:
    found = parse_head(f"GET {target} HTTP/1.1\r\nHost: x".encode())
    assert (found.path, found.headers["host"]) == (path, host)


@pytest.mark.parametrize("head", ["GET ftp://x/ HTTP/1.1", "GET * HTTP/1.1", "GET / HTTP/1.1\r\nHost: a\r\nHost: b"])
def test_other_targets_and_two_hosts_are_bad_requests(head: str) -> None:
    with pytest.raises(BadRequest):
        parse_head(head.encode())


@pytest.mark.parametrize(
    ("authority", "own"),
    [
        (None, True), ("127.0.0.1:9135", True), ("localhost:9135", True), ("[::1]:9135", True),
        ("[fe80::1%25eth0]", True),
        ("192.168.1.5", True), ("seedbox", True), ("SEEDBOX:80", True), ("x.localhost", True),
        ("proxy.example.org", True),
        ("proxy.example.org.:443", True), ("evil.example", False), ("evil.example:9135", False),
        ("127.0.0.1.evil.org", False),
        ("localhost.evil.org", False), ("", False), ("127.0.0.1%.evil.org", False), ("127.0.0.1@evil.org", False),
        ("evil.org:80@127.0.0.1", False), ("::1", False), ("127.1.evil.org", False), ("[::1.evil.org", False),
        ("proxy.example.org.evil.org", False), ("[evil.example]", False),
    ],
)  # fmt: skip
def test_only_hosts_that_no_other_site_can_have_see_names(authority: str | None, own: bool) -> None:
    assert is_own_host(authority, ("Proxy.example.org",)) is own


@pytest.mark.parametrize(
    ("address", "clients"),
    [
        ("::", ("127.0.0.1", "::1")),
        ("[::1]", ("::1",)),
        ("::1", ("::1",)),
        ("0.0.0.0", ("127.0.0.1",)),
        ("[::]", ("127.0.0.1", "::1")),
        ("0:0:0:0:0:0:0:0", ("127.0.0.1", "::1")),
        (" ::1 ", ("::1",)),
        ("::ffff:127.0.0.1", ("127.0.0.1",)),
        ("[::FFFF:7f00:1]", ("127.0.0.1",)),
        ("::ffff:0.0.0.0", ("127.0.0.1",)),
        ("[127.0.0.1]", ("127.0.0.1",)),
        ("LOCALHOST", ("127.0.0.1",)),
    ],
)  # fmt: skip
def test_an_address_is_listened_on_as_written(address: str, clients: tuple[str, ...]) -> None:
    with listen(address, 0) as listener:
        for client in clients:
            socket.create_connection((client, listener.getsockname()[1]), 2.0).close()


@pytest.mark.parametrize("address", ["[]", "a..b", "x" * 64, "x." * 130, "1::2::3", "fe80::1", "\udcff"])
def test_what_is_no_address_of_this_machine_is_reported_and_opens_nothing(address: str) -> None:
    with pytest.raises(PortUnavailable, match=r"set job\.NAME\.address"):
        listen(address, 0)


def test_brackets_do_not_hide_that_an_address_is_loopback() -> None:
    assert is_loopback("[::1]")
    assert not is_loopback("[::]")


def test_a_port_in_use_is_reported_in_one_line() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortUnavailable) as caught:
            listen("127.0.0.1", port)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: another program listens there: "
        "stop it, or set another job.NAME.port in torque.ini"
    )


def test_an_address_of_another_machine_is_reported_in_one_line() -> None:
    with pytest.raises(PortUnavailable, match=r"cannot listen on 192\.0\.2\.1:9135: .*job\.NAME\.address"):
        listen("192.0.2.1", 9135)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("::ffff:127.0.0.1", True), ("::ffff:192.0.2.1", False), ("[::ffff:7f00:1]", True), ("LOCALHOST", True),
     ("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)  # fmt: skip
def test_only_loopback_is_private(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def test_slow_readers_are_disconnected_for_new_clients(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTIONS_MAX", 5)
    site.answer = lambda request: HttpResponse(200, b"x" * 20_000_000 if request.path == "/big" else b"small\n")
    with contextlib.ExitStack() as clients:
        for _ in range(5):
            clients.enter_context(site.connect()).sendall(GET.replace(b"/metrics", b"/big"))
        eventually(lambda: len(site.requests) == 5)
        assert site.send(GET).endswith(b"small\n")


def _has_received(site: Site, number: int) -> bool:
    return len(site.requests) == number


def test_a_client_with_many_connections_loses_its_own(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them wait for a response: those of the one with the most are dropped, not the oldest."""
    monkeypatch.setattr(http, "CONNECTIONS_MAX", 5)
    later = Later(time.monotonic() + 60)
    site.answer = lambda _: later
    with contextlib.ExitStack() as clients:
        owner = clients.enter_context(site.connect())
        owner.sendall(GET)
        eventually(lambda: len(site.requests) == 1)
        for number in range(20):
            visitor = socket.create_connection(("127.0.0.1", site.port), 10, source_address=("127.0.0.2", 0))
            clients.enter_context(visitor).sendall(GET)
            eventually(partial(_has_received, site, number + 2))
        assert {request.client for request in site.requests} == {"127.0.0.1", "127.0.0.2"}
        later.ready = HttpResponse(200, b"ready\n")
        site.send(GET)  # any request lets the server look at the pending ones
        assert _all_of(owner).endswith(b"ready\n")
