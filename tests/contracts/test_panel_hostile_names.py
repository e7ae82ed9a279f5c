"""Each text of each page, by the routes and templates themselves, with what a torrent or a group may be called."""

import re
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import quote

import jinja2
import pytest

from pyrotorque.disk_usage import Disk
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.layout import Layout
from pyrotorque.requests import Answer, ExplainQueue, Request
from pyrotorque.settings.schema import FleetSettings, RTorrentSettings, Settings
from pyrotorque.settings.serialization import to_json
from pyrotorque.stored_configuration import stored_file
from pyrotorque.text import printable
from pyrotorque_panel import group_view, pages
from tests.contracts.test_panel_fleet import CLAIM, ITEM, ONE, TWO, FakeFleet
from tests.panel_scene import PanelScene
from tests.panel_states import STATES, GroupState, panel_in

NAMES: Final[dict[str, str]] = {
    "html": "</title></style>--><script>alert(1)</script><img src=x onerror=alert(1)>",
    "attributes": "\"'` autofocus onfocus=alert(1) x=\"' href=javascript:alert(1) ",
    "templates": "{{ 7*7 }} {% raw %} ${7*7} %s %00 &lt;b&gt; &#60;b&#62; &amp;",
    "right to left": "\u05e9\u05dc\u05d5\u05dd " + printable("\u202egnp.exe \u2066\u200f\x1b[2J\0"),
    "255 bytes": "w" * 255,
    "85 characters of 3 bytes": "\u30c6" * 85,
    "not UTF-8": printable(b"\xff\xfe\xc3("),
}
"""As the services send them: controls and what is no UTF-8 are escaped already."""
# Words with a meaning, of which the panel knows all, and values that other processes restrict.
_FIXED: Final = frozenset(
    (
        "hash",
        "info_hash",
        "entry",
        "folder",
        "plan",
        "state",
        "type",
        "kind",
        "verdict",
        "data",
        "source",
        "field",
        "own",
    )
)

_NAME: Final = re.compile(r"\[([a-z. ]+\.)?(name|path|disk)\]")
_ALONE: Final = ("bdi", "title", "option")


@dataclass
class Hostile:
    """Puts a name behind each text, and remembers which; `made` are the marks that must be seen."""

    name: str
    made: set[str] = field(default_factory=set[str])

    def text(self, where: str, text: str) -> str:
        mark = f"[{where}]"
        self.made.add(mark)
        return f"{text}{mark}{self.name}"

    def value(self, where: str, value: Any) -> Any:
        """All texts in plain values, except words of the protocol."""
        if isinstance(value, str):
            return self.text(where, value)
        if isinstance(value, dict):
            items: Mapping[str, Any] = value
            return {
                key: each if key in _FIXED and isinstance(each, str) else self.value(f"{where}.{key}", each)
                for key, each in items.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(where, each) for each in value]
        return value


