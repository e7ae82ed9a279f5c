"""The exporter responds within its deadline whatever rTorrent and clients do."""

import contextlib
import http.client
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from tests.exporter_process import ExporterProcess, Page
from tests.threads import side_by_side
from tests.waiting import bound, eventually

pytestmark = pytest.mark.process

OURS = 'rtorrent_scrape_collector_success{collector="processes"}'


@contextlib.contextmanager
def _listener(path: Path, answer: Callable[[socket.socket], None]) -> Generator[None, None, None]:
    """A socket that accepts like rTorrent, then calls `answer`."""
    held: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(16)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    held.append(client)
                    with contextlib.suppress(OSError):
                        answer(client)

        threading.Thread(target=serve, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)
    for client in held:
        client.close()


@contextlib.contextmanager
def _exporter_of(folder: Path, answer: Callable[[socket.socket], None]) -> Generator[ExporterProcess]:
    """The exporter with an rTorrent that calls `answer` for each connection."""
    path = folder / "odd.sock"
    with _listener(path, answer), ExporterProcess(folder / "c", f"scgi://{path}") as exporter:
        yield exporter


def _hang(client: socket.socket) -> None:
    pass


def _say(text: bytes) -> Callable[[socket.socket], None]:
    def answer(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(text)
        client.close()

    return answer


def _down_but_complete(page: Page) -> bool:
    return page.status == 200 and page.value("rtorrent_up") == 0.0 and page.value(OURS) == 1.0


def _timed(exporter: ExporterProcess, scrape_timeout: float) -> tuple[Page, float]:
    began = time.monotonic()
    page = exporter.get(scrape_timeout=scrape_timeout)
    return page, time.monotonic() - began


def test_without_rtorrent_everything_else_is_shown_immediately(short_folder: Path) -> None:
    with ExporterProcess(short_folder / "c", f"scgi://{short_folder}/none.sock") as exporter:
        page, seconds = _timed(exporter, 10)
        assert _down_but_complete(page)
        assert seconds < bound(1.0)
        assert exporter.log.count("rTorrent does not answer") == 1


def test_with_a_hung_rtorrent_scrapes_meet_their_deadline(short_folder: Path) -> None:
    with _exporter_of(short_folder, _hang) as exporter:
        for scrape_timeout in (1.0, 2.0):
            page, seconds = _timed(exporter, scrape_timeout)
            assert _down_but_complete(page)
            assert seconds < bound(scrape_timeout)


def test_a_flood_of_choices_does_not_keep_another_client_out(short_folder: Path) -> None:
    """While rTorrent hangs, each scrape lasts until its deadline."""
    names = ("throttle", "views", "system", "summary", "rpc", "processes")
    choices = [pair for size in (1, 2, 3) for pair in itertools.combinations(names, size)]
    statuses: list[int] = []

    def flood(choice: tuple[str, ...]) -> None:
        statuses.append(_status(exporter.port, choice, "127.0.0.2"))

    with _exporter_of(short_folder, _hang) as exporter, ThreadPoolExecutor(len(choices)) as pool:
        running = [pool.submit(flood, choice) for choice in choices]
        eventually(lambda: len(statuses) >= len(choices) - 8, why="the others wait")
        assert _status(exporter.port, ("throttle", "scrape"), "127.0.0.1") == 200
        assert _status(exporter.port, (), "127.0.0.2") == 200
        wait(running)
    assert statuses.count(503) > len(choices) // 2


def _status(port: int, choice: tuple[str, ...], source: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, 20, source_address=(source, 0))) as connection:
        query = "&".join(f"collect[]={name}" for name in choice)
        connection.request("GET", f"/metrics?{query}", headers={"X-Prometheus-Scrape-Timeout-Seconds": "3"})
        response = connection.getresponse()
        response.read()
        return response.status


def test_a_short_deadline_is_met_during_a_longer_scrape(short_folder: Path) -> None:
    with _exporter_of(short_folder, _hang) as exporter:
        long = threading.Thread(target=lambda: exporter.get(scrape_timeout=5))
        long.start()
        page, seconds = _timed(exporter, 1.0)
        assert _down_but_complete(page)
        assert seconds < bound(1.0)
        long.join()


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x00\xff" * 500, id="bytes"),
        pytest.param(b"Status: 200 OK\r\n\r\n<html>nginx</html>", id="a web page"),
        pytest.param(b"Status: 200 OK\r\nContent-Length: 999999\r\n\r\n<?xml", id="half an answer"),
    ],
)
def test_an_invalid_response_counts_as_unavailable(short_folder: Path, garbage: bytes) -> None:
    with _exporter_of(short_folder, _say(garbage)) as exporter:
        page, seconds = _timed(exporter, 3)
        assert _down_but_complete(page)
        assert seconds < bound(3)


