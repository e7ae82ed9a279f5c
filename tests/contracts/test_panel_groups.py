"""Several groups in one panel: each has its own pages, events and actions; one that is away is shown as away."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.settings import load
from pyrotorque.store import open_in_memory
from pyrotorque_panel import page_renderer
from pyrotorque_panel.migrations import MIGRATIONS
from pyrotorque_panel.watched_groups import group_name, watched_groups
from tests.panel_scene import PanelScene, panel_scene
from tests.waiting import eventually


@pytest.fixture
def scene(short_folder: Path) -> Iterator[PanelScene]:
    layouts = [Layout.below(short_folder / name) for name in ("one", "two")]
    for layout in layouts:
        layout.prepare()
    with panel_scene(layouts[0], others={"two": layouts[1]}) as made:
        yield made


def test_each_page_of_each_group_is_served_and_names_the_other(scene: PanelScene) -> None:
    cookie = {"Cookie": scene.login()}
    for group in ("main", "two"):
        for path in ("", "metafiles", "events", "metafiles/add"):
            page = scene.request("GET", f"/g/{group}/{path}", cookie)
            assert page.status == 200
            assert f'href="/g/{group}/" aria-current="true"' in page.text
            assert page.text.count(">away</span>") == 2, "none of them runs"
    assert scene.request("GET", "/g/three/", cookie).status == 404
    assert scene.request("GET", "/", cookie).headers["location"] == "/g/main/"


def test_a_group_that_is_away_needs_one_thing_and_says_what_starts_it(scene: PanelScene) -> None:
    found = scene.request("GET", "/api/v1/groups", scene.token("read")).json["groups"]
    assert [(each["group"], each["well"], each["needs"]) for each in found] == [("main", False, 1), ("two", False, 1)]
    assert "starts it" in found[1]["first_need"]
    assert "/two`" in found[1]["first_need"].replace(" starts it", "")
    page = scene.request("GET", "/g/two/", {"Cookie": scene.login()}).text
    assert "group two" in page


def test_events_of_one_group_do_not_reach_the_streams_of_another(scene: PanelScene) -> None:
    streams: dict[str, socket.socket] = {}
    token = scene.token("read")["Authorization"]
    for group in ("main", "two"):
        client = scene.connect()
        client.sendall(
            f"GET /api/v1/groups/{group}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        streams[group] = client
    eventually(lambda: scene.streams.count == 2, 20)
    scene.streams.publish("two", {"id": 7, "type": "TorrentLoaded", "at": 1.0, "name": "only two"})
    scene.streams.publish("main", {"id": 8, "type": "TorrentLoaded", "at": 1.0, "name": "only main"})
    for group, client in streams.items():
        read = b""
        while b"only" not in read:
            part = client.recv(4096)
            assert part
            read += part
        assert f"only {group}".encode() in read
        assert b"only main" not in read or b"only two" not in read


def test_events_of_each_group_are_stored_apart(short_folder: Path) -> None:
    for name in (".pyroscope", ".pyroscope-two"):
        folder = short_folder / name
        folder.mkdir()
        others = f"{short_folder}/.pyroscope-two, {short_folder}/gone"
        (folder / "torque.ini").write_text(f"[TORQUE]\npanel.active = True\npanel.groups = {others}\n")
    store = open_in_memory(MIGRATIONS, "test")
    own = Layout.below(short_folder / ".pyroscope")
    settings = load(own.config_dir, Options()).settings
    found = watched_groups(own, settings, store)
    assert [each.name for each in found] == ["main", "two"]
    with store.transaction() as db:
        made = [each.events.add(db, {"type": each.name, "at": 1.0}) for each in found]
    for each, event in zip(found, made, strict=True):
        each.events.commit(event)
    again = watched_groups(own, settings, store)
    assert [[event["type"] for event in each.events.newest(9)] for each in again] == [["main"], ["two"]]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/home/me/.pyroscope", "main"),
        ("/home/me/.pyroscope-two", "two"),
        ("/srv/Linux ISOs/", "Linux-ISOs"),
        ("/", "main"),
    ],
)
def test_the_name_of_a_group_is_that_of_its_folder(folder: str, name: str) -> None:
    assert group_name(folder) == name


def test_the_sentence_about_an_action_stays_for_the_page_after_it_and_its_refreshes(scene: PanelScene) -> None:
    cookie = {"Cookie": scene.login()}
    by_script = cookie | {"HX-Request": "true", "HX-Source": "form"}
    refresh = by_script | {"HX-Source": "div#stream"}
    text = "choose a metafile, or paste a magnet link"

    def shows(headers: dict[str, str]) -> bool:
        return text in scene.request("GET", "/g/main/metafiles/add", headers).text

    fields = {"token": scene.form_token(cookie["Cookie"])}
    for _ in range(2):
        assert scene.form("/g/main/metafiles/add", fields, cookie["Cookie"]).status == 303
        # A refresh of the page that the form was on must not use it up.
        assert [shows(refresh), shows(cookie), shows(refresh), shows(refresh)] == [True] * 4
        assert [shows(cookie), shows(cookie), shows(refresh)] == [False] * 3
    assert scene.form("/g/main/metafiles/add", fields, cookie["Cookie"]).status == 303
    assert [shows(refresh), shows(by_script), shows(refresh)] == [True] * 3, "the page after a form that htmx sent"
    assert [shows(cookie), shows(refresh)] == [False] * 2, "another page"


def test_the_sentence_about_an_action_is_on_a_page_that_takes_long(
    scene: PanelScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan of a clean-up takes many seconds on a busy machine: they count from the page that shows the sentence."""
    cookie = {"Cookie": scene.login()}
    by_script = cookie | {"HX-Request": "true", "HX-Source": "form"}
    refresh = by_script | {"HX-Source": "div#stream"}
    text = "choose a metafile, or paste a magnet link"
    fields = {"token": scene.form_token(cookie["Cookie"])}
    passed = 0.0
    clock = time.monotonic
    monkeypatch.setattr(page_renderer, "time", SimpleNamespace(monotonic=lambda: clock() + passed))

    def shows(headers: dict[str, str]) -> bool:
        return text in scene.request("GET", "/g/main/metafiles/add", headers).text

    assert scene.form("/g/main/metafiles/add", fields, cookie["Cookie"]).status == 303
    passed += 120
    assert [shows(refresh), shows(by_script)] == [True] * 2
    passed += 6
    assert shows(refresh)
    passed += 6
    assert not shows(refresh)
    assert scene.form("/g/main/metafiles/add", fields, cookie["Cookie"]).status == 303
    passed += 160
    assert [shows(refresh), shows(by_script), shows(cookie)] == [False] * 3, "it was not looked at for too long"
