"""What others on the same machine can try: cookies of their servers, bodies, many connections, files that block."""

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.metafiles import make_metafile
from pyrotorque.actions import Actor, additions
from pyrotorque.errors import ActionRefused
from pyrotorque.layout import Layout
from pyrotorque_panel.port import PanelPort
from pyrotorque_panel.server import PanelProtocol
from tests.configured import configured
from tests.panel_scene import PanelScene, panel_scene
from tests.waiting import bound, eventually

FOREIGN = (
    "a/b=1",
    'prefs={"a": 1}',
    "msg=hello world",
    "x=a;b c=d",
    "=novalue",
    "novalue",
    "foo=[1, 2]",
    'x="unclosed',
    "pyrotorque_theme=dark; a/b=1",
    "expires=1; path=/",
)
"""Cookies of other servers on this host name, which ignore ports."""


@pytest.fixture
def scene(layout: Layout) -> Iterator[PanelScene]:
    layout.prepare()
    with panel_scene(layout) as made:
        yield made


@pytest.mark.parametrize("foreign", FOREIGN)
def test_cookies_of_other_servers_lock_no_one_out(
    scene: PanelScene, foreign: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = scene.login()
    name = own.partition("=")[0]
    for header in (f"{foreign}; {own}", f"{own}; {foreign}", f"{name}=tossed; {own}", f"{own}; {name}=tossed"):
        assert scene.request("GET", "/settings", {"Cookie": header}).status == 200, header
    assert scene.request("GET", "/login", {"Cookie": foreign}).status == 200
    assert scene.request("GET", "/settings", {"Cookie": foreign}).status == 303
    assert "Traceback" not in caplog.text


def test_deep_json_is_refused(scene: PanelScene) -> None:
    headers = scene.token("act") | {"Content-Type": "application/json"}
    for body in ("[" * 60_000, '{"a":' * 30_000):
        reply = scene.request("POST", "/api/v1/groups/main/magnets", headers, body)
        assert reply.status == 400
        assert "content-security-policy" in reply.headers


def test_two_lengths_of_a_body_are_refused_and_end_the_connection(scene: PanelScene) -> None:
    client = scene.connect()
    client.sendall(
        f"POST /login HTTP/1.1\r\nHost: 127.0.0.1:{scene.port}\r\nOrigin: {scene.origin}\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    )
    received = b""
    while part := client.recv(65536):
        received += part
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"400"]


def test_an_aborted_body_is_no_error(scene: PanelScene, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", scene.port), 20) as client:
            client.sendall(
                b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nContent-Length: 100\r\n\r\n"
            )
            time.sleep(0.05)
    assert scene.request("GET", "/-/healthy").status == 200
    assert "Traceback" not in caplog.text
    assert "ClientDisconnect" not in caplog.text


@pytest.mark.parametrize(
    "rest",
    [
        b"Transfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nzz\r\nabc\r\n",
        b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 10\r\n\r\n--y\r\nabcde",
    ],
    ids=["a bad chunk", "a wrong boundary"],
)
def test_a_body_without_sense_writes_nothing_to_the_log(
    scene: PanelScene, caplog: pytest.LogCaptureFixture, rest: bytes
) -> None:
    client = scene.connect()
    client.sendall(b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n" + rest)
    assert client.recv(20).startswith(b"HTTP/1.1 400")
    assert scene.request("GET", "/-/healthy").status == 200
    assert caplog.text == ""


def _ignore(*_: object) -> None:
    pass


def test_a_folder_that_became_a_link_takes_no_metafile(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another user who may write into a watched folder replaces it after it was listed."""
    tree, elsewhere = tmp_path / "tree", tmp_path / "elsewhere"
    (tree / "shared").mkdir(parents=True)
    elsewhere.mkdir()
    layout.config_dir.mkdir(exist_ok=True)
    text = f"[TORQUE]\njob.treewatch.active = True\njob.treewatch.path = {tree}\n"
    settings = configured(layout.config_dir, text).settings
    monkeypatch.setattr(additions, "last_good", lambda _: settings)  # pyright: ignore[reportUnknownLambdaType]
    actor = Actor(layout, "test", record=_ignore)
    assert additions.add_metafile(actor, make_metafile("One"), str(tree / "shared")).ok
    listed = additions.watched_folders(layout)
    monkeypatch.setattr(additions, "watched_folders", lambda _: listed)  # pyright: ignore[reportUnknownLambdaType]
    shutil.rmtree(tree / "shared")
    (tree / "shared").symlink_to(elsewhere)
    with pytest.raises(ActionRefused, match="cannot write into"):
        additions.add_metafile(actor, make_metafile("Two"), str(tree / "shared"))
    assert list(elsewhere.iterdir()) == []


def test_a_link_logs_in_however_many_passwords_were_wrong(layout: Layout) -> None:
    layout.prepare()
    with panel_scene(layout) as scene:
        replies = [scene.form("/login", {"password": "wrong"}) for _ in range(6)]
        assert (reply := replies[-1]).status == 429
        assert "`pyrotorque panel`" in reply.text
        assert scene.form("/login", {"link": scene.access.make_link()}).status == 303


def test_incomplete_bodies_do_not_exceed_the_limit_of_connections(layout: Layout) -> None:
    class Few(PanelProtocol):
        connections_max = 20

    layout.prepare()
    before = len(os.listdir("/proc/self/fd"))
    with panel_scene(layout, protocol=Few) as scene, ExitStack() as stack:
        for _ in range(150):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", scene.port), 20))
            client.sendall(
                b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nContent-Length: 1000\r\n\r\nx"
            )
        assert scene.request("GET", "/-/healthy").status == 200
        # Both ends of each connection are in this process.
        eventually(lambda: len(os.listdir("/proc/self/fd")) - before < 150 + 40)


def test_a_pipe_in_place_of_a_watch_ini_stops_no_page(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = layout.config_dir / "tree"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "watch.ini")
    monkeypatch.setattr(additions, "watched_folders", lambda _: [str(folder)])  # pyright: ignore[reportUnknownLambdaType]
    begun = time.monotonic()
    assert additions.folder_labels(layout) == {str(folder): ""}
    assert time.monotonic() - begun < bound(5)


def test_the_port_stays_ours_while_the_configuration_changes(layout: Layout) -> None:
    """Else another user could take it between two servers, and receive the cookies of open pages."""
    layout.prepare()
    with panel_scene(layout) as scene:
        app = scene.app
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = int(free.getsockname()[1])
    settings = configured(layout.config_dir, f"[TORQUE]\npanel.active = True\npanel.port = {number}\n").settings.panel
    port = PanelPort(lambda _: app)
    try:
        port.open(settings, 0.0)
        assert port.is_open
        port.stop_serving()
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", number))
        port.open(settings, 10.0)
        assert port.is_open
    finally:
        port.close()
    socket.create_server(("127.0.0.1", number)).close()
