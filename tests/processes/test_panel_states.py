"""The panel in five states, and the page of a fleet, in Chromium: WCAG 2.2 AA, phone and desktop, light and dark."""

import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Route

from pyrotorque.layout import Layout
from pyrotorque.settings.schema import FleetSettings, RTorrentSettings, Settings
from pyrotorque.settings.serialization import to_json
from pyrotorque.stored_configuration import stored_file
from pyrotorque_panel import group_view
from pyrotorque_panel.gate import Admission, Gate, Refusal, RequestFacts
from tests.axe import SIZES, all_pages
from tests.browser import visitor
from tests.contracts.test_panel_fleet import FakeFleet
from tests.panel_pictures import DOCS, SHOWN, take
from tests.panel_scene import PanelScene, panel_scene
from tests.panel_states import STATES, panel_in
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(method="thread"),  # a signal would not end Playwright's loop
    pytest.mark.one_rtorrent(reason="one version is enough for pages; actions are tested with both"),
]
PAGES: Final = ("", "queue", "metafiles", "jobs")
"""Those that differ most by state; all of them are tested on a real group in test_panel_pages.py."""
KIB: Final = 1024
CUT_OFF: Final = """lines => [...document.querySelectorAll("main *, .tabs a, .bar *")].filter(element => {
    const style = getComputedStyle(element), line = parseFloat(style.lineHeight);
    if (!element.clientWidth || element.matches("svg, svg *, input, select, progress, bdi")) return false;
    const hidden = style.overflow !== "visible" && element.scrollHeight > element.clientHeight + 1;
    const few = lines === 1 || element.clientHeight < 1.9 * line;
    return element.scrollWidth > element.clientWidth + 1 || (hidden && few);
}).map(element => element.outerHTML.slice(0, 120))"""
"""Elements with text that reaches out of them, or that is not shown, although fewer than so many lines are."""


@pytest.mark.parametrize("name", STATES)
def test_every_page_is_accessible_in_each_state(browser: Browser, layout: Layout, name: str) -> None:
    layout.prepare()
    with panel_in(STATES[name](), layout) as scene:
        for width, scheme in SIZES:
            cookie = scene.login()
            with visitor(
                browser, scene.origin, cookie, width=width, color_scheme=scheme, reduced_motion="reduce"
            ) as person:
                assert all_pages(person, [f"/g/main/{page}" for page in PAGES]) == [], (width, scheme)


@pytest.mark.parametrize("name", ["well", "many", "away"])
def test_each_text_can_be_read_on_a_small_phone(browser: Browser, layout: Layout, name: str) -> None:
    layout.prepare()
    state = STATES[name]()
    long = "Some.Release.With.The.Same.Beginning." * 5
    state.events = [{"type": "TorrentCompleted", "name": f"{long}{number}", "at": time.time()} for number in range(9)]
    with (
        panel_in(state, layout) as scene,
        visitor(browser, scene.origin, scene.login(), width=320, reduced_motion="reduce") as person,
    ):
        assert all_pages(person, [f"/g/main/{page}" for page in (*PAGES, "events")]) == []
        for page in (*PAGES, "events"):
            person.open(f"/g/main/{page}")
            # The first page shows two lines of a name: its links lead to the whole one.
            assert person.page.evaluate(CUT_OFF, 1 if page else 2) == [], page


def _refreshed(scene: PanelScene) -> bool:
    """Let the open pages look what is new."""
    scene.streams.publish("main", {"id": 0, "type": "Sampled"})
    return True


@pytest.mark.parametrize("page", ["queue", "jobs"])
def test_an_open_page_shows_that_its_service_is_away_and_that_it_is_back(
    browser: Browser, layout: Layout, page: str
) -> None:
    layout.prepare()
    state = STATES["well"]()
    jobs = state.jobs
    with panel_in(state, layout) as scene, visitor(browser, scene.origin, scene.login()) as person:
        content = person.page.locator("main")
        person.open(f"/g/main/{page}")
        person.page.get_by_text("live", exact=True).wait_for()
        content.get_by_role("button", name="Pause").first.wait_for()
        state.jobs = None
        eventually(lambda: _refreshed(scene) and "the scheduler does not answer" in content.inner_text())
        assert content.get_by_role("button").count() == 0, "what is unknown is not shown as it was before"
        state.jobs = jobs
        eventually(lambda: _refreshed(scene) and content.get_by_role("button").count())
        assert person.page.locator("#live").inner_text() == "live"


