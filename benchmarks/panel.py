"""The panel beside 10,000 items: memory, first page, an event in a browser, its end; also among hostile clients."""

import http.client
import os
import re
import signal
import socket
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, milliseconds, show
from benchmarks.filled import fill, scratch
from demo.group import Group, free_port
from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bus.client import ask
from pyrotorque.layout import Layout
from pyrotorque.requests import MakeLoginLink
from tests.browser import Visitor, chromium, visitor

TORQUE_INI: Final = """\
[TORQUE]
scgi_url = {url}
job.queue.active       = True
job.queue.schedule     = hour=4
job.treewatch.active   = True
job.treewatch.path     = {watch}
job.exporter.port      = {exporter}
panel.active           = True
panel.name             = main
panel.port             = {port}
"""
_STREAMS: Final = 50
_HOSTILE: Final = 300
_FRESH: Final = 1.2  # seconds: answers of services are kept for one
_WARM_UP: Final = 20.0
# Notes when a text first appears on the page, on the clock of the events.
_OBSERVE: Final = """name => new Promise(resolve => {
    const seen = () => document.body.textContent.includes(name) && resolve(Date.now() / 1000);
    new MutationObserver(seen).observe(document, {childList: true, subtree: true, characterData: true});
    seen();
})"""


class Client:
    """A browser's session, without a browser."""

    def __init__(self, port: int, link: str) -> None:
        self.port = port
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{port}"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/login", link.partition("?")[2], kind)
        self.cookie = str(connection.getresponse().headers["Set-Cookie"]).partition(";")[0]
        connection.close()

    def seconds(self, path: str) -> float:
        """How long a page takes, from the connection to its last byte."""
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}")
        return time.monotonic() - began

    def stream(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/g/main/live", headers={"Cookie": self.cookie})
        if connection.getresponse().status != 200:
            raise RuntimeError("a stream was refused")
        return connection


def measure(count: int = 10_000, rounds: int = 12) -> list[Figure]:
    """Memory first, then times alone and among hostile clients, then its end with open streams."""
    with scratch() as folder, PrivateRTorrent(folder / "rt") as rtorrent:
        fill(rtorrent, count)
        watch, port = folder / "watch", free_port()
        watch.mkdir()
        ini = TORQUE_INI.format(url=rtorrent.url, watch=watch, port=port, exporter=free_port())
        with Group(folder / "c", ini) as group, ExitStack() as streams:
            layout = Layout.below(group.config_dir)

            def client() -> Client:
                return Client(port, str(ask(layout, "panel", MakeLoginLink(by="benchmark"), timeout=60).data["link"]))

            time.sleep(_WARM_UP)
            pid = group.pid("panel")
            idle = _share(pid)
            clients = [client() for _ in range(7)]
            alone = _times(clients[0], watch, port, "alone", rounds)
            with hostile(port):
                among = _times(clients[0], watch, port, "among", rounds)
            for number in range(_STREAMS):
                streams.callback(clients[number // 8].stream().close)
            with hostile(port):
                time.sleep(2.0)
                busy = _share(pid)
                end = _end(pid)
    return [*_memory(idle, busy), *_figures("", alone), *_figures(f", {_HOSTILE} hostile clients", among), *_stop(end)]


def _times(client: Client, watch: Path, port: int, name: str, rounds: int) -> tuple[list[float], list[float]]:
    """Of the first page, and from an event to its text in a browser."""
    pages: list[float] = []
    for _ in range(rounds):
        time.sleep(_FRESH)
        pages.append(client.seconds("/g/main/"))
    with chromium() as browser, visitor(browser, f"http://127.0.0.1:{port}", client.cookie) as person:
        person.open("/g/main/events")
        person.page.locator("#live").get_by_text("live", exact=True).wait_for()
        events = [_visible(person, watch, f"Bench {name} {number}") for number in range(rounds)]
    return pages, events


def _visible(person: Visitor, watch: Path, name: str) -> float:
    """Seconds from the time of the event TorrentLoaded to the change of the page."""
    time.sleep(_FRESH)
    person.page.evaluate(f"name => {{ window.seenAt = ({_OBSERVE})(name) }}", name)
    before = time.time()
    (watch / f"{name}.torrent").write_bytes(make_metafile(name))
    seen = float(person.page.evaluate("() => window.seenAt"))
    return seen - before


@contextmanager
def hostile(port: int) -> Generator[None]:
    """A third says nothing, a third sends a head bit by bit, a third a body; all come back when they are closed."""
    import threading

    stopped = threading.Event()
    begins: Sequence[Callable[[], bytes]] = (
        lambda: b"",
        lambda: b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        lambda: b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nContent-Length: 9000\r\n\r\n",
    )

    def run() -> None:
        clients: dict[int, socket.socket] = {}
        while not stopped.wait(0.2):
            for number in range(_HOSTILE):
                try:
                    if number not in clients:
                        clients[number] = socket.create_connection(("127.0.0.1", port), 1)
                        clients[number].sendall(begins[number % 3]())
                    elif number % 3:
                        clients[number].sendall(b"x")
                    else:
                        clients[number].getpeername()
                except OSError:
                    clients.pop(number).close() if number in clients else None
        for each in clients.values():
            each.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    time.sleep(3.0)
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _end(pid: int) -> float:
    """Seconds from SIGTERM to the end of the process."""
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    while Path(f"/proc/{pid}/stat").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]:
        time.sleep(0.002)
    return time.monotonic() - began


def _share(pid: int) -> float:
    """MiB of memory of its own, with its part of what is shared (proc_pid_smaps)."""
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def _memory(idle: float, busy: float) -> list[Figure]:
    return [
        Figure("memory (PSS) of the panel, idle", f"{idle:.1f} MiB", "", "≤ 45 MiB", idle <= 45.0),
        Figure(
            f"the same after use, with {_STREAMS} streams and {_HOSTILE} hostile clients",
            f"{busy:.1f} MiB",
            "",
            "≤ 60 MiB",
            busy <= 60.0,
        ),
    ]


def _figures(where: str, times: tuple[list[float], list[float]]) -> list[Figure]:
    pages, events = times
    return [
        Figure(f"first page{where}", milliseconds(pages), "", "median ≤ 150 ms", statistics.median(pages) <= 0.15),
        Figure(
            f"metafile written to its event in a browser{where}",
            milliseconds(events),
            "with the load",
            "median ≤ 300 ms",
            statistics.median(events) <= 0.3,
        ),
    ]


def _stop(seconds: float) -> list[Figure]:
    what = f"SIGTERM to its end with {_STREAMS} streams and {_HOSTILE} hostile clients"
    return [Figure(what, f"{seconds * 1e3:.0f} ms", "", "≤ 500 ms", seconds <= 0.5)]


if __name__ == "__main__":
    show("panel", measure())