def test_a_restarted_rtorrent_is_shown_again(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with ExporterProcess(short_folder / "c", rtorrent.url) as exporter:
        assert exporter.get().value("rtorrent_up") == 1.0
        rtorrent.stop()
        eventually(lambda: _down_but_complete(exporter.get()))
        rtorrent.start()
        eventually(lambda: exporter.get().value("rtorrent_up") == 1.0)
        rtorrent.pause()
        eventually(lambda: _down_but_complete(exporter.get(scrape_timeout=1)))
        rtorrent.resume()


def test_300_partial_and_300_silent_connections_block_no_scrape(
    shared_rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    with (
        ExporterProcess(short_folder / "c", shared_rtorrent.url) as exporter,
        contextlib.ExitStack() as clients,
    ):
        for number in range(600):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", exporter.port), timeout=bound(5)))
            if number % 2:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        page, seconds = _timed(exporter, 5)
        assert page.value("rtorrent_up") == 1.0
        assert seconds < bound(2)


def test_only_three_paths_exist(shared_rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with ExporterProcess(short_folder / "c", shared_rtorrent.url) as exporter:
        assert exporter.get("/-/healthy").text == "healthy\n"
        assert exporter.get("/").headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in exporter.get("/").headers["content-security-policy"]
        assert "panel.active = True" in exporter.get("/").text
        assert exporter.get("/favicon.ico").status == exporter.get("/metrics/").status == 404
        assert exporter.get("/metrics?collect[]=nonsense").status == 400
        only = exporter.get("/metrics?collect[]=views", compressed=True)
        assert 'rtorrent_view_items{view="main"}' in only.text
        assert "pyrotorque_build_info" not in only.text
        whole = exporter.get(compressed=True)
        assert whole.headers["content-encoding"] == "gzip"
        assert whole.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_parallel_scrapes_call_rtorrent_once(shared_rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    with ExporterProcess(short_folder / "c", shared_rtorrent.url) as exporter:
        pages: list[Page] = []
        side_by_side(*[lambda: pages.append(exporter.get())] * 20)
        assert len(pages) == 20
        assert {page.value('rtorrent_rpc_requests_total{call="summary"}') for page in pages} <= {5.0, 10.0}


def test_an_exporter_without_a_job_idles_without_a_port(short_folder: Path) -> None:
    exporter = ExporterProcess(short_folder / "c", "scgi:///nowhere", active=False)
    exporter.start(wait=False)
    try:
        eventually(lambda: "idling" in exporter.log, 20)
        assert not exporter.answers()
        assert exporter.running
        assert exporter.stop() == 0
    finally:
        exporter.__exit__(None, None, None)


def test_a_port_in_use_is_logged_once_and_opened_when_free(short_folder: Path) -> None:
    exporter = ExporterProcess(short_folder / "c", "scgi:///nowhere")
    taken = socket.create_server(("127.0.0.1", exporter.port))
    exporter.start(wait=False)
    try:
        eventually(lambda: "another program listens there" in exporter.log, 20)
        taken.close()
        eventually(exporter.answers, 20)
        assert exporter.log.count("another program listens there") == 1
    finally:
        exporter.__exit__(None, None, None)


def test_an_address_reachable_from_other_machines_is_a_warning(short_folder: Path) -> None:
    with ExporterProcess(short_folder / "c", "scgi:///nowhere", extra="job.exporter.address = 0.0.0.0") as exporter:
        eventually(lambda: "can be reached from other machines" in exporter.log)
        assert "WARN" in exporter.log


def test_a_new_port_is_opened_on_hup(short_folder: Path) -> None:
    with ExporterProcess(short_folder / "c", "scgi:///nowhere") as exporter:
        assert exporter.process is not None
        old, exporter.port = exporter.port, ExporterProcess(short_folder / "d", "scgi:///x").port
        ini = short_folder / "c" / "torque.ini"
        ini.write_text(ini.read_text().replace(str(old), str(exporter.port)))
        os.kill(exporter.process.pid, signal.SIGHUP)
        eventually(exporter.answers, 20)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", old)) != 0


def test_it_stops_immediately_during_a_scrape(short_folder: Path) -> None:
    path = short_folder / "hung.sock"
    with (
        _listener(path, lambda client: None),
        ExporterProcess(short_folder / "c", f"scgi://{path}") as exporter,
        socket.create_connection(("127.0.0.1", exporter.port)) as client,
    ):
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        eventually(exporter.answers)
        began = time.monotonic()
        assert exporter.stop() == 0
        assert time.monotonic() - began < bound(1.0)
