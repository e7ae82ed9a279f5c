"""Metafiles that are sent to the panel: all that are good are added, and each one that is not is named."""

import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from demo.metafiles import make_metafile
from pyrotorque.configuration import Configuration, adopt
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from tests.configured import configured
from tests.panel_scene import PanelScene, Reply, panel_scene
from tests.waiting import eventually

ADD = "/g/main/metafiles/add"
API = "/api/v1/groups/main/metafiles"
BOUNDARY = "a-boundary"
MAGNET = "magnet:?xt=urn:btih:" + "ab" * 20


@pytest.fixture
def watch(layout: Layout) -> Path:
    root = layout.config_dir / "watch"
    root.mkdir(parents=True)
    layout.prepare()
    text = f"[TORQUE]\njob.treewatch.active = True\njob.treewatch.path = {root}\n"
    adopt(Configuration(configured(layout.config_dir, text).settings, layout, Options()))
    return root


@pytest.fixture
def scene(layout: Layout, watch: Path) -> Iterator[PanelScene]:
    with panel_scene(layout) as made:
        yield made


def send(scene: PanelScene, cookie: str, files: Mapping[str, bytes], magnet: str = "") -> Reply:
    """As a browser sends the form."""
    fields = {"token": scene.form_token(cookie), "back": "/metafiles", "magnet": magnet, "folder": ""}
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    )
    for name, content in files.items():
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Origin": scene.origin, "Cookie": cookie}
    return scene.request("POST", ADD, kind, body + f"--{BOUNDARY}--\r\n".encode())


def sentence(scene: PanelScene, cookie: str) -> str:
    page = scene.request("GET", "/g/main/events", {"Cookie": cookie}).text
    return page.partition('id="notice">')[2].partition("</p>")[0]


def metafiles(count: int) -> dict[str, bytes]:
    return {f"{number}.torrent": make_metafile(f"Item {number}") for number in range(count)}


@pytest.mark.parametrize("count", [1, 2, 5, 6, 21, 200])
def test_many_metafiles_are_added_at_once(scene: PanelScene, watch: Path, count: int) -> None:
    cookie = scene.login()
    assert send(scene, cookie, metafiles(count)).status == 303
    assert len(list(watch.iterdir())) == count
    shown = sentence(scene, cookie)
    assert (f"added {count} metafiles to {watch}" in shown) == (count > 5), shown
    assert len(shown) < 1000


def test_more_than_can_be_sent_at_once_are_refused_with_the_number(scene: PanelScene, watch: Path) -> None:
    reply = send(scene, scene.login(), metafiles(201))
    assert (reply.status, "more than 200 files" in reply.text) == (400, True)
    assert list(watch.iterdir()) == []


@pytest.mark.parametrize("bad", ["0.torrent", "2.torrent", "4.torrent"])
def test_one_that_is_no_metafile_is_named_and_keeps_no_other_away(scene: PanelScene, watch: Path, bad: str) -> None:
    cookie = scene.login()
    assert send(scene, cookie, metafiles(5) | {bad: b"<html>"}, MAGNET).status == 303
    shown = sentence(scene, cookie)
    assert f"not added: {bad}: this is not a metafile" in shown
    assert len(list(watch.iterdir())) == 5
    assert len(list(watch.glob("*.magnet"))) == 1


def test_a_magnet_link_that_is_none_keeps_no_metafile_away(scene: PanelScene, watch: Path) -> None:
    cookie = scene.login()
    send(scene, cookie, metafiles(2), "http://example.org/x")
    assert "not added: the magnet link: " in sentence(scene, cookie)
    assert len(list(watch.iterdir())) == 2


def test_of_many_that_are_bad_some_are_named(scene: PanelScene, watch: Path) -> None:
    cookie = scene.login()
    send(scene, cookie, dict.fromkeys(metafiles(9), b"x"))
    shown = sentence(scene, cookie)
    assert "4.torrent: " in shown
    assert "5.torrent: " not in shown
    assert shown.endswith("and 4 more")


def slow(scene: PanelScene, token: Mapping[str, str], path: str = API) -> socket.socket:
    """An upload whose body does not arrive."""
    made = scene.connect()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token['Authorization']}\r\n"
    made.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 90000\r\n\r\n{{".encode())
    return made


def api_status(scene: PanelScene, token: Mapping[str, str], name: str) -> int:
    body = msgspec.json.encode({"metafile": b64encode(make_metafile(name)).decode(), "folder": ""})
    return scene.request("POST", API, {**token, "Content-Type": "application/json"}, body).status


def test_uploads_of_one_caller_keep_out_no_other(scene: PanelScene, watch: Path) -> None:
    token, cookie = scene.token("act"), scene.login()
    waiting = [slow(scene, token) for _ in range(2)]
    eventually(lambda: api_status(scene, token, "Own") == 429, why="it has two uploads already")
    for _ in range(2):
        assert send(scene, cookie, metafiles(1)).status == 303
    for connection in waiting:
        connection.close()
    eventually(lambda: api_status(scene, token, "After them") == 200)


def test_uploads_of_all_callers_are_limited(scene: PanelScene, watch: Path) -> None:
    for name in ("one", "two"):
        token = {"Authorization": f"Bearer {scene.access.make_token(name, 'act', 0.0)}"}
        for _ in range(2):
            slow(scene, token)
        eventually(lambda token=token: api_status(scene, token, "Own") == 429)  # type: ignore[misc]
    assert send(scene, scene.login(), metafiles(1)).status == 429
