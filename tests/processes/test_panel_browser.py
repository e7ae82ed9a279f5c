"""Each action of the panel by mouse, by keyboard, without script and by API, in a real group with a real rTorrent."""

from urllib.parse import quote

import pytest
from playwright.sync_api import APIResponse, Browser, Request, Route

from pyrotorque.bus.client import ask
from pyrotorque.layout import Layout
from pyrotorque.passwords import password_hash
from pyrotorque.requests import SetPanelPassword
from tests.browser import WAYS, Way, visitor
from tests.live_panel import LivePanel
from tests.panel_scene import panel_scene
from tests.panel_tasks import TASKS
from tests.waiting import bound, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(method="thread"),  # a signal would not end Playwright's loop
    pytest.mark.xdist_group("panel"),
    pytest.mark.one_rtorrent(reason="one version is enough for pages; actions are tested with both"),
]

_WATCH = """() => {
    window.olds = 0;
    window.swaps = [];
    document.addEventListener("htmx:before:swap", ({detail, defaultPrevented}) => {
        window.swaps.push([detail.ctx.sourceElement === stream, busy, seen.get(detail.ctx), forms, defaultPrevented]);
    });
    const look = () => { if (document.getElementById("old")) window.olds += 1; };
    new MutationObserver(look).observe(document.body, {childList: true, subtree: true});
}"""


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("way", WAYS)
def test_an_action_of_a_page(panel: LivePanel, browser: Browser, way: Way, name: str) -> None:
    task = TASKS[name]
    target = task.prepare(panel, f"{way}")
    width = 390 if way == "without script" else 1280
    with visitor(browser, panel.origin, panel.cookie(), way, width) as person:
        person.open(task.page.format(**{key: quote(str(value)) for key, value in target.items()}))
        task.steps(person, target)
        person.page.locator(task.answer).first.wait_for()
        assert person.page.locator(".notice.bad").count() == 0, person.page.locator(".notice.bad").inner_text()
    eventually(lambda: task.done(panel, target), 60, why=f"{name} by {way}")


@pytest.mark.parametrize("which", ["the first one", "a later one"])
def test_a_refresh_that_began_before_a_form_does_not_replace_the_page_after_it(
    panel: LivePanel, browser: Browser, which: str
) -> None:
    """The first one is due while htmx counts the connection for live messages as a request of the same place."""
    held: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        if not held and route.request.headers.get("hx-source") == "div#stream":
            held.append((route, route.fetch()))
        else:
            route.continue_()

    with visitor(browser, panel.origin, panel.cookie()) as person:
        page = person.page
        if which == "the first one":
            page.route("**/g/main/jobs", hold)
        person.open("/g/main/jobs")
        page.get_by_text("live", exact=True).wait_for()
        if which == "a later one":
            page.route("**/g/main/jobs", hold)
            page.evaluate("() => void refresh()")
        eventually(lambda: page.title() and held, 60, why="a refresh has the page from before")
        person.press("Pause: tidy")
        page.locator("#notice").wait_for()
        page.evaluate(_WATCH)
        page.evaluate("() => void refresh()")
        (route, old), *_ = held
        with page.expect_request(lambda request: request.headers.get("hx-source") == "div#stream") as next_one:
            route.fulfill(response=old, body=old.text().replace("<h1>", '<p id="old"></p><h1>'))
        assert next_one.value.response() is not None
        page.wait_for_function("() => !busy")
        assert page.evaluate("() => olds") == 0, page.evaluate("() => swaps")
    panel.act("/jobs/tidy/resume")


def test_a_double_click_or_a_key_that_is_held_acts_once(panel: LivePanel, browser: Browser) -> None:
    """The answer to the first click shifts the page, so that the button of another job is below the second one."""
    acted: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            acted.append(request.url.partition("/jobs/")[2])

    with visitor(browser, panel.origin, panel.cookie()) as person:
        page = person.page
        person.open("/g/main/jobs")
        page.get_by_text("live", exact=True).wait_for()
        page.on("request", note)
        place = page.get_by_role("button", name="Pause: tidy", exact=True).bounding_box()
        assert place is not None
        page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        for click in (1, 2):
            page.mouse.down(click_count=click)
            page.mouse.up(click_count=click)
            page.locator("#notice").wait_for()
        page.get_by_role("button", name="Resume: tidy", exact=True).focus()
        for _ in range(5):
            page.keyboard.down("Enter")
        page.keyboard.up("Enter")
        page.get_by_role("button", name="Pause: tidy", exact=True).wait_for()
        person.press("Run now: connstats")
        page.get_by_text("connstats was run").wait_for()
    assert acted == ["tidy/pause", "tidy/resume", "connstats/run"]


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.call])
def test_an_action_of_the_api(panel: LivePanel, name: str) -> None:
    task = TASKS[name]
    assert task.call is not None
    target = task.prepare(panel, "API")
    path, body = task.call(target)
    assert panel.act(path, body)
    eventually(lambda: task.done(panel, target), 60, why=f"{name} by API")


@pytest.mark.parametrize("way", WAYS)
def test_a_login_and_a_logout(panel: LivePanel, browser: Browser, way: Way) -> None:
    ask(panel.layout, "panel", SetPanelPassword(stored=password_hash("correct horse"), by="test"), timeout=bound(30))
    with visitor(browser, panel.origin, "", way) as person:
        person.open(panel.link())
        person.press("Log in on this browser")
        person.page.get_by_role("link", name="Settings", exact=True).wait_for()
        person.open("/settings")
        person.press("Log out")
        person.page.get_by_label("Password").wait_for()
        person.page.go_back(wait_until="commit")
        person.page.get_by_label("Password").wait_for()  # not the page that the browser has kept
        person.fill("Password", "wrong")
        person.press("Log in")
        person.page.get_by_role("alert").wait_for()
        person.fill("Password", "correct horse")
        person.press("Log in")
        person.page.get_by_role("link", name="Settings", exact=True).wait_for()
        person.problems = [each for each in person.problems if "403" not in each]  # the wrong password


def test_each_form_of_the_panel_has_a_task(layout: Layout) -> None:
    with panel_scene(layout) as scene:
        forms = {route.path for route in scene.app.routes if route.method == "POST" and route.kind != "api"}
        calls = {route.path for route in scene.app.routes if route.method == "POST" and route.kind == "api"}
    assert forms - {"/login", "/logout"} == {task.route for task in TASKS.values()}
    assert len(calls) == len({name for name, task in TASKS.items() if task.call})
