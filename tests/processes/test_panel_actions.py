"""Each action on a real group by page, by API and by command: the same effect, and an event with who did it."""

import http.client
import json
import re
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from demo.group import Group, free_port
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.layout import Layout
from pyrotorque.rtorrent import RTorrent
from pyrotorque_panel.exchange import PanelRoute
from tests.panel_scene import panel_scene
from tests.waiting import bound, eventually

pytestmark = pytest.mark.process

PAGE, API, COMMAND = "panel, session", "panel, token", "command line"

ACTIONS = {"pause", "resume", "run", "start", "stop", "park", "retry", "forget", "add", "restart"}

ELSEWHERE = {"approve", "restore", "tokens", "remove", "end", "logout", "theme", "login"}
"""Tested on a real rTorrent in test_panel_cleanup.py, or actions of the panel on itself."""


@dataclass
class Callers:
    """The three ways to a running group."""

    group: Group
    port: int
    watched: Path
    rtorrent: RTorrent
    bearer: dict[str, str] = field(default_factory=dict[str, str])
    cookie: dict[str, str] = field(default_factory=dict[str, str])
    form_token: str = ""

    def log_in(self) -> None:
        token = self.group.command("panel", "token", "all", "--scope", "act").stdout.strip()
        self.bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        link = self.group.command("panel").stdout.strip().partition("link=")[2]
        _, headers, _ = self._request("POST", "/login", f"link={link}".encode(), self._form_type())
        self.cookie = {"Cookie": headers["Set-Cookie"].partition(";")[0]}
        page = self._request("GET", "/settings", b"", self.cookie)[2].decode()
        found = re.search(r'name="token" value="(\w+)"', page)
        assert found is not None
        self.form_token = found[1]

    def page(self, path: str, fields: dict[str, str] | None = None) -> None:
        body = urlencode({"token": self.form_token, "back": "/jobs"} | (fields or {})).encode()
        status, _, answer = self._request("POST", f"/g/main/{path}", body, self.cookie | self._form_type())
        assert status == 303, answer
        shown = self._request("GET", "/g/main/jobs", b"", self.cookie)[2].decode()
        notice = re.search(r'<p class="notice( bad)?"[^>]*>([^<]*)', shown)
        assert notice is not None
        assert not notice[1], notice[2]

    def upload(self, content: bytes) -> None:
        parts = [f'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n{self.form_token}\r\n'.encode()]
        parts.append(b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.torrent"\r\n\r\n')
        body = b"".join([*parts, content, b"\r\n--x--\r\n"])
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        status, _, answer = self._request("POST", "/g/main/metafiles/add", body, self.cookie | kind)
        assert status == 303, answer

    def api(self, path: str, body: Any = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        status, _, answer = self._request("POST", f"/api/v1/groups/main/{path}", content, self.bearer)
        assert status == 200, answer

    def command(self, *words: str) -> None:
        ended = self.group.command(*words)
        assert ended.returncode == 0, ended.stderr

    def done(self) -> set[tuple[str, str]]:
        """Which actions succeeded, and by which way."""
        events = [json.loads(line) for line in self.group.command("events", "--json").stdout.splitlines()]
        actions = [event for event in events if event["type"] == "ActionTaken" and event["ok"]]
        return {(event["action"], way) for event in actions for way in (PAGE, API, COMMAND) if way in event["by"]}

    def failed(self) -> list[str]:
        lines = self.group.command("watched", "--state", "failed", "--json").stdout.splitlines()
        return [str(json.loads(line)["path"]) for line in lines]

    def is_active(self, item: str) -> bool:
        return self.rtorrent.call("d.is_active", item) == 1

    def _form_type(self) -> dict[str, str]:
        return {"Content-Type": "application/x-www-form-urlencoded"}

    def _request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=bound(60))
        try:
            connection.request(method, path, body or None, {"Origin": f"http://127.0.0.1:{self.port}"} | headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


@pytest.fixture
def callers(rtorrent: PrivateRTorrent) -> Iterator[Callers]:
    with tempfile.TemporaryDirectory(prefix="ppa-", ignore_cleanup_errors=True) as folder:
        port, watched = free_port(), Path(folder) / "watch"
        watched.mkdir()
        text = f"""[TORQUE]
scgi_url = {rtorrent.url}
panel.active = True
panel.port = {port}
panel.name = main
job.queue.active = True
job.queue.schedule = minute=*/30
job.treewatch.active = True
job.treewatch.path = {watched}
job.report.handler = pyrotorque.jobs.command:Command
job.report.schedule = minute=*/30
job.report.command = true
"""
        with Group(Path(folder) / "g", text) as group:
            made = Callers(group, port, watched, RTorrent(rtorrent.url))
            eventually(lambda: group.command("panel").returncode == 0, 60)
            made.log_in()
            yield made


def test_each_action_by_page_api_and_command(callers: Callers) -> None:
    c = callers
    on_job(c)
    on_items(c)
    on_metafiles(c)
    on_services(c)
    missing = {(action, way) for action in ACTIONS for way in (PAGE, API, COMMAND)}
    eventually(lambda: missing <= c.done(), 60, why="each action is recorded")


def on_job(c: Callers) -> None:
    for action in ("pause", "resume", "run"):
        c.page(f"jobs/report/{action}")
        c.api(f"jobs/report/{action}")
    c.command("pause", "report")
    c.command("resume", "report")
    c.command("--run-once", "report")


def on_items(c: Callers) -> None:
    metafile = make_metafile("one")
    item = info_hash(metafile)
    c.group.command("pause", "queue")
    (c.watched / "one.torrent").write_bytes(metafile)
    eventually(lambda: [item] == [row[0] for row in c.rtorrent.rows("main", ("d.hash=",))], 60)
    ways: list[Callable[[str], None]] = [
        lambda action: c.page(f"items/{item}/{action}"),
        lambda action: c.api(f"items/{item}/{action}", {"seconds": 60} if action == "park" else None),
        lambda action: c.command(action, item, *(("--for", "60s") if action == "park" else ())),
    ]
    for act in ways:
        for stopping in ("stop", "park"):
            act("start")
            eventually(lambda: c.is_active(item), 60)
            act(stopping)
            eventually(lambda: not c.is_active(item), 60)


def on_metafiles(c: Callers) -> None:
    for number in range(3):
        (c.watched / f"bad{number}.torrent").write_bytes(b"no metafile")
    names = [str(c.watched / f"bad{number}.torrent") for number in range(3)]
    for action in ("retry", "forget"):
        eventually(lambda: sorted(c.failed()) == names, 60)
        c.page(f"metafiles/{action}", {"path": names[0]})
        c.api(f"metafiles/{action}", {"paths": [names[1]]})
        c.command(action, names[2])
    eventually(lambda: c.failed() == [], 60)
    added = [make_metafile(f"added {number}") for number in range(3)]
    (c.watched.parent / "added.torrent").write_bytes(added[2])
    c.upload(added[0])
    c.api("metafiles", {"metafile": b64encode(added[1]).decode()})
    c.command("add", str(c.watched.parent / "added.torrent"))
    hashes = {info_hash(metafile) for metafile in added}
    eventually(lambda: hashes <= {row[0] for row in c.rtorrent.rows("main", ("d.hash=",))}, 60)


def on_services(c: Callers) -> None:
    def restarted(act: Callable[[], None]) -> None:
        before = c.group.pid("exporter")
        act()
        eventually(lambda: c.group.pid("exporter") not in (0, before), 60)
        eventually(lambda: c.group.states()["exporter"] == "RUNNING", 60)

    restarted(lambda: c.page("services/exporter/restart"))
    restarted(lambda: c.api("services/exporter/restart"))
    restarted(lambda: c.command("restart", "exporter"))


def test_no_action_of_the_routes_is_missing_above(layout: Layout) -> None:
    with panel_scene(layout) as scene:
        words = {action_of(route) for route in scene.app.routes if route.method == "POST"}
    assert words - ELSEWHERE == ACTIONS


def action_of(route: PanelRoute) -> str:
    last = route.path.rpartition("/")[2]
    return "add" if last in ("metafiles", "magnets") else last
