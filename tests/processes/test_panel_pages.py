"""Every page of the panel of a real group in Chromium: WCAG 2.2 AA, no sideways scrolling, hostile names."""

import os
from typing import Final

import pytest
from playwright.sync_api import Browser

from demo.metafiles import info_hash, make_metafile
from pyrotorque.layout import Layout
from tests.axe import SIZES, all_pages
from tests.browser import visitor
from tests.live_panel import LivePanel
from tests.panel_scene import panel_scene
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(method="thread"),  # a signal would not end Playwright's loop
    pytest.mark.xdist_group("panel"),
    pytest.mark.one_rtorrent(reason="one version is enough for pages; actions are tested with both"),
]

SCRIPT: Final = "<script>alert(1)<|script>"
HOSTILE: Final[tuple[bytes, ...]] = (
    SCRIPT.encode(),
    b"\"'><img src=x onerror=alert(1)> {{ 7*7 }} ${7*7} %00 %s %2e%2e",
    "right to left \u202egnp.exe \u2066\u200f\u0000\x1b[2J end".encode(),
    b"w" * 300,
    b"not \xff\xfe UTF-8 \xc3",
    b"javascript:alert(1)//&lt;b&gt;</title></style>--><!--",
)
"""Names as a torrent may have them."""


def paths(layout: Layout, item: str) -> list[str]:
    """Every page of the route table; one that needs another value fails here."""
    values = {"group": "main", "job": "queue", "info_hash": item, "service": "watcher"}
    with panel_scene(layout) as scene:
        routes = [route.path for route in scene.app.routes if route.method == "GET" and route.kind == "page"]
    found = [
        path.format_map(values | {"name": "torque"})
        for path in routes
        if not path.endswith(("/live", "/fleet")) and path != "/"
    ]
    return [*found, f"/g/main/items?item={item}", "/g/main/metafiles?state=failed"]


@pytest.fixture(scope="module")
def filled(panel: LivePanel) -> str:
    """Hostile names in each list: items, failed metafiles, plans, quarantine, events, tokens. An info-hash."""
    panel.seeding("Tidy \u202e<img src=x onerror=alert(1)>")
    panel.act("/jobs/tidy/run")
    for name in HOSTILE:
        metafile = make_metafile(name.replace(b"/", b"|").replace(b"\0", b""))  # rTorrent takes no such names
        panel.client.call("load.raw", "", metafile)
        (panel.watch / f"{info_hash(metafile)}.torrent").write_bytes(make_metafile(name, source="2"))
        broken = os.path.join(
            os.fsencode(panel.watch), name.replace(b"/", b"_").replace(b"\0", b"")[:200] + b".torrent"
        )
        with open(broken, "wb") as file:
            file.write(b"no metafile")
    panel.act(f"/items/{info_hash(make_metafile(HOSTILE[1]))}/start")
    eventually(lambda: panel.asked("")["failed_metafiles"] >= len(HOSTILE), 60, why="they have failed")
    return info_hash(make_metafile(HOSTILE[0]))


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_page_is_accessible(
    panel: LivePanel, browser: Browser, filled: str, layout: Layout, width: int, scheme: str
) -> None:
    cookie = panel.cookie()
    with visitor(browser, panel.origin, cookie, width=width, color_scheme=scheme, reduced_motion="reduce") as person:
        assert all_pages(person, paths(layout, filled)) == []
    with visitor(browser, panel.origin, width=width, color_scheme=scheme, reduced_motion="reduce") as person:
        assert all_pages(person, ["/login", panel.link()]) == []


def test_hostile_names_are_shown_as_text(panel: LivePanel, browser: Browser, filled: str, layout: Layout) -> None:
    with visitor(browser, panel.origin, panel.cookie(), width=390) as person:
        for path in paths(layout, filled):
            person.open(path)
            assert person.page.locator("main img, main script, main b, main style").count() == 0, path
            text = person.page.locator("body").inner_text()
            assert not [char for char in "\0\x1b\u202e\u2066" if char in text], path
        person.open(f"/g/main/items?item={filled}")
        assert SCRIPT in person.page.locator("main").inner_text()
        person.open("/g/main/cleanup")
        assert "<img src=x onerror=alert(1)>" in person.page.locator("main").inner_text()
