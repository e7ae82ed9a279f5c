"""No passkey in any output of a group: pages, API, streams, logs, events, metrics, answers of commands, backups."""

import http.client
import tarfile
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest

from demo.http_answers import opened
from demo.metafiles import info_hash, make_metafile
from pyrotorque.layout import Layout
from tests.live_panel import LivePanel
from tests.panel_scene import panel_scene
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.xdist_group("panel"),
    pytest.mark.one_rtorrent(reason="one version is enough for outputs of our own"),
]

KEYS: Final = ("5ec4e7a1b2c3d4e5f60718293a4b5c6d", "Zx81Spectrum48kPasskey", "kEyInTheSubdomain00000001")
ADDRESSES: Final = (
    f"http://127.0.0.1:1/{KEYS[0]}/announce",
    f"http://127.0.0.1:1/announce?passkey={KEYS[1]}",
    f"http://{KEYS[2]}.localhost:1/announce",
    f"udp://user:{KEYS[1]}@127.0.0.1:1/{KEYS[0]}",
)
_COMMANDS: Final = (
    ("status", "--json"), ("status",), ("explain",), ("explain", "--json"), ("events", "--json"), ("events",),
    ("check",), ("watched", "--json"), ("cleanup", "--json"), ("quarantine", "list"),
)  # fmt: skip


@pytest.fixture(scope="module")
def item(panel: LivePanel) -> str:
    """An item with passkeys in its trackers and its message, and failures of everything that got such an address."""
    more: dict[str, Any] = {"announce-list": [[address] for address in ADDRESSES], "comment": ADDRESSES[1]}
    metafile = make_metafile("Sentinel", announce=ADDRESSES[0], **more)
    (panel.watch / "sentinel.torrent").write_bytes(metafile)
    found = info_hash(metafile)
    eventually(lambda: panel.has(found), 60, why="it is loaded")
    panel.act(f"/items/{found}/start")
    panel.client.call("d.message.set", found, f"Tracker: [Could not parse {ADDRESSES[1]}: {ADDRESSES[3]}]")
    for address in ADDRESSES:
        for magnet in (f"magnet:?xt=urn:btih:bad&tr={address}", f"magnet:?xt=urn:btih:{'1' * 40}&tr={quote(address)}"):
            panel.api("POST", "/magnets", {"magnet": magnet, "folder": f"/{address}"})
        (panel.watch / f"broken {len(address)}.magnet").write_text(f"magnet:?xt=urn:btih:bad&tr={address}\n")
        panel.api("GET", f"/items?name={quote(address, safe='')}")
        panel.api("POST", f"/jobs/{quote(address, safe='')}/pause")
        panel.api("POST", f"/quarantine/{quote(address, safe='')}/restore")
    eventually(lambda: panel.asked("")["failed_metafiles"] >= 1, 60)
    return found


def outputs(panel: LivePanel, item: str, layout: Layout) -> Iterator[tuple[str, str]]:
    """What, and its text."""
    values = {"group": "main", "job": "queue", "info_hash": item, "service": "watcher", "name": "torque", "entry": "x"}
    with panel_scene(layout) as scene:
        routes = [route for route in scene.app.routes if route.method == "GET" and not route.path.endswith("/live")]
    cookie = {"Cookie": panel.cookie()}
    for route in routes:
        headers = panel.token() if route.kind == "api" else cookie
        path = route.path.format_map(values)
        path += "?item=Sentinel" if path.endswith("/items") else ""
        yield path, panel.request("GET", path, headers)[2].decode("utf-8", "replace")
    yield "explain", panel.request("GET", "/api/v1/groups/main/items?name=Sentinel", panel.token())[2].decode()
    yield "stream", stream(panel)
    for words in _COMMANDS:
        ended = panel.group.command(*words)
        yield " ".join(words), ended.stdout + ended.stderr
    for file in panel.layout.log_dir.rglob("*"):
        if file.is_file():
            yield str(file), file.read_text(errors="replace")
    port = (panel.group.config_dir / "torque.ini").read_text().partition("job.exporter.port = ")[2].split()[0]
    with opened(f"http://127.0.0.1:{port}/metrics", 30) as answer:
        yield "metrics", answer.read().decode()
    backup = panel.group.config_dir.parent / f"backup-{time.time_ns()}.tar.gz"
    ended = panel.group.command("backup", str(backup))
    assert ended.returncode == 0, ended.stderr
    with tarfile.open(backup) as archive:
        yield "backup", ended.stdout + ended.stderr + " ".join(archive.getnames())


def stream(panel: LivePanel) -> str:
    """The events that were stored, as a stream sends them."""
    connection = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=bound(1))
    try:
        headers = panel.token() | {"Accept": "text/event-stream", "Last-Event-ID": "1"}
        connection.request("GET", "/api/v1/groups/main/events", headers=headers)
        answer, found = connection.getresponse(), b""
        try:
            while len(found) < 1 << 20 and (line := answer.readline()):
                found += line
        except TimeoutError:
            pass
        return found.decode()
    finally:
        connection.close()


def test_no_output_has_a_passkey(panel: LivePanel, item: str, layout: Layout) -> None:
    shown = [
        f"{what}: …{text[max(0, text.index(key) - 150) : text.index(key) + 60]}…"
        for what, text in outputs(panel, item, layout)
        for key in KEYS
        if key in text
    ]
    assert not shown, "\n".join(shown)


def test_the_outputs_are_about_the_item(panel: LivePanel, item: str, layout: Layout) -> None:
    about = {what for what, text in outputs(panel, item, layout) if "Sentinel" in text or item in text}
    assert {"stream", "explain", "events --json", "/g/main/events"} <= about