class _Page(HTMLParser):
    """What a browser makes of a page; `texts` are also those in attributes, `bare` are not in an element of their own:
    then a name from right to left moves what is beside it.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.kinds: set[str] = set()
        self.links: set[str] = set()
        self.texts: list[str] = []
        self.bare: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open += [tag] if tag in _ALONE else []
        self.kinds |= {tag, *(f"{tag} {name}" for name, _ in attrs)}
        self.links |= {value or "" for name, value in attrs if name in ("href", "src", "action", "hx-post")}
        self.texts += [value or "" for _, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            self._open.remove(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if not self._open:
            self.bare.append(data)


def _page(text: str) -> _Page:
    made = _Page()
    made.feed(text)
    made.close()
    return made


AWAY: Final = "the scheduler does not answer "
TEMPLATES: Final = {path.name for path in (Path(pages.__file__).parent / "templates").iterdir()}
PLAN: Final = {
    "job": "tidy", "removals": [
        {"name": "n", "facts": "f", "size": 5, "files": [{"path": "p", "kept_for": ["k"]}]},
    ],
    "kept": [{"name": "n", "text": "t"}], "items": 2, "data": "quarantine", "frees": 5, "dry_run": True,
    "held_back": "b", "held": "h", "plan": "abc",
}  # fmt: skip
PLANS: Final = [
    PLAN,
    {"job": "lost", "orphans": [{"path": "p", "size": 1, "since": 1.0, "would_move": True}], "files": 3},
    {"job": "no", "refused": "r"},
]
EXPLAINED: Final = {
    "job": "j", "hash": "A" * 40, "name": "n", "text": "t",
    "clauses": [{"text": "c", "field": "name", "value": "v", "verdict": True}],
}  # fmt: skip
ENTRY: Final = {"entry": "x", "folder": "/q/x", "name": "n", "reason": "r", "removed": 1.0, "size": 4}


def _events() -> list[dict[str, Any]]:
    """One of each kind that has a sentence of its own."""
    from pyrotorque_panel.page_texts import _ICONS  # pyright: ignore[reportPrivateUsage]

    words = ("name", "job", "reason", "text", "problem", "by", "action", "target", "new_path", "group", "before")
    common: dict[str, Any] = dict.fromkeys((*words, "mountpoint"), "x") | {"at": 1.0, "ok": False}
    named = [common | {"type": kind} for kind in _ICONS]
    unnamed = [{key: each for key, each in event.items() if key != "name"} for event in named]
    return [*named, *unnamed, {"type": "LoadFailed", "metafile": "m", "reason": "r", "at": 2.0}]


class HostileState(GroupState):
    """A group in a fleet: everything that its services and its fleet answer has the name."""

    def __init__(self, hostile: Hostile) -> None:
        super().__init__()
        made, self._hostile = hostile.value, hostile
        trouble, many = STATES["trouble"](), STATES["many"]()
        self.queues = [
            made("queue", queue | {"job": f"q{number}", "stalled": "s", "hold": {"text": "t"}})
            for number, queue in enumerate((trouble.queues[0], many.queues[0] | {"paused": True, "dry_run": True}))
        ]
        self.jobs = made("job", [job | {"on": ["o"]} for job in trouble.jobs or ()])
        self.failed = [(hostile.text("path", "/w/x"), hostile.text("why", "w"), 60.0)] * 2
        self.disks = [Disk(hostile.text("disk", "/d"), 0, 5, 100)]
        self.events = made("event", _events())
        self.problem = hostile.text("rtorrent", "p")
        self.processes = {hostile.text("process", "scheduler"): "FATAL", "watcher": "RUNNING"}
        self.folders = {hostile.text("folder", "/w"): hostile.text("label", "l")}
        self.fleet = FakeFleet(answers=[made("find", {"group": "g", "items": [ITEM], "more": 3, "problem": "p"})])

    def ask(self, layout: Layout, service: str, request: Request, timeout: float = 5.0) -> Answer:
        if service == "fleet":
            answer = self.fleet.ask(layout, service, request, timeout)
            more = {
                "silent": ["s"],
                "groups": [ONE | {"problems": ["p"], "rooms": [{"free": 1}]}, TWO],
                "claims": [CLAIM | {"reason": "r"}],
            }
            data = {key: self._hostile.value(key, more[key]) for key in more if key in answer.data}
            return Answer(ok=True, text="", data=answer.data | data)
        if isinstance(request, ExplainQueue) and request.item:
            return Answer(ok=True, text="", data=self._hostile.value("item", [EXPLAINED]))
        return super().ask(layout, service, request, timeout)

    def commands(self, _: Layout) -> "HostileState":
        return self

    def lines(self, command: str, *_: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._hostile.value(command, PLANS if command == "cleanup" else [ENTRY])
        return found


@contextmanager
def _scene(hostile: Hostile, layout: Layout, loaded: set[str]) -> Generator[PanelScene]:
    """`loaded` gets the names of the templates."""
    state = HostileState(hostile)
    fleet = FleetSettings(servers=("nats://x:4222",))
    rtorrent = RTorrentSettings(url=None, origin="test")
    stored_file(layout).write_bytes(to_json(Settings(digest="x", rtorrent=rtorrent, jobs=(), fleet=fleet)))
    get_source = jinja2.FileSystemLoader.get_source

    def get_and_note(self: jinja2.FileSystemLoader, environment: jinja2.Environment, template: str) -> Any:
        loaded.add(template)
        return get_source(self, environment, template)

    def folders(_: Layout) -> dict[str, str]:
        return state.folders

    with (
        panel_in(state, layout) as scene,
        patch.object(group_view, "CommandRunner", state.commands),
        patch.object(pages, "folder_labels", folders),
        patch.object(jinja2.FileSystemLoader, "get_source", get_and_note),
    ):
        yield scene


def _paths(scene: PanelScene, name: str) -> list[str]:
    """Every page of the route table, also with this name in what a person or a link gives."""
    pages_of = [
        route.path.format(group="main", name="panel.css")
        for route in scene.app.routes
        if route.method == "GET" and route.kind in ("page", "public") and not route.path.endswith("/live")
    ]
    asked = quote(name, safe="")
    return [
        *pages_of, f"/g/main/items?item={asked}", f"/g/main/metafiles?state={asked}", f"/g/main/fleet?find={asked}",
        f"/g/main/fleet?state={asked}", f"/login?link={asked}", f"/g/{asked}/", f"/static/{asked}", f"/{asked}",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", NAMES)
def test_no_page_takes_a_name_for_more_than_text(layout: Layout, kind: str) -> None:
    layout.prepare()
    usual = set[str]()
    with _scene(Hostile("plain"), layout, set()) as scene:
        for page in _pages(scene, "plain"):
            usual |= page.kinds
    hostile, loaded, texts = Hostile(NAMES[kind]), set[str](), list[str]()
    with _scene(hostile, layout, loaded) as scene:
        browser = hostile.text("browser", "")
        scene.access.login_by_link(scene.access.make_link(), "::1", browser, time.time())
        scene.access.make_token(hostile.name[:40], "read", time.time())
        for page in _pages(scene, hostile.name):
            assert page.kinds <= usual
            assert [link for link in page.links if not link.startswith(("/", "#"))] == []
            assert [text for text in page.bare if _NAME.search(text)] == []
            texts += page.texts
    shown = "\n".join(texts)
    assert {mark for mark in hostile.made if mark not in shown} == set(), "a text that no page shows tests nothing"
    assert loaded == TEMPLATES


def _pages(scene: PanelScene, name: str) -> Iterator[_Page]:
    cookie = {"Cookie": scene.login()}
    for path in _paths(scene, name):
        reply = scene.request("GET", path, cookie)
        assert reply.status in (200, 303, 404), path
        if reply.headers.get("content-type", "").startswith("text/html"):
            yield _page(reply.text)
    with patch.object(group_view.GroupView, "jobs", side_effect=ServiceUnreachable(f"{AWAY}{name}")):
        page = _page(scene.request("GET", "/g/main/jobs", cookie).text)
    assert AWAY in "\n".join(page.texts)
    yield page
