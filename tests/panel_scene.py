"""A panel for tests: its application in the real web server on a free port, without the loop and other services."""

import http.client
import socket
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from pyrotorque.layout import Layout
from pyrotorque.settings.schema import PanelSettings
from pyrotorque.store import open_in_memory
from pyrotorque_panel.access import Access, AccessState
from pyrotorque_panel.app import PanelApp
from pyrotorque_panel.composition import PanelParts, make_app
from pyrotorque_panel.migrations import MIGRATIONS
from pyrotorque_panel.recent_events import Streams
from pyrotorque_panel.server import PanelProtocol, WebServer, listen_tcp, listen_unix
from pyrotorque_panel.watched_groups import WatchedGroup
from tests.waiting import bound, eventually


@dataclass(frozen=True)
class Reply:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class PanelScene:
    """The panel, and clients of it."""

    port: int
    app: PanelApp
    access: Access
    parts: PanelParts
    streams: Streams
    recorded: list[tuple[str, str, str, bool]]
    clients: ExitStack
    """Closed after the server."""

    def connect(self) -> socket.socket:
        """A connection of a client that does what the test wants."""
        made = self.clients.enter_context(socket.create_connection(("127.0.0.1", self.port), 20))
        made.settimeout(20)
        return made

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | str | None = None
    ) -> Reply:
        # A page may run two commands, which take seconds on a busy machine.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=bound(60))
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())
        finally:
            connection.close()

    def form(self, path: str, fields: Mapping[str, str], cookie: str = "", origin: str | None = None) -> Reply:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin or self.origin}
        if cookie:
            headers["Cookie"] = cookie
        return self.request("POST", path, headers, urlencode(fields))

    def login(self, address: str = "127.0.0.1") -> str:
        """The header Cookie of a new session."""
        now = time.time()
        secret = self.access.login_by_link(self.access.make_link(), address, "test", now)
        return f"{self.parts.cookie}={secret}"

    def form_token(self, cookie: str) -> str:
        page = self.request("GET", "/settings", {"Cookie": cookie}).text
        return page.partition('name="token" value="')[2].partition('"')[0]

    def token(self, scope: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access.make_token(f'test {scope}', scope, 0.0)}"}


@contextmanager
def panel_scene(
    layout: Layout,
    *,
    protocol: type[PanelProtocol] = PanelProtocol,
    socket_path: Path | None = None,
    others: Mapping[str, Layout] | None = None,
    **settings: Any,
) -> Generator[PanelScene]:
    """Serve until the block ends; `others` are further groups by their names."""
    store = open_in_memory(MIGRATIONS, "test")
    recorded: list[tuple[str, str, str, bool]] = []
    streams = Streams()
    access = Access(AccessState(), lambda: None)
    groups = [WatchedGroup("main", layout, store, None, is_own=True)]
    groups += [WatchedGroup(name, other, store, None, is_own=False) for name, other in (others or {}).items()]
    parts = PanelParts(
        settings=PanelSettings(active=True, name="main", socket=socket_path, **settings),
        groups=groups,
        access=access,
        streams=streams,
        record=lambda by, action, target, ok, text: recorded.append((by, action, target, ok)),
    )
    app = make_app(parts)
    listener = listen_tcp(parts.settings.address, 0)
    sockets: list[socket.socket] = [listener]
    if socket_path is not None:
        sockets.append(listen_unix(socket_path, 0o660))
    port = int(listener.getsockname()[1])
    server = WebServer(app, sockets, streams.end, protocol)
    server.start()
    with ExitStack() as clients:
        try:
            yield PanelScene(port, app, access, parts, streams, recorded, clients)
        finally:
            server.stop()
            eventually(lambda: not server.is_serving, why="it ends, however busy the machine is")
            store.close()
