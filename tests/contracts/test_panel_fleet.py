"""The panel's page and API of a fleet: groups, a search in all of them, and what is shown when there is no answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pyrotorque.errors import ServiceUnreachable
from pyrotorque.fleet_requests import FindInFleet, ListClaims
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, Request
from pyrotorque.settings.schema import FleetSettings, RTorrentSettings, Settings
from pyrotorque.settings.serialization import to_json
from pyrotorque.stored_configuration import stored_file
from pyrotorque_panel import group_view
from tests.panel_scene import PanelScene, panel_scene

API = "/api/v1/groups/main/fleet"
EVIL = "<script>alert(1)</script>"
ONE: dict[str, Any] = {
    "name": "one", "own": True, "state": "present", "seen": 0.0, "version": "1.1.0", "rtorrent": "0.16.17",
    "items": 12, "downloading": 1, "slots": 5, "down_rate": 1024, "up_rate": 0, "problems": [],
    "rooms": [{"path": "/srv", "free": 1 << 40, "size": 1 << 41}],
}  # fmt: skip
TWO = ONE | {
    "name": "two", "own": False, "state": "gone", "seen": 7200.0, "items": None, "downloading": None, "slots": None,
    "down_rate": None, "up_rate": None, "rooms": [], "problems": [f"watcher is FATAL {EVIL}"],
}  # fmt: skip
ITEM = {"info_hash": "A" * 40, "name": f"Debian {EVIL}", "size": 4096, "left": 1024, "is_active": False}

CLAIM = {
    "info_hash": "B" * 40, "state": "granted", "owner": "two", "sender": "one", "reason": "", "facts": {"name": EVIL}
}  # fmt: skip


@dataclass
class FakeFleet:
    """The fleet process: what it answers, or that it does not."""

    connected: bool = True
    reason: str = ""
    is_running: bool = True
    asked: list[Request] = field(default_factory=list[Request])
    answers: list[dict[str, Any]] = field(
        default_factory=lambda: [{"group": "two", "items": [ITEM], "more": 3, "problem": ""}]
    )

    def ask(self, layout: Layout, service: str, request: Request, timeout: float = 5.0) -> Answer:
        if service != "fleet" or not self.is_running:
            raise ServiceUnreachable(f"the {service} does not answer")
        self.asked.append(request)
        if isinstance(request, ListClaims):
            claims = [CLAIM] if request.state in ("", "granted") else []
            return Answer(ok=True, text="", data={"claims": claims, "counts": {"granted": 1}})
        if isinstance(request, FindInFleet):
            return Answer(ok=True, text="", data={"answers": self.answers, "silent": ["three"]})
        return Answer(ok=True, text="", data={"connected": self.connected, "reason": self.reason, "groups": [ONE, TWO]})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeFleet:
    found = FakeFleet()
    monkeypatch.setattr(group_view, "ask", found.ask)
    return found


@pytest.fixture
def scene(fake: FakeFleet, layout: Layout) -> Iterator[PanelScene]:
    settings = Settings(
        digest="x",
        rtorrent=RTorrentSettings(url=None, origin="test"),
        jobs=(),
        fleet=FleetSettings(servers=("nats://x:4222",)),
    )
    stored_file(layout).write_bytes(to_json(settings))
    with panel_scene(layout) as made:
        yield made


@pytest.fixture
def page(scene: PanelScene) -> Callable[[str], str]:
    cookie = scene.login()

    def get(path: str) -> str:
        reply = scene.request("GET", path, {"Cookie": cookie})
        assert reply.status == 200
        return reply.text

    return get


def test_the_page_shows_each_group(page: Callable[[str], str]) -> None:
    text = page("/g/main/fleet")
    assert '<a href="/g/main/fleet" aria-current="page">' in text
    assert "one</bdi> (this)" in text
    assert "seen 2 h ago" in text
    assert "1/5" in text
    assert "1.0 TiB" in text
    assert EVIL not in text
    assert "watcher is FATAL &lt;script&gt;" in text


def test_a_search_shows_items_and_who_did_not_answer(page: Callable[[str], str], fake: FakeFleet) -> None:
    text = page("/g/main/fleet?find=Debian")
    assert FindInFleet(text="Debian") in fake.asked
    assert "Debian &lt;script&gt;" in text
    assert EVIL not in text
    assert "two has 3 more" in text
    assert "three did not answer" in text
    fake.answers = []
    assert "No group has such an item." in page("/g/main/fleet?find=nothing")
    page(f"/g/main/fleet?find={'x' * 3000}")
    assert isinstance(fake.asked[-1], FindInFleet)
    assert len(fake.asked[-1].text) == 256


def test_claims_are_listed_by_state(page: Callable[[str], str], scene: PanelScene, fake: FakeFleet) -> None:
    text = page("/g/main/fleet")
    assert "granted 1</a>" in text
    assert "two, from one" in text
    assert EVIL not in text
    assert "No metafile was placed by the fleet." in page("/g/main/fleet?state=done")
    page(f"/g/main/fleet?state={EVIL}")
    assert {each.state for each in fake.asked if isinstance(each, ListClaims)} == {"", "done"}
    found = scene.request("GET", f"{API}/claims?state=granted", scene.token("read")).json
    assert (found["claims"][0]["owner"], found["counts"]) == ("two", {"granted": 1})
    assert scene.request("GET", f"{API}/claims?state=x-y", scene.token("read")).status == 400


def test_an_outage_shows_the_groups_as_they_were(page: Callable[[str], str], fake: FakeFleet) -> None:
    fake.connected, fake.reason = False, "nothing listens on 127.0.0.1 port 4222"
    text = page("/g/main/fleet?find=Debian")
    assert "The fleet is unavailable: nothing listens on 127.0.0.1 port 4222" in text
    assert "one</bdi> (this)" in text
    fake.is_running = False
    assert "the fleet does not answer" in page("/g/main/fleet")


def test_the_api_has_the_same(scene: PanelScene, fake: FakeFleet) -> None:
    read = scene.token("read")
    found = scene.request("GET", API, read).json
    assert [each["name"] for each in found["groups"]] == ["one", "two"]
    items = scene.request("GET", f"{API}/items?name=Debian", read).json
    assert (items["answers"][0]["items"][0]["info_hash"], items["silent"]) == ("A" * 40, ["three"])
    assert scene.request("GET", f"{API}/items", read).status == 400
    assert scene.request("GET", API.replace("main", "other"), read).status == 404
    fake.is_running = False
    assert scene.request("GET", API, read).status == 503


def test_a_group_without_a_fleet_has_no_link_to_it(layout: Layout, fake: FakeFleet) -> None:
    with panel_scene(layout) as scene:
        cookie, read = {"Cookie": scene.login()}, scene.token("read")
        assert "/g/main/fleet" not in scene.request("GET", "/g/main/", cookie).text
        assert scene.request("GET", "/g/main/fleet", cookie).status == 404
        assert [scene.request("GET", f"{API}{path}", read).status for path in ("", "/items?name=x", "/claims")] == [
            404
        ] * 3
