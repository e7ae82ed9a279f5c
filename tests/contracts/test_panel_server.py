"""The panel's web server against silent, slow and hostile clients; the unix socket; streams."""

import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.layout import Layout
from pyrotorque_panel.group_view import GroupView
from pyrotorque_panel.recent_events import STREAMS_PER_CALLER
from pyrotorque_panel.server import ListenError, PanelProtocol, listen_tcp, listen_unix
from tests.panel_scene import PanelScene, panel_scene
from tests.waiting import bound, eventually


class Hasty(PanelProtocol):
    """The same deadlines, shorter."""

    head_seconds = 1.5
    body_seconds = 2.0
    write_seconds = 2.0
    connections_max = 60


@pytest.fixture
def hasty(layout: Layout) -> Iterator[PanelScene]:
    layout.prepare()
    with panel_scene(layout, protocol=Hasty) as scene:
        yield scene


def is_closed(client: socket.socket) -> bool:
    """Whether the server has closed the connection, after what it may have sent."""
    client.settimeout(0.01)
    try:
        while client.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def is_refused(client: socket.socket, more: bytes) -> bool:
    """Whether the server has closed the connection, at the latest when more is sent."""
    if is_closed(client):
        return True
    client.settimeout(20)
    try:
        client.sendall(more)
    except OSError:
        return True
    return False


def head(scene: PanelScene, more: str = "") -> bytes:
    return f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{scene.port}\r\nOrigin: {scene.origin}\r\n{more}".encode()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: y\r\n",
    ],
    ids=["silent", "first line", "head"],
)
def test_a_client_that_does_not_complete_its_head_is_closed(hasty: PanelScene, sent: bytes) -> None:
    clients = [hasty.connect() for _ in range(20)]
    for client in clients:
        client.sendall(sent)
    eventually(lambda: all(is_closed(client) for client in clients))
    assert hasty.request("GET", "/-/healthy").status == 200


def test_a_dribbled_head_is_closed_too(hasty: PanelScene) -> None:
    client = hasty.connect()
    client.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
    begun = time.monotonic()
    eventually(lambda: is_refused(client, b"x"))
    assert time.monotonic() - begun < bound(10)


def test_a_dribbled_second_request_is_closed(hasty: PanelScene) -> None:
    """uvicorn's own timer ends with the first byte of the next request."""
    client = hasty.connect()
    client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    answer = b""
    while not answer.endswith(b"healthy\n"):
        answer += client.recv(65536)
    client.sendall(b"GET /-/hea")
    eventually(lambda: is_closed(client))


