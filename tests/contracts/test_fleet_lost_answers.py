"""An answer of NATS that does not arrive means nothing: the same compare-and-set again finds out what was written."""

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pyrotorque.settings.schema import FleetSettings
from pyrotorque.store import open_store
from pyrotorque_fleet.claim_table import ClaimTable
from pyrotorque_fleet.claims import Claim, Metafacts, is_same_offer
from pyrotorque_fleet.exchange import Connected, Disconnected
from pyrotorque_fleet.forward import MIGRATIONS
from pyrotorque_fleet.link import Link
from pyrotorque_fleet.swaps import ClaimSwaps
from tests.nats import NatsServer
from tests.waiting import bound, eventually

pytestmark = pytest.mark.xdist_group("nats")


class AnswerProxy:
    """Between a client and a server: `swallows` what the server sends, or passes it on `delay` seconds later."""

    def __init__(self, port: int) -> None:
        self.swallows = False
        self.delay = 0.0
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._sockets += [client, server]
                threading.Thread(target=self._forward, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(65_536):
                if is_answer and self.swallows:
                    continue
                if is_answer and self.delay:
                    time.sleep(self.delay)
                target.sendall(chunk)
        for each in (source, target):
            each.close()

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            each.close()


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with tempfile.TemporaryDirectory(prefix="nats-") as folder, NatsServer(Path(folder)) as running:
        yield running


@pytest.fixture
def proxy(server: NatsServer) -> Iterator[AnswerProxy]:
    found = AnswerProxy(server.port)
    yield found
    found.close()


@pytest.fixture
def link(proxy: AnswerProxy) -> Iterator[Link]:
    found = Link(FleetSettings(servers=(proxy.url,), name="one"), lambda: None)
    found.start()
    eventually(lambda: isinstance(_newest(found), Connected), 60, why="it is connected")
    yield found
    found.close(5)


def _newest(link: Link) -> object:
    """The newest of connected and disconnected."""
    return next((each for each in reversed(list(link.received)) if isinstance(each, Connected | Disconnected)), None)


@pytest.fixture
def swaps(link: Link, tmp_path: Path) -> Iterator[ClaimSwaps]:
    store = open_store(tmp_path / "fleet.sqlite3", MIGRATIONS)
    yield ClaimSwaps(ClaimTable(store), link, lambda: None)
    store.close()


def claim(number: int) -> Claim:
    return Claim(
        info_hash=f"{number:040X}", sha256="0" * 64, length=100, job="treewatch", facts=Metafacts(name="n"),
        sender="one", offered=1.0, offer=str(number), state="offered",
    )  # fmt: skip


def _done(swaps: ClaimSwaps) -> bool:
    swaps.finish(time.monotonic())
    return not swaps.is_busy


def _stored(server: NatsServer) -> int:
    async def count() -> int:
        client = await server.connect()
        try:
            info = await client.jetstream(timeout=bound(10)).stream_info("KV_pyrotorque_claims")
        finally:
            await client.close()
        return int(info.state.last_seq)

    return asyncio.run(count())


def test_what_was_written_without_an_answer_is_found(server: NatsServer, proxy: AnswerProxy, swaps: ClaimSwaps) -> None:
    mine, certain = claim(1), list[str]()
    proxy.swallows = True
    swaps.swap(mine, 0, lambda: certain.append("first"))
    eventually(lambda: _stored(server) == 1, 30, why="the server has written it")
    eventually(lambda: _done(swaps), 60, why="the call was given up")
    assert certain == []
    assert swaps.table.get(mine.info_hash) is None, "nothing is known"
    proxy.swallows = False
    link = swaps.link
    assert isinstance(link, Link)
    eventually(lambda: isinstance(_newest(link), Connected), 60, why="it has a new connection")
    swaps.swap(mine, 0, lambda: certain.append("second"))
    eventually(lambda: _done(swaps), 60, why="that is refused, and the claim is read")
    assert certain == []
    found = swaps.table.get(mine.info_hash)
    assert found is not None
    assert is_same_offer(found[1], "one", mine.offer), "it is ours"
    assert _stored(server) == 1, "and was written once"


def test_late_answers_are_answers(server: NatsServer, proxy: AnswerProxy, swaps: ClaimSwaps) -> None:
    proxy.delay = 0.3
    certain: list[int] = []
    for number in range(1, 11):
        swaps.swap(claim(number), 0, lambda number=number: certain.append(number))  # type: ignore[misc]
    eventually(lambda: _done(swaps), 60, why="all are answered")
    assert sorted(certain) == list(range(1, 11))
    assert _stored(server) == 10
