"""Metafiles dropped on a page in Chromium, with the events of a real drag, and logins with printed links."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from demo.__main__ import login_link
from demo.group import Group
from demo.metafiles import info_hash, make_metafile
from tests.browser import Visitor, visitor
from tests.live_panel import LivePanel
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(method="thread"),  # a signal would not end Playwright's loop
    pytest.mark.xdist_group("panel"),
    pytest.mark.one_rtorrent(reason="one version is enough for pages; actions are tested with both"),
]


def drop(person: Visitor, paths: Sequence[Path]) -> None:
    """As a person who drags files out of a file manager over the page: the browser makes the events."""
    session = person.page.context.new_cdp_session(person.page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": data})


def files_of(folder: Path, contents: Sequence[bytes]) -> list[Path]:
    paths = [folder / f"{number}.torrent" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize("path", ["/g/main/", "/g/main/metafiles/add"])
def test_dropped_metafiles_are_loaded(panel: LivePanel, browser: Browser, tmp_path: Path, path: str) -> None:
    contents = [make_metafile(f"Dropped {number} on {len(path)}") for number in range(2)]
    with visitor(browser, panel.origin, panel.cookie()) as person:
        eventually(lambda: 'class="stack drop"' in panel.page(path), 90, why="the form is on the page")
        person.open(path)
        drop(person, files_of(tmp_path, contents))
        person.page.locator(".notice").wait_for()
        assert person.page.locator(".notice.bad").count() == 0, person.page.locator(".notice").inner_text()
    eventually(lambda: all(panel.has(info_hash(content)) for content in contents), 60, why="both are loaded")


def test_they_get_the_label_of_the_chosen_folder(panel: LivePanel, browser: Browser, tmp_path: Path) -> None:
    folder = panel.watch / "linux"
    folder.mkdir(exist_ok=True)
    (folder / "watch.ini").write_text("custom1 = isos\n")
    content = make_metafile("Dropped for a label")
    with visitor(browser, panel.origin, panel.cookie()) as person:
        person.open("/g/main/metafiles/add")
        person.choose("Folder and label", f"{folder} – label isos")
        drop(person, files_of(tmp_path, [content]))
        person.page.locator(".notice:not(.bad)").wait_for()
    eventually(lambda: panel.has(info_hash(content)), 60, why="it is loaded")
    assert panel.client.call("d.custom1", info_hash(content)) == "isos"


@pytest.mark.parametrize("content", [b"no metafile", b"", b"d4:infod"], ids=["text", "empty", "cut"])
def test_a_dropped_file_that_is_no_metafile_is_refused_with_a_sentence(
    panel: LivePanel, browser: Browser, tmp_path: Path, content: bytes
) -> None:
    with visitor(browser, panel.origin, panel.cookie()) as person:
        person.open("/g/main/metafiles/add")
        drop(person, files_of(tmp_path, [content]))
        person.page.locator(".notice.bad").wait_for()


def test_of_several_dropped_files_the_page_names_those_that_were_added(
    panel: LivePanel, browser: Browser, tmp_path: Path
) -> None:
    content = make_metafile("Dropped before a wrong one")
    with visitor(browser, panel.origin, panel.cookie()) as person:
        person.open("/g/main/metafiles/add")
        drop(person, files_of(tmp_path, [content, b"no metafile"]))
        notice = person.page.locator(".notice.bad")
        notice.wait_for()
        assert "Dropped before a wrong one" in notice.inner_text()
    eventually(lambda: panel.has(info_hash(content)), 60, why="it is loaded")


def test_a_drop_on_a_page_without_a_form_opens_nothing(panel: LivePanel, browser: Browser, tmp_path: Path) -> None:
    """A browser would leave the page for the file."""
    with visitor(browser, panel.origin, panel.cookie()) as person:
        person.open("/g/main/events")
        drop(person, files_of(tmp_path, [make_metafile("Dropped elsewhere")]))
        person.open("/g/main/jobs")
        assert person.page.url == f"{panel.origin}/g/main/jobs"


def printed(group: Group) -> str:
    return group.command("panel").stdout.strip()


@pytest.mark.parametrize("link_of", [printed, login_link], ids=["pyrotorque panel", "make run"])
def test_a_printed_link_logs_a_browser_in_once(
    panel: LivePanel, browser: Browser, link_of: Callable[[Group], str]
) -> None:
    link = link_of(panel.group)
    assert link.startswith(f"{panel.origin}/login?link=")
    with visitor(browser, panel.origin) as person:
        person.open(link.removeprefix(panel.origin))
        person.press("Log in on this browser")
        person.page.get_by_role("heading", level=1).wait_for()
        assert person.page.url == f"{panel.origin}/g/main/"
    with visitor(browser, panel.origin) as person:
        person.open(link.removeprefix(panel.origin))
        person.press("Log in on this browser")
        person.page.get_by_role("alert").wait_for()
        person.problems.clear()  # the status 403