def test_a_body_that_does_not_arrive_is_closed(hasty: PanelScene) -> None:
    client = hasty.connect()
    client.sendall(head(hasty, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nlink="))
    eventually(lambda: is_closed(client))


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=x", "application/json", "text/x"]
)
def test_a_body_that_is_no_form_is_no_login(hasty: PanelScene, kind: str) -> None:
    for body in (b"", b"--x\r\n", b"{", b"\xff" * 100):
        headers = {"Content-Type": kind, "Origin": hasty.origin}
        assert hasty.request("POST", "/login", headers, body).status in (400, 403, 429)


def test_a_head_that_is_too_large_is_refused(hasty: PanelScene) -> None:
    client = hasty.connect()
    client.sendall(b"GET / HTTP/1.1\r\n")
    eventually(lambda: is_refused(client, b"X: " + b"x" * 8000 + b"\r\n"))


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\xff\xfe\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET /g/%00/%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_hostile_requests_change_nothing_for_others(hasty: PanelScene, text: bytes) -> None:
    client = hasty.connect()
    client.sendall(text)
    eventually(lambda: is_closed(client))
    assert hasty.request("GET", "/-/healthy").status == 200


def test_more_connections_than_allowed_close_the_oldest_silent_ones(layout: Layout) -> None:
    class Few(PanelProtocol):
        connections_max = 10

    layout.prepare()
    with panel_scene(layout, protocol=Few) as scene:
        clients = [scene.connect() for _ in range(30)]
        eventually(lambda: sum(is_closed(client) for client in clients) >= 20)
        assert scene.request("GET", "/-/healthy").status == 200


def test_the_unix_socket_has_its_mode_and_believes_the_proxy(layout: Layout, short_folder: Path) -> None:
    layout.prepare()
    path = short_folder / "p.sock"
    with panel_scene(layout, socket_path=path, auth_header="Remote-User") as scene:
        assert path.stat().st_mode & 0o777 == 0o660
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(path))
            client.sendall(b"GET /settings HTTP/1.1\r\nHost: box\r\nRemote-User: ann\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := client.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        # Loopback is every local user: the header means nothing there.
        assert scene.request("GET", "/settings", {"Remote-User": "ann"}).status == 303
        forged = {"Remote-User": "ann", "X-Forwarded-For": "unix", "Forwarded": "for=unix"}
        assert scene.request("GET", "/settings", forged).status == 303


def test_a_proxy_that_is_trusted_names_user_and_address(layout: Layout) -> None:
    layout.prepare()
    with panel_scene(layout, auth_header="Remote-User", trusted_proxies=("127.0.0.1",)) as scene:
        user = {"Remote-User": "ann", "X-Forwarded-For": "192.0.2.1, 198.51.100.7", "X-Forwarded-Proto": "https"}
        assert scene.request("GET", "/settings", user).status == 200
        assert scene.request("POST", "/settings/tokens", user | {"Origin": scene.origin}, "name=x").status == 403
        link = scene.access.make_link()
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": scene.origin}
        reply = scene.request("POST", "/login", kind | user, f"link={link}")
        assert "; Secure" in reply.headers["set-cookie"]
        (session,) = scene.access.sessions(time.time())
        assert session.address == "198.51.100.7"


@pytest.mark.parametrize("address", ["::", "::ffff:127.0.0.1"])
def test_a_proxy_is_trusted_by_its_ipv4_address_whatever_the_panel_listens_on(layout: Layout, address: str) -> None:
    layout.prepare()
    with panel_scene(layout, address=address, auth_header="Remote-User", trusted_proxies=("127.0.0.1",)) as scene:
        named = {"Remote-User": "ann", "X-Forwarded-For": "::ffff:198.51.100.7", "X-Forwarded-Proto": "https"}
        assert scene.request("GET", "/settings", named).status == 200
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": scene.origin}
        reply = scene.request("POST", "/login", kind | named, f"link={scene.access.make_link()}")
        assert "; Secure" in reply.headers["set-cookie"]
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": scene.origin}
        scene.request("POST", "/login", kind, f"link={scene.access.make_link()}")
        assert [each.address for each in scene.access.sessions(time.time())] == ["198.51.100.7", "127.0.0.1"]


def test_an_ipv4_client_that_is_no_proxy_is_trusted_on_no_address(layout: Layout) -> None:
    layout.prepare()
    with panel_scene(layout, address="::", auth_header="Remote-User", trusted_proxies=("192.0.2.7", "::1")) as scene:
        assert scene.request("GET", "/settings", {"Remote-User": "ann"}).status == 303


@pytest.mark.parametrize(
    ("lines", "address", "is_secure"),
    [
        (("X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 198.51.100.7"), "198.51.100.7", False),
        (("X-Forwarded-For: 192.0.2.1", "x-forwarded-for: 192.0.2.2, 198.51.100.7"), "198.51.100.7", False),
        (("X-Forwarded-For: 198.51.100.7:4711",), "198.51.100.7", False),
        (('X-Forwarded-For: 192.0.2.1, [2001:DB8:0::1]:4711',), "2001:db8::1", False),
        (("X-Forwarded-For: 192.0.2.1, unknown",), "unix", False),
        (("X-Forwarded-For: <b>\x9b2J</b>",), "unix", False),
        (("X-Forwarded-For: 192.0.2.1,",), "unix", False),
        (("X-Real-IP: 192.0.2.1", "Forwarded: for=192.0.2.1;proto=https"), "unix", False),
        (("X-Forwarded-Proto: https", "X-Forwarded-Proto: http"), "unix", False),
        (("X-Forwarded-Proto: http, HTTPS",), "unix", True),
    ],
)  # fmt: skip
def test_of_several_proxies_only_the_last_word_is_believed(
    layout: Layout, short_folder: Path, lines: tuple[str, ...], address: str, is_secure: bool
) -> None:
    """HAProxy adds a line of its own after that of its client; others append to one line, or add a port."""
    layout.prepare()
    path = short_folder / "p.sock"
    with panel_scene(layout, socket_path=path) as scene, socket.socket(socket.AF_UNIX) as client:
        body = f"link={scene.access.make_link()}"
        head = ["POST /login HTTP/1.1", "Host: box", "Origin: http://box", "Connection: close", *lines]
        head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}", "", body]
        client.settimeout(20)
        client.connect(str(path))
        client.sendall("\r\n".join(head).encode("latin-1"))
        answer = b""
        while part := client.recv(65536):
            answer += part
        assert answer.startswith(b"HTTP/1.1 303")
        assert (b"; Secure" in answer) is is_secure
        (session,) = scene.access.sessions(time.time())
        assert session.address == address