def test_a_page_after_an_error_says_that_it_is_live(browser: Browser, layout: Layout) -> None:
    layout.prepare()
    with panel_in(STATES["well"](), layout) as scene, visitor(browser, scene.origin, scene.login()) as person:
        person.open("/g/main/jobs")
        person.page.get_by_text("live", exact=True).wait_for()
        person.page.evaluate("() => document.querySelectorAll('[name=token]').forEach((each) => { each.value = 'x'; })")
        with person.page.expect_response(lambda answer: answer.status == 403):
            person.press("Pause: queue")
        button = person.page.get_by_role("button", name="Pause: queue", exact=True)
        eventually(lambda: _refreshed(scene) and button.count())
        person.page.locator("#live").get_by_text("live", exact=True).wait_for()
        person.problems.clear()  # the status 403


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_of_a_fleet_is_accessible(
    browser: Browser, layout: Layout, monkeypatch: pytest.MonkeyPatch, width: int, scheme: str
) -> None:
    layout.prepare()
    monkeypatch.setattr(group_view, "ask", FakeFleet().ask)
    fleet = FleetSettings(servers=("nats://x:4222",))
    rtorrent = RTorrentSettings(url=None, origin="test")
    stored_file(layout).write_bytes(to_json(Settings(digest="x", rtorrent=rtorrent, jobs=(), fleet=fleet)))
    with (
        panel_scene(layout) as scene,
        visitor(browser, scene.origin, scene.login(), width=width, color_scheme=scheme) as person,
    ):
        assert all_pages(person, ["/g/main/fleet", "/g/main/fleet?find=Debian"]) == []
        assert "watcher is FATAL" in person.page.locator("main").inner_text()


@pytest.mark.parametrize("late", ["panel.js", "htmx.min.js", "hx-sse.min.js"])
def test_a_page_is_live_even_if_a_script_arrives_late(browser: Browser, layout: Layout, late: str) -> None:
    layout.prepare()
    with panel_in(STATES["well"](), layout) as scene, visitor(browser, scene.origin, scene.login()) as person:

        def delay(route: Route) -> None:
            time.sleep(1.0)
            route.continue_()

        person.page.route(f"**/{late}", delay)
        person.open("/g/main/")
        person.page.locator("#live").get_by_text("live", exact=True).wait_for()


def test_pictures_are_made_and_those_of_the_documentation_are_small(
    browser: Browser, layout: Layout, tmp_path: Path
) -> None:
    layout.prepare()
    with panel_in(STATES["empty"](), layout) as scene:
        take(browser, scene, tmp_path / "one.png", 390, "dark", whole=False)
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    shown = sorted(path.name for path in DOCS.glob("*.png"))
    assert shown == sorted(f"panel-{state}-{width}.png" for state in STATES for width in SHOWN)
    assert [name for name in shown if (DOCS / name).stat().st_size > 150 * KIB] == []
    page = (DOCS.parent / "panel.md").read_text()
    assert [name for name in shown if f"(pictures/{name})" not in page] == []


class _OtherSite(BaseHTTPRequestHandler):
    """A server of another user on the same host: its page loads pages of the panel in every way."""

    panel = ""

    def do_GET(self) -> None:
        page = f"{self.panel}/g/main"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(
            f"""<img src="{page}/cleanup"><iframe src="{page}/jobs"></iframe><a href="{page}/">the panel</a>
            <script>fetch("{page}/queue", {{mode: "no-cors", credentials: "include"}});
            new EventSource("{page}/live", {{withCredentials: true}});</script>""".encode()
        )

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_page_on_another_port_of_the_host_can_link_to_ours_and_load_nothing(
    browser: Browser, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.prepare()
    seen: list[tuple[str, str, bool, int]] = []
    admit = Gate.admit

    def admit_and_note(self: Gate, facts: RequestFacts, now: float) -> Admission | Refusal:
        result = admit(self, facts, now)
        headers = facts.headers
        status = result.status if isinstance(result, Refusal) else 200
        seen.append(
            (headers.get("sec-fetch-site", ""), headers.get("sec-fetch-dest", ""), bool(headers["cookie"]), status)
        )
        return result

    monkeypatch.setattr(Gate, "admit", admit_and_note)
    with (
        panel_in(STATES["well"](), layout) as scene,
        ThreadingHTTPServer(("127.0.0.1", 0), _OtherSite) as other,
        closing(browser.new_context()) as context,
    ):
        _OtherSite.panel = scene.origin
        threading.Thread(target=other.serve_forever, daemon=True).start()
        cookie = scene.login()
        seen.clear()
        name, _, value = cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": scene.origin, "sameSite": "Lax"}])
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        page.get_by_text("the panel").wait_for()
        eventually(lambda: len(seen) >= 4, 60)
        assert {(site, dest, status) for site, dest, _, status in seen} == {
            ("same-site", "image", 403), ("same-site", "iframe", 403), ("same-site", "empty", 403),
        }  # fmt: skip
        assert all(has_cookie for _, _, has_cookie, _ in seen), "it is the gate that refuses, not a missing cookie"
        page.get_by_role("link", name="the panel").click()
        page.get_by_role("heading", name="Processes").wait_for()
        assert ("same-site", "document", True, 200) in seen
        other.shutdown()
