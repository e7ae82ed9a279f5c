"""A whole group under supervisord with its panel and a real rTorrent, for tests that act as people and programs do."""

import http.client
import json
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.group import Group, free_port
from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bus.client import ask
from pyrotorque.errors import RTorrentFault
from pyrotorque.layout import Layout
from pyrotorque.requests import MakeLoginLink, MakePanelToken
from pyrotorque.rtorrent import RTorrent
from tests.cleaning import AT_ONCE, SILENT
from tests.waiting import bound, eventually

_CLEANUP = AT_ONCE | {"data": "quarantine", "max_items": "500", "max_bytes": "10g", "schedule": "hour=4"}


def _torque_ini(url: str, watch: Path, downloads: Path, port: int, exporter: int) -> str:
    """Nothing is started or removed by itself: each schedule fires at night."""
    lines = [
        *("[TORQUE]", f"scgi_url = {url}", "job.exporter.active = True", f"job.exporter.port = {exporter}"),
        "job.exporter.handler = pyrocore.daemon.exporter:RtorrentExporter",
        *("job.queue.active = True", "job.queue.schedule = hour=4", "job.queue.startable = is_ignored=0"),
        *("job.treewatch.active = True", f"job.treewatch.path = {watch}", "job.treewatch.settle_time = 1"),
        *("panel.active = True", "panel.name = main", f"panel.port = {port}"),
    ]
    for job, more in (("tidy", {"condition": "name=Tidy*"}), ("held", {"condition": "name=Held*", "max_percent": "1"})):
        lines.append(f"job.{job}.handler = pyrotorque.jobs.cleanup:Cleanup")
        settings = _CLEANUP | {"below": str(downloads)} | more
        lines += [f"job.{job}.{key} = {value}" for key, value in settings.items()]
    return "\n".join(lines) + "\n"


@dataclass
class LivePanel:
    """The group, and what a test does with it."""

    group: Group
    rtorrent: PrivateRTorrent
    port: int
    watch: Path
    tokens: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    broken: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.layout = Layout.below(self.group.config_dir)
        self.client = RTorrent(self.rtorrent.url)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # -- as programs do

    def request(
        self, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=bound(30))
        try:
            connection.request(method, path, body, {"Origin": self.origin} | headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def token(self, scope: Any = "act") -> dict[str, str]:
        if scope not in self.tokens:
            made = ask(
                self.layout, "panel", MakePanelToken(name=f"test {scope}", scope=scope, by="test"), timeout=bound(30)
            )
            self.tokens[scope] = {"Authorization": f"Bearer {made.data['token']}"}
        return self.tokens[scope]

    def api(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """A call below the group's own address."""
        headers = self.token() | ({"Content-Type": "application/json"} if body is not None else {})
        text = None if body is None else json.dumps(body)
        status, _, content = self.request(method, f"/api/v1/groups/main{path}", headers, text)
        return status, json.loads(content)

    def asked(self, path: str) -> Any:
        status, found = self.api("GET", path)
        assert status == 200, found
        return found

    def act(self, path: str, body: Any = None) -> str:
        status, found = self.api("POST", path, body)
        assert status == 200, found
        return str(found["text"])

    def job(self, name: str) -> Any:
        return self.asked(f"/jobs/{name}")

    # -- as people do

    def link(self) -> str:
        """The path of a login link."""
        made = ask(self.layout, "panel", MakeLoginLink(by="test"), timeout=bound(30))
        return str(made.data["link"]).removeprefix(self.origin)

    def cookie(self) -> str:
        """`name=value` of a new session."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        status, headers, _ = self.request("POST", "/login", kind, self.link().partition("?")[2])
        assert status == 303
        return str(headers["Set-Cookie"]).partition(";")[0]

    def page(self, path: str, cookie: str = "") -> str:
        status, _, content = self.request("GET", path, {"Cookie": cookie or self.cookie()})
        assert status == 200, content
        return content.decode()

    # -- items and metafiles

    def item(self, name: str) -> str:
        """The info-hash of a stopped item without data, loaded by the watcher."""
        metafile = make_metafile(name)
        (self.watch / f"{info_hash(metafile)}.torrent").write_bytes(metafile)
        eventually(lambda: self.has(info_hash(metafile)), 60, why=f"{name} is loaded")
        return info_hash(metafile)

    def seeding(self, name: str) -> str:
        """The info-hash of an item that has all of its data."""
        path = self.rtorrent.downloads / name
        path.write_bytes(os.urandom(20_000))
        metafile = make_metafile(name, content=path, announce=SILENT)
        self.client.call("load.raw_start", "", metafile)
        found = info_hash(metafile)
        eventually(lambda: self.client.call("d.complete", found) and self.is_active(found), 60, why=f"{name} seeds")
        return found

    def has(self, item: str) -> bool:
        try:
            return bool(self.client.call("d.hash", item))
        except RTorrentFault:
            return False

    def is_active(self, item: str) -> bool:
        return self.client.call("d.is_active", item) == 1

    def break_metafiles(self, count: int) -> None:
        """Write metafiles that cannot be loaded; the watcher looks at each again after some seconds."""
        self.broken = [str(self.watch / f"broken {number}.torrent") for number in range(count)]
        for path in self.broken:
            Path(path).write_bytes(b"no metafile")

    def failed(self) -> str:
        """The path of one of them, after it has failed."""
        path = self.broken.pop()
        eventually(lambda: path in self.failures(), 60, why=f"{path} has failed")
        return path

    def failures(self) -> list[str]:
        return [str(row["path"]) for row in self.asked("/metafiles?state=failed")["metafiles"]]

    def quarantined(self) -> dict[str, str]:
        """The name of each entry by the info-hash of its item; the API's answer costs a command."""
        folder = self.rtorrent.downloads / ".pyrotorque-quarantine"
        entries = [entry.name for entry in folder.iterdir() if entry.is_dir()] if folder.exists() else []
        return {name.split("-")[2]: name for name in entries}

    def plan(self, job: str) -> Any:
        return next(plan for plan in self.asked("/cleanups")["plans"] if plan["job"] == job)

    def pid(self, service: str) -> int:
        """Of a service that runs; else 0."""
        found = {each["name"]: each for each in self.asked("/services")["services"]}[service]
        return int(found["pid"]) if found["state"] == "RUNNING" else 0

    def sessions(self) -> list[int]:
        """The numbers of all sessions; asking makes one more."""
        return [int(number) for number in re.findall(r'"End: session (\d+)"', self.page("/settings"))]


@contextmanager
def live_panel(folder: Path) -> Generator[LivePanel]:
    """Started below `folder`, and stopped at the end; the test has the fixture `rtorrent_program`."""
    watch, port = folder / "watch", free_port()
    watch.mkdir()
    rtorrent = PrivateRTorrent(folder / "rt").start()
    try:
        ini = _torque_ini(rtorrent.url, watch, rtorrent.downloads, port, free_port())
        with Group(folder / "c", ini) as group:
            made = LivePanel(group, rtorrent, port, watch)
            eventually(lambda: made.token(), 60, why="the panel answers")
            yield made
    finally:
        rtorrent.kill()  # it would wait for trackers that do not answer