def test_a_socket_of_another_program_is_not_removed(short_folder: Path) -> None:
    path = short_folder / "p.sock"
    path.write_text("data")
    with pytest.raises(ListenError, match="is not a socket"):
        listen_unix(path, 0o660)
    assert path.read_text() == "data"
    path.unlink()
    listener = listen_unix(path, 0o600)
    try:
        with pytest.raises(ListenError, match="another program listens"):
            listen_unix(path, 0o600)
    finally:
        listener.close()
    again = listen_unix(path, 0o600)
    again.close()
    os.unlink(path)


def test_a_socket_in_a_folder_of_everyone_is_refused(tmp_path: Path) -> None:
    """Another user could listen there while the panel does not run."""
    tmp_path.chmod(0o1777)
    with pytest.raises(ListenError, match="every user of this machine can write"):
        listen_unix(tmp_path / "p.sock", 0o600)


def test_a_folder_of_the_socket_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=rf"panel\.socket: there is no folder {tmp_path}/run: docs/panel\.md shows"):
        listen_unix(tmp_path / "run" / "p.sock", 0o660)
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_says_what_to_do() -> None:
    listener = listen_tcp("127.0.0.1", 0)
    try:
        with pytest.raises(ListenError, match=r"set another panel\.port"):
            listen_tcp("127.0.0.1", listener.getsockname()[1])
    finally:
        listener.close()


