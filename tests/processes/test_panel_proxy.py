"""The panel behind a real nginx with a prefix, over its unix socket, and what attackers get there and on its port."""

import http.client
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from pyrotorque.layout import Layout
from tests.docs_blocks import blocks
from tests.exporter_process import free_port
from tests.panel_scene import PanelScene, Reply, panel_scene
from tests.waiting import bound, eventually

pytestmark = pytest.mark.process

HOST: Final = "seedbox.example.org"
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
PAUSE: Final = "/g/main/jobs/queue/pause"
OTHER_USER: Final = 65_534
_PATH: Final = f"{os.environ['PATH']}:/usr/sbin"


@dataclass
class Proxied:
    """The panel, the port of nginx, and the panel's unix socket."""

    scene: PanelScene
    port: int
    socket: Path
    layout: Layout

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None) -> Reply:
        """Through nginx, as a browser that shows its name."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=bound(30))
        try:
            connection.request(method, path, body, {"Host": HOST} | (headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read())
        finally:
            connection.close()

    def session(self) -> dict[str, str]:
        return {"Cookie": self.scene.login(), "Origin": f"http://{HOST}"}

    def token(self, session: dict[str, str]) -> str:
        page = self.request("GET", "/torque/settings", session).text
        return page.partition('name="token" value="')[2].partition('"')[0]


def configuration(folder: Path, port: int, socket: Path) -> str:
    """The page's location, and one that removes the prefix."""
    (block,) = [found for found in blocks("nginx") if found.page == "docs/panel.md"]
    there = "http://unix:/run/pyrotorque/panel.sock;"
    assert there in block.text
    kept = block.text.replace(there, f"http://unix:{socket};")
    removed = block.text.replace(there, f"http://unix:{socket}:/;").replace("/torque/", "/removed/")
    user = "user root;" if os.getuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    server = f"server {{ listen 127.0.0.1:{port}; {kept} {removed} }}"
    return f"{user} pid {folder}/pid; events {{}} http {{ access_log off; {scratch} {server} }}"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    nginx, folder = shutil.which("nginx", path=_PATH), tmp_path_factory.mktemp("n")
    assert nginx, "nginx is missing: apt-get install nginx-light"
    layout, port, path = Layout.below(folder / "c"), free_port(), folder / "p.sock"
    layout.config_dir.mkdir()
    layout.prepare()
    with panel_scene(layout, socket_path=path, base_path="/torque/", hosts=(HOST,), auth_header="Remote-User") as scene:
        (folder / "nginx.conf").write_text(configuration(folder, port, path))
        words = ["-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        with subprocess.Popen([nginx, *words]) as running:
            made = Proxied(scene, port, path, layout)
            try:
                eventually(lambda: made.request("GET", "/torque/login").status == 200)
                yield made
            finally:
                running.terminate()


def test_pages_links_and_forms_have_the_prefix(proxied: Proxied) -> None:
    link = proxied.scene.access.make_link()
    page = proxied.request("GET", f"/torque/login?link={link}").text
    assert 'action="/torque/login"' in page
    https = FORM | {"Origin": f"http://{HOST}", "X-Forwarded-For": "198.51.100.9"}
    reply = proxied.request("POST", "/torque/login", https, f"link={link}")
    assert (reply.status, reply.headers["location"]) == (303, "/torque/")
    assert "Path=/torque" in reply.headers["set-cookie"]
    (session,) = proxied.scene.access.sessions(time.time())
    assert session.address == "127.0.0.1", "the proxy's own word, not that of its client"
    assert 'href="/torque/static/panel.css' in page
    assert 'href="/g/' not in proxied.request("GET", "/torque/g/main/", proxied.session()).text
    assert proxied.request("GET", "/removed/login").status == 200
    assert proxied.request("GET", "/removed/static/panel.css").status == 200


def test_a_stream_passes_the_proxy_at_once(proxied: Proxied) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxied.port, timeout=bound(30))
    try:
        connection.request("GET", "/torque/g/main/live", headers={"Host": HOST} | proxied.session())
        answer = connection.getresponse()
        assert answer.readline().startswith(b"retry:")
        while answer.readline().strip():
            pass
        began = time.monotonic()
        proxied.scene.streams.publish("main", {"id": 1, "type": "TorrentLoaded", "at": 1.0})
        while not (line := answer.readline()).startswith(b"data"):
            assert line
        assert time.monotonic() - began < bound(5.0)
    finally:
        connection.close()


