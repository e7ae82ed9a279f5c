"""Each service, rTorrent and supervisord killed under an open page: it shows that, and that they have returned."""

import os
import signal
import subprocess
import sys
import time

import pytest
from playwright.sync_api import Browser

from tests.browser import limit, visitor
from tests.live_panel import LivePanel
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(method="thread"),  # a signal would not end Playwright's loop
    pytest.mark.xdist_group("panel"),
    pytest.mark.either_rtorrent(reason="it is about our pages: actions are tested with both"),
]
_WITHIN = 90.0
_TAKE_PORT = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
print("begins", flush=True)
while True:
    try:
        with socket.create_server(("127.0.0.1", int(sys.argv[1])), reuse_port=True):
            print("taken", flush=True)
            break
    except OSError:
        pass
"""


@pytest.mark.parametrize("service", ["watcher", "scheduler", "exporter", "guardian"])
def test_a_killed_service_is_shown_and_its_return_too(panel: LivePanel, browser: Browser, service: str) -> None:
    """The page is loaded once: what it shows afterwards, it has received."""
    with visitor(browser, panel.origin, panel.cookie()) as person:
        person.open("/g/main/")
        person.page.locator("#live").get_by_text("live", exact=True).wait_for()
        person.page.evaluate("window.isTheFirst = true")
        row = person.page.locator("#card-processes li", has_text=service)
        row.get_by_text("running", exact=True).wait_for()

        def started() -> str:
            """When the process was started, by the page; empty while it is not running."""
            return str(row.evaluate("row => row.querySelector('time')?.dateTime ?? ''"))

        before, number = started(), eventually(lambda: panel.pid(service), 60)
        os.kill(number, signal.SIGKILL)
        eventually(lambda: started() > before, 90, why="the page shows the new process")
        row.get_by_text("running", exact=True).wait_for(timeout=limit(_WITHIN))
        assert person.page.evaluate("window.isTheFirst"), "it was not loaded again"
    assert eventually(lambda: panel.pid(service), 60) != number


def test_rtorrent_is_shown_as_away_and_as_back(panel: LivePanel, browser: Browser) -> None:
    with visitor(browser, panel.origin, panel.cookie()) as person:
        person.open("/g/main/")
        needs = person.page.locator("#card-verdict .needs").get_by_text("rTorrent", exact=True)
        panel.rtorrent.kill()
        try:
            needs.wait_for(timeout=limit(_WITHIN))
            rates = person.page.locator("#card-rtorrent dd").first
            assert rates.inner_text() == "unknown", "a figure of before would be a lie"
        finally:
            panel.rtorrent.start()
        needs.wait_for(state="detached", timeout=limit(_WITHIN))


def test_a_page_recovers_from_a_kill_of_panel_and_supervisord(panel: LivePanel, browser: Browser) -> None:
    with visitor(browser, panel.origin, panel.cookie()) as person:
        person.open("/g/main/")
        status = person.page.locator("#live")
        status.get_by_text("live", exact=True).wait_for()
        os.kill(eventually(lambda: panel.pid("panel"), 60), signal.SIGKILL)
        status.get_by_text("connection lost").wait_for()
        assert person.page.get_by_role("heading", name="Processes").is_visible(), "the last page stays"
        status.get_by_text("live", exact=True).wait_for(timeout=limit(_WITHIN))
        supervisord = panel.group.supervisord_pid()
        assert supervisord
        os.kill(supervisord, signal.SIGKILL)
        status.get_by_text("connection lost").wait_for(timeout=limit(_WITHIN))
        panel.group.start()
        status.get_by_text("live", exact=True).wait_for(timeout=limit(_WITHIN))
        person.problems.clear()  # the browser reports each connection that fails


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
def test_another_user_does_not_get_the_port_of_a_panel_that_was_killed(panel: LivePanel) -> None:
    """Open pages would send their cookies there."""
    number = eventually(lambda: panel.pid("panel"), 60)
    written = panel.layout.panel_port.stat().st_mtime
    eventually(lambda: time.time() > written + 6, 20, why="the guardian has had a turn since")
    with subprocess.Popen([sys.executable, "-c", _TAKE_PORT, str(panel.port)], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout
            assert other.stdout.readline() == b"begins\n"
            os.kill(number, signal.SIGKILL)
            again = eventually(lambda: (found := panel.pid("panel")) != number and found, 60)
            assert panel.group.command("restart", "panel").returncode == 0
            eventually(lambda: panel.pid("panel") not in (0, number, again), 60)
        finally:
            other.kill()
        assert other.stdout.read() == b""