class Stream:
    """A client of the stream of events."""

    def __init__(
        self, scene: PanelScene, headers: dict[str, str], path: str = "/api/v1/groups/main/events?type=TorrentLoaded"
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", scene.port, timeout=bound(20))
        scene.clients.callback(self.close)
        accept = {"Accept": "text/event-stream"}
        self._connection.request("GET", path, headers=accept | headers)
        self._answer = self._connection.getresponse()
        scene.clients.callback(self._answer.close)
        self.status = self._answer.status

    def lines(self, until: bytes) -> list[bytes]:
        found: list[bytes] = []
        while line := self._answer.readline():
            found.append(line)
            if until in line:
                break
        return found

    def close(self) -> None:
        self._connection.close()


def test_a_stream_has_new_events_and_is_ended_with_the_server(layout: Layout) -> None:
    layout.prepare()
    with panel_scene(layout) as scene:
        stream = Stream(scene, scene.token("read"))
        assert b": open\n" in stream.lines(b": open")
        for kind in ("TorrentErased", "TorrentLoaded"):
            scene.streams.publish("main", {"id": 7, "type": kind, "at": 1.0, "name": "one"})
        lines = stream.lines(b'data: {"id"')
        assert b"id: 7\n" in lines
        assert b"event: TorrentLoaded\n" in lines
        assert not [line for line in lines if b"Erased" in line]
        Stream(scene, scene.token("act"))
        scene.streams.end()
        assert b"event: gap\n" in stream.lines(b"event: gap")


ENDS: dict[str, Callable[[PanelScene], object]] = {
    "the token is removed": lambda scene: scene.access.remove_token("test read"),
    "the token is replaced": lambda scene: scene.access.make_token("test read", "read", 0.0),
    "all sessions end": lambda scene: scene.access.end_all_sessions(),
    "a new password": lambda scene: scene.access.set_password("a$b"),
    "the session ends": lambda scene: scene.access.end_session(1),
}


@pytest.mark.parametrize("change", ENDS)
def test_a_stream_ends_with_its_permission(layout: Layout, change: str) -> None:
    layout.prepare()
    with panel_scene(layout) as scene:
        token, session = scene.token("read"), {"Cookie": scene.login()}
        streams = {
            "token": [Stream(scene, token), Stream(scene, token)],
            "session": [Stream(scene, session, "/g/main/live"), Stream(scene, session, "/g/main/live")],
        }
        of_another = Stream(scene, scene.token("act"))
        for stream in (*streams["token"], *streams["session"], of_another):
            assert stream.status == 200
            stream.lines(b": open")
        ends = "token" if "token" in change else "session"
        ENDS[change](scene)
        for _ in range(3):
            scene.streams.publish("main", {"id": 7, "type": "TorrentLoaded", "at": 1.0, "name": "secret"})
        for stream in streams[ends]:
            assert b"".join(stream.lines(b"never")).strip() == b"", "no event, and an end"
        for stream in (*streams["session" if ends == "token" else "token"], of_another):
            assert stream.lines(b"data: ")[-1:] != [b"data: {}\n"]
        assert scene.streams.count == 3


def test_a_stream_that_nothing_happens_in_ends_with_its_permission(layout: Layout) -> None:
    layout.prepare()
    with panel_scene(layout) as scene:
        streams = [Stream(scene, {"Cookie": scene.login()}, "/g/main/live") for _ in range(5)]
        for number, stream in enumerate(streams, 1):
            stream.lines(b": open")
            assert scene.access.end_session(number)
            assert stream.lines(b"never") == [b"\n"]


def test_a_stream_of_a_user_whom_a_proxy_names_ends_after_some_time(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.prepare()
    monkeypatch.setattr("pyrotorque_panel.gate.PROXIED_SECONDS", -1.0)
    with panel_scene(layout, auth_header="Remote-User", trusted_proxies=("127.0.0.1",)) as scene:
        stream, session = Stream(scene, {"Remote-User": "ann"}, "/g/main/live"), {"Cookie": scene.login()}
        other = Stream(scene, session, "/g/main/live")
        for each in (stream, other):
            each.lines(b": open")
        scene.streams.publish("main", {"id": 7, "type": "TorrentLoaded", "at": 1.0})
        assert stream.lines(b"never") == [b"\n"]
        assert b"event: changed\n" in other.lines(b"event: changed")


def test_streams_are_limited_for_each_caller(layout: Layout) -> None:
    layout.prepare()
    with panel_scene(layout) as scene:
        token = scene.token("read")
        streams = [Stream(scene, token) for _ in range(STREAMS_PER_CALLER + 1)]
        assert [stream.status for stream in streams] == [200] * STREAMS_PER_CALLER + [429]
        assert Stream(scene, scene.token("act")).status == 200
        scene.streams.end()
        eventually(lambda: scene.streams.count == 0)


def test_the_server_waits_for_no_stream(layout: Layout) -> None:
    layout.prepare()
    with panel_scene(layout) as scene:
        tokens = [scene.token("read"), scene.token("act")]
        streams = [Stream(scene, token) for token in tokens for _ in range(STREAMS_PER_CALLER)]
        assert {stream.status for stream in streams} == {200}
        begun = time.monotonic()
    assert time.monotonic() - begun < bound(2.0)


def test_the_stream_of_a_slow_reader_ends(layout: Layout) -> None:
    layout.prepare()
    with panel_scene(layout) as scene:
        stream = Stream(scene, scene.token("read"))
        stream.lines(b": open")
        for number in range(1, 20_000):
            scene.streams.publish("main", {"id": number, "type": "TorrentLoaded", "at": 1.0, "name": "x" * 500})
        eventually(lambda: scene.streams.count == 0)
        assert b"event: gap\n" in stream.lines(b"event: gap")


def test_a_caller_cannot_occupy_all_threads(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stolen read token that asks for what takes long delays itself only."""
    layout.prepare()
    released = threading.Event()

    def jobs(_: GroupView) -> list[dict[str, Any]]:
        released.wait(bound(30))
        return []

    monkeypatch.setattr(GroupView, "jobs", jobs)
    with panel_scene(layout) as scene, ThreadPoolExecutor(70) as pool:
        token = scene.token("read")
        asked = [pool.submit(scene.request, "GET", "/api/v1/groups/main/jobs", token) for _ in range(70)]
        try:
            eventually(lambda: [each for each in asked if each.done() and each.result().status == 429], 20)
            assert scene.request("GET", "/api/v1/groups/main/events", scene.token("act")).status == 200
            assert scene.request("GET", "/settings", {"Cookie": scene.login()}).status == 200
        finally:
            released.set()
        assert {each.result().status for each in asked} == {200, 429}


def test_the_end_waits_for_no_handler_body_or_reader(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    layout.prepare()
    released = threading.Event()

    def jobs(_: GroupView) -> list[dict[str, Any]]:
        released.wait(bound(30))
        return []

    monkeypatch.setattr(GroupView, "jobs", jobs)
    with panel_scene(layout) as scene:
        token = scene.token("read")["Authorization"]
        for _ in range(20):
            scene.connect().sendall(head(scene, "Content-Length: 100\r\n\r\nlink="))
        waiting = scene.connect()
        waiting.sendall(
            f"GET /api/v1/groups/main/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n\r\n".encode()
        )
        eventually(lambda: [each for each in threading.enumerate() if each.name == "handler"])
    try:
        assert [each for each in threading.enumerate() if each.name == "handler"], "it still waits"
    finally:
        released.set()


def test_a_sentence_about_an_action_is_shown_until_the_next_page(layout: Layout) -> None:
    layout.prepare()
    with panel_scene(layout) as scene:
        cookie = scene.login()

        def is_shown(**more: str) -> bool:
            return "there is no such token" in scene.request("GET", "/settings", {"Cookie": cookie, **more}).text

        fields = {"token": scene.form_token(cookie), "name": "none", "back": "/settings"}
        assert scene.form("/settings/tokens/remove", fields, cookie).status == 303
        refresh = {"HX-Request": "true", "HX-Source": "div#stream"}
        assert is_shown(**refresh), "of the page before, while the form is posted"
        assert is_shown(), "the page that follows"
        assert is_shown(**refresh)
        assert not is_shown()
        assert not is_shown(**refresh)