Attack = Callable[[Proxied], Reply]


def _pause(proxied: Proxied, headers: dict[str, str], session: dict[str, str] | None = None) -> Reply:
    """The form of a page, with all that its page has."""
    mine = session or proxied.session()
    return proxied.request("POST", f"/torque{PAUSE}", FORM | mine | headers, f"token={proxied.token(mine)}")


ATTACKS: Final[dict[str, tuple[Attack, int]]] = {
    "a user that a client of the proxy names": (
        lambda proxied: proxied.request("GET", "/torque/settings", {"Remote-User": "root"}), 303,
    ),
    "the same with another spelling": (
        lambda proxied: proxied.request("GET", "/torque/settings", {"Remote_User": "root"}), 303,
    ),
    "a user that a local program names on the port": (
        lambda proxied: proxied.scene.request("GET", "/torque/settings", {"Remote-User": "root"}), 303,
    ),
    "a name that was rebound to this address": (
        lambda proxied: proxied.request("GET", "/torque/login", {"Host": "evil.example"}), 421,
    ),
    "the same on the port, with a session": (
        lambda proxied: proxied.scene.request(
            "GET", "/torque/g/main/", proxied.session() | {"Host": "evil.example"}
        ), 421,
    ),
    "a form of another site": (lambda proxied: _pause(proxied, {"Origin": "http://evil.example"}), 403),
    "a form of another site in a new browser": (lambda proxied: _pause(proxied, {"Sec-Fetch-Site": "cross-site"}), 403),
    "a form of another port of the same machine": (
        lambda proxied: _pause(proxied, {"Origin": f"http://{HOST}:8080"}), 403,
    ),
    "a form without an origin": (lambda proxied: _pause(proxied, {"Origin": ""}), 403),
    "a stolen read token acts": (
        lambda proxied: proxied.request(
            "POST", "/torque/api/v1/groups/main/jobs/queue/pause", proxied.scene.token("read")
        ), 403,
    ),
    "a stolen read token as a login": (
        lambda proxied: proxied.request("GET", "/torque/settings", proxied.scene.token("read")), 303,
    ),
    "a stolen cookie calls the API": (
        lambda proxied: proxied.request("POST", "/torque/api/v1/groups/main/jobs/queue/pause", proxied.session()), 401,
    ),
    "a token in the query": (
        lambda proxied: proxied.request(
            "GET", "/torque/api/v1/groups?token=" + proxied.scene.token("act")["Authorization"].partition(" ")[2]
        ), 401,
    ),
    "a path that leaves the static files": (
        lambda proxied: proxied.request("GET", "/torque/static/..%2f..%2faccess.py", proxied.session()), 404,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(proxied: Proxied, name: str) -> None:
    attack, status = ATTACKS[name]
    reply = attack(proxied)
    assert reply.status == status
    if status == 303:
        assert reply.headers["location"] == "/torque/login"
    assert [each for each in proxied.scene.recorded if each[1] != "login"] == []


def test_a_proxy_that_names_its_user_is_believed_on_the_unix_socket(proxied: Proxied) -> None:
    words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", str(proxied.socket)]
    words += ["-H", "Remote-User: ann", "http://box/torque/settings"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "200"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_local_user_gets_nothing(proxied: Proxied) -> None:
    def as_other_user(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=OTHER_USER,
            group=OTHER_USER,
            extra_groups=[],
        )

    shown = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Remote-User: root"]
    for part in reversed((proxied.socket, *list(proxied.socket.parents)[:-2])):
        if part.is_dir() and part.stat().st_uid == os.getuid():
            part.chmod(part.stat().st_mode | 0o011)  # only the socket's own mode protects it
    assert as_other_user(*shown, "--unix-socket", str(proxied.socket), "http://box/torque/settings").stdout == "000"
    assert as_other_user(*shown, f"http://127.0.0.1:{proxied.scene.port}/torque/g/main/").stdout == "303"
    api = f"http://127.0.0.1:{proxied.scene.port}/torque/api/v1/groups"
    assert as_other_user(*shown, api).stdout == "401"
    state = proxied.layout.state_dir
    assert as_other_user("ls", str(state)).returncode != 0
    assert as_other_user("ls", str(proxied.layout.run_dir)).returncode != 0
