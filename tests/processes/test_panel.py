"""The panel as a process beside a scheduler and a watcher: logins, actions, a port in use, its end, its memory."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.group import REPOSITORY, environment, free_port
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bus.client import ask
from pyrotorque.events import ActionTaken, decode
from pyrotorque.layout import Layout
from pyrotorque.outbox import stored_events
from pyrotorque.requests import (
    Answer,
    DescribeService,
    MakeLoginLink,
    MakePanelToken,
    RemovePanelToken,
    Request,
    SetPanelPassword,
)
from pyrotorque.rtorrent import RTorrent
from tests.dropping import drop
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.either_rtorrent(reason="it is about our pages: actions are tested with both"),
]

IDLE_MIB = 45.0
BODY_BEGUN = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\nContent-Length: 9000\r\n\r\nx"
JSON_BODY = {"Content-Type": "application/json"}


@dataclass
class PanelGroup:
    """Services without supervisord, in a configuration directory of their own."""

    folder: Path
    url: str = ""
    port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict[str, subprocess.Popen[bytes]])

    def __post_init__(self) -> None:
        self.watched = self.folder / "watch"
        self.watched.mkdir(parents=True)
        (self.folder / "torque.ini").write_text(
            f"[TORQUE]\nscgi_url = {self.url or f'scgi://{self.folder}/none.sock'}\njob.queue.active = True\n"
            f"job.treewatch.active = True\njob.treewatch.path = {self.watched}\n"
            f"panel.active = True\npanel.name = main\npanel.port = {self.port}\n"
        )
        self.layout = Layout.below(self.folder)
        self.layout.prepare()

    def start(self, service: str) -> None:
        with (self.folder / f"{service}.log").open("ab") as output:
            self.running[service] = subprocess.Popen(
                [sys.executable, "-m", f"pyrotorque_{service}", "--config-dir", str(self.folder)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=REPOSITORY, env=environment(),
            )  # fmt: skip
        eventually(lambda: self.ask(service, DescribeService()).ok, 30, why=service)

    def stop(self, service: str, number: int = signal.SIGTERM) -> float:
        """How long the process needed to end."""
        process, begun = self.running.pop(service), time.monotonic()
        process.send_signal(number)
        process.wait()
        return time.monotonic() - begun

    def ask(self, service: str, request: Request) -> Answer:
        return ask(self.layout, service, request, timeout=bound(10))

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text()

    def events(self, service: str) -> list[ActionTaken]:
        found = [decode(body).event for body in stored_events(self.layout.database(service), 0.0)]
        return [event for event in found if isinstance(event, ActionTaken)]

    def request(self, method: str, path: str, headers: dict[str, str], body: str = "") -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=bound(20))
        try:
            connection.request(method, path, body or None, {"Origin": self.origin} | headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def json(self, path: str, headers: dict[str, str]) -> Any:
        """The answer of the API; an error has no such keys, and an empty list tolerates that."""
        status, _, body = self.request("GET", path, headers)
        return json.loads(body) if status == 200 else {"groups": [], "events": []}

    def token(self, scope: Any = "act") -> dict[str, str]:
        found = self.ask("panel", MakePanelToken(name=scope, scope=scope, by="test"))
        return {"Authorization": f"Bearer {found.data['token']}"}

    def login(self) -> dict[str, str]:
        link = str(self.ask("panel", MakeLoginLink(by="test")).data["link"]).partition("link=")[2]
        status, headers, _ = self.form("/login", f"link={link}", {})
        assert status == 303
        return {"Cookie": headers["Set-Cookie"].partition(";")[0]}

    def form(self, path: str, fields: str, cookie: dict[str, str]) -> tuple[int, Any, bytes]:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, kind | cookie, fields)

    def form_token(self, cookie: dict[str, str]) -> str:
        found = re.search(rb'name="token" value="(\w+)"', self.request("GET", "/settings", cookie)[2])
        assert found is not None
        return found[1].decode()


@pytest.fixture
def group(short_folder: Path) -> Iterator[PanelGroup]:
    made = PanelGroup(short_folder / "c")
    try:
        yield made
    finally:
        for service in list(made.running):
            made.stop(service, signal.SIGKILL)


@pytest.fixture
def loading(short_folder: Path, rtorrent: PrivateRTorrent) -> Iterator[PanelGroup]:
    """A group beside a real rTorrent."""
    made = PanelGroup(short_folder / "c", rtorrent.url)
    try:
        for service in ("scheduler", "watcher", "panel"):
            made.start(service)
        yield made
    finally:
        for service in list(made.running):
            made.stop(service, signal.SIGKILL)


def api(group: PanelGroup, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[int, Any]:
    kind = {"Content-Type": "application/json"} if body is not None else {}
    text = json.dumps(body) if body is not None else ""
    status, _, content = group.request(method, f"/api/v1/{path}", headers | kind, text)
    return status, json.loads(content)


def test_each_action_of_page_and_api_is_recorded_with_its_actor(group: PanelGroup) -> None:
    for service in ("scheduler", "watcher", "panel"):
        group.start(service)
    token, cookie = group.token(), group.login()
    assert api(group, "POST", "groups/main/jobs/queue/pause", token) == (
        200,
        {"text": "queue is paused until it is resumed"},
    )
    assert api(group, "GET", "groups/main/jobs/queue", token)[1]["paused"] is True
    fields = f"token={group.form_token(cookie)}&back=/jobs"
    assert group.form("/g/main/jobs/queue/resume", fields, cookie)[0] == 303
    assert b"queue runs again" in group.request("GET", "/g/main/jobs", cookie)[2]
    assert api(group, "POST", "groups/main/jobs/nowhere/pause", token)[0] == 404
    found = [(event.by, event.action, event.target, event.ok) for event in group.events("scheduler")]
    assert found[0] == ("panel, token act", "pause", "queue", True)
    assert found[1][1:] == ("resume", "queue", True)
    assert found[1][0].startswith("panel, session 1 (127.0.0.1")
    shown = eventually(lambda: [e for e in api(group, "GET", "groups/main/events", token)[1]["events"]
                                if e["type"] == "ActionTaken" and e["action"] == "resume"])  # fmt: skip
    assert shown[0]["target"] == "queue"


def test_a_failed_metafile_is_shown_until_it_is_forgotten(loading: PanelGroup) -> None:
    group = loading
    token, cookie = group.token(), group.login()
    name = "<img src=x onerror=alert(1)>\u202e.torrent"
    (group.watched / name).write_bytes(b"no metafile")

    def failed() -> Any:
        return api(group, "GET", "groups/main", token)[1]["failed_metafiles"]

    eventually(lambda: failed() == 1)
    page = group.request("GET", "/g/main/", cookie)[2].decode()
    assert "&lt;img src=x" in page
    assert "<img" not in page
    status, found = api(group, "GET", "groups/main/metafiles?state=failed", token)
    path = found["metafiles"][0]["path"]
    assert status == 200
    # The name has a byte sequence that is shown escaped: as it is shown, it can be used.
    assert api(group, "POST", "groups/main/metafiles/forget", token, {"paths": [path]})[0] == 200
    eventually(lambda: failed() == 0)
    assert group.events("watcher")[0].action == "forget"


def test_an_item_is_started_stopped_and_parked_from_page_and_api(
    loading: PanelGroup, rtorrent: PrivateRTorrent
) -> None:
    group = loading
    token, cookie = group.token(), group.login()
    assert api(group, "POST", "groups/main/jobs/queue/pause", token)[0] == 200
    drop(group.watched / "one.torrent")
    client = RTorrent(rtorrent.url)
    item = str(eventually(lambda: client.rows("main", ("d.hash=",)))[0][0])

    def is_active() -> bool:
        return client.call("d.is_active", item) == 1

    form = f"token={group.form_token(cookie)}&back=/queue"
    assert group.form(f"/g/main/items/{item}/start", form, cookie)[0] == 303
    eventually(is_active)
    assert api(group, "POST", f"groups/main/items/{item}/stop", token)[0] == 200
    eventually(lambda: not is_active())
    assert api(group, "POST", f"groups/main/items/{item}/start", token)[0] == 200
    eventually(is_active)
    assert api(group, "POST", f"groups/main/items/{item}/park", token, {"seconds": 60})[0] == 200
    eventually(lambda: not is_active())
    assert api(group, "POST", f"groups/main/items/{item}/park", token, {"seconds": -1})[0] == 400
    assert api(group, "POST", f"groups/main/items/{'0' * 40}/start", token)[0] == 409
    status, found = api(group, "GET", f"groups/main/items/{item}", token)
    assert (status, found["queues"][0]["hash"]) == (200, item)
    page = group.request("GET", f"/g/main/items?item={item}", cookie)[2].decode()
    assert found["queues"][0]["name"] in page


def test_what_is_away_is_shown_as_away(group: PanelGroup) -> None:
    group.start("panel")
    token, cookie = group.token(), group.login()
    status, tile = api(group, "GET", "groups/main", token)
    assert status == 200
    assert tile["well"] is False
    assert tile["failed_jobs"] is None
    assert api(group, "GET", "groups/main/jobs", token)[0] == 503
    status, _, page = group.request("GET", "/g/main/", cookie)
    assert status == 200
    assert b"The scheduler does not answer." in page
    group.start("scheduler")
    eventually(lambda: api(group, "GET", "groups/main/jobs", token)[0] == 200)


def test_sessions_and_tokens_survive_a_kill(group: PanelGroup) -> None:
    group.start("panel")
    token, cookie = group.token(), group.login()
    group.stop("panel", signal.SIGKILL)
    group.start("panel")
    eventually(lambda: group.request("GET", "/settings", cookie)[0] == 200)
    assert api(group, "GET", "groups", token)[0] == 200
    group.ask("panel", SetPanelPassword(stored="", by="test"))
    assert group.request("GET", "/settings", cookie)[0] == 303, "a new password ends all sessions"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_page_from_before_a_restart_of_the_panel_can_act(group: PanelGroup, number: int) -> None:
    group.start("panel")
    cookie = group.login()
    token = group.form_token(cookie)
    group.stop("panel", number)
    group.start("panel")
    eventually(lambda: group.request("GET", "/settings", cookie)[0] == 200)
    for path in ("/settings/theme", "/settings/tokens/remove", "/logout"):
        assert group.form(path, f"token={token}&name=dark&back=/settings", cookie)[0] == 303, path
    assert group.form("/settings/theme", f"token={token}&name=dark", group.login())[0] == 403, "of another session"


def test_a_port_in_use_is_reported_and_tried_again(group: PanelGroup) -> None:
    with socket.create_server(("127.0.0.1", group.port)):
        group.start("panel")
        eventually(lambda: "set another panel.port in torque.ini" in group.log("panel"))
        assert not group.ask("panel", MakeLoginLink(by="test")).ok
        assert "port not open" in group.ask("panel", DescribeService()).text
    eventually(lambda: group.ask("panel", MakeLoginLink(by="test")).ok)
    assert group.log("panel").count("cannot listen") == 1


def test_a_new_configuration_leaves_the_port_to_no_one_and_ends_a_token_that_was_removed(group: PanelGroup) -> None:
    group.start("panel")
    token = group.token("read")
    stream = http.client.HTTPConnection("127.0.0.1", group.port, timeout=bound(30))
    taken: list[int] = []
    ended = threading.Event()

    def squat() -> None:
        while not ended.wait(0.001):
            with suppress(OSError), socket.create_server(("127.0.0.1", group.port)):
                taken.append(group.port)

    squatter = threading.Thread(target=squat)
    squatter.start()
    text = (group.folder / "torque.ini").read_text()
    try:
        for limit in range(2, 5):
            (group.folder / "torque.ini").write_text(text + f"panel.hosts = box{limit}.example\n")
            group.running["panel"].send_signal(signal.SIGHUP)
            name = {"Host": f"box{limit}.example"}
            eventually(lambda: group.request("GET", "/-/healthy", name)[0] == 200, 60)  # noqa: B023 - before the next
    finally:
        ended.set()
        squatter.join()
    assert taken == []
    try:
        stream.request("GET", "/api/v1/groups/main/events", headers=token | {"Accept": "text/event-stream"})
        answer = stream.getresponse()
        assert answer.readline() == b"retry: 2000\n"
        group.ask("panel", RemovePanelToken(name="read", by="test"))
        assert b"data" not in answer.read(), "it ends, and shows nothing"
    finally:
        stream.close()


def test_it_ends_at_once_with_open_streams_and_hostile_clients(group: PanelGroup) -> None:
    group.start("panel")
    cookies = [group.login() for _ in range(6)]
    streams: list[http.client.HTTPConnection] = []
    try:
        for number in range(48):
            connection = http.client.HTTPConnection("127.0.0.1", group.port, timeout=bound(20))
            streams.append(connection)
            connection.request("GET", "/g/main/live", headers=cookies[number // 8])
            assert connection.getresponse().readline() == b"retry: 2000\n"
        assert group.ask("panel", DescribeService()).data["streams"] == 48
        with ExitStack() as hostile:
            for number in range(90):
                client = hostile.enter_context(socket.create_connection(("127.0.0.1", group.port), 20))
                client.sendall((b"", b"GET / HTTP/1.1\r\nX: ", BODY_BEGUN)[number % 3])
            assert group.request("GET", "/-/healthy", {})[0] == 200
            assert group.stop("panel") < bound(1.0)
    finally:
        for connection in streams:
            connection.close()
    assert "Traceback" not in group.log("panel")


def test_it_is_small_without_viewers(group: PanelGroup) -> None:
    group.start("panel")
    eventually(lambda: group.request("GET", "/-/healthy", {})[0] == 200)
    rollup = Path(f"/proc/{group.running['panel'].pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    assert found is not None
    assert int(found[1]) / 1024 <= IDLE_MIB


def test_one_call_in_ten_seconds_goes_to_rtorrent_while_no_page_is_open(
    short_folder: Path, rtorrent: PrivateRTorrent
) -> None:
    with CallCounter(rtorrent.url) as counter:
        made = PanelGroup(short_folder / "c", counter.url)
        try:
            made.start("panel")
            eventually(lambda: len(counter.calls) >= 1, 40)
            begun, before = time.monotonic(), len(counter.calls)
            eventually(lambda: len(counter.calls) >= before + 2, 60)
            asked, seconds = len(counter.calls) - before, time.monotonic() - begun
            assert asked <= seconds / 10 + 1, f"{asked} calls in {seconds:.0f} s"
            assert all("system.multicall" in call for call in counter.calls)
            cookie = made.login()
            for path in ("/g/main/", "/g/main/queue", "/g/main/events", "/g/main/jobs"):
                made.request("GET", path, cookie)
            assert len(counter.calls) <= before + asked + 1, "the panel itself asks nothing for a page"
        finally:
            for service in list(made.running):
                made.stop(service, signal.SIGKILL)


def test_disks_are_the_same_on_the_page_and_in_the_api(loading: PanelGroup) -> None:
    group = loading
    token = group.token("read")

    def disks() -> Any:
        return api(group, "GET", "groups/main/disks", token)[1]["disks"]

    eventually(lambda: len(disks()) > 0, 30, why="the folders of rTorrent are known")
    (disk,) = disks()
    assert 0 < disk["free"] < disk["size"]
    assert 0 < disk["used"] <= 100
    assert disk["mountpoint"] in group.request("GET", "/g/main/", group.login())[2].decode()
    tile = api(group, "GET", "groups/main", token)[1]
    assert abs(tile["free_bytes"] - disk["free"]) < 1 << 30


def test_another_group_is_followed_acted_on_and_away_when_it_ends(
    short_folder: Path, group: PanelGroup, rtorrent: PrivateRTorrent
) -> None:
    other = PanelGroup(short_folder / "two", rtorrent.url)
    text = (group.folder / "torque.ini").read_text()
    (group.folder / "torque.ini").write_text(text + f"panel.groups = {other.folder}\n")
    try:
        for service in ("scheduler", "watcher"):
            other.start(service)
        group.start("panel")
        token = group.token()
        eventually(lambda: len(group.json("/api/v1/groups", token)["groups"]) == 2, 30)
        name = group.json("/api/v1/groups", token)["groups"][1]["group"]
        drop(other.watched / "e.torrent", "elsewhere")
        path = f"/api/v1/groups/{name}/events?type=TorrentLoaded"
        eventually(lambda: [each["name"] for each in group.json(path, token)["events"]] == ["elsewhere"], 40)
        assert group.json("/api/v1/groups/main/events?type=TorrentLoaded", token)["events"] == []
        status, _, body = group.request("POST", f"/api/v1/groups/{name}/jobs/queue/pause", token | JSON_BODY)
        assert status == 200, body
        (event,) = other.events("scheduler")
        assert (event.action, event.target, event.ok, event.by) == ("pause", "queue", True, "panel, token act")
        for service in list(other.running):
            other.stop(service)
        eventually(lambda: "starts it" in group.json("/api/v1/groups", token)["groups"][1]["first_need"], 30)
        page = group.request("GET", f"/g/{name}/", group.login())[2].decode()
        assert ">away</span>" in page
        assert "elsewhere" in page, "its last events stay"
    finally:
        for service in list(other.running):
            other.stop(service, signal.SIGKILL)


class CallCounter:
    """A proxy in front of rTorrent's socket that keeps each request."""

    def __init__(self, url: str) -> None:
        self._target = url.removeprefix("scgi://")
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"scgi://127.0.0.1:{self._server.getsockname()[1]}"
        self.calls: list[str] = []

    def __enter__(self) -> "CallCounter":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, self._connected() as server:
            request = b""
            client.settimeout(20)
            server.settimeout(20)
            with suppress(OSError):
                while b"</methodCall>" not in request:
                    part = client.recv(65536)
                    if not part:
                        return
                    request += part
                    server.sendall(part)
                self.calls.append(request.decode("utf-8", "replace"))
                while part := server.recv(65536):
                    client.sendall(part)

    def _connected(self) -> socket.socket:
        if self._target.startswith("/"):
            made = socket.socket(socket.AF_UNIX)
            made.connect(self._target)
            return made
        host, _, port = self._target.partition(":")
        return socket.create_connection((host, int(port)))
