"""Debian's Chromium for tests of pages: nothing is downloaded, and no page may reach beyond its own server."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from playwright.sync_api import Browser, BrowserContext, Dialog, Locator, Page, sync_playwright

from tests.waiting import bound

_WITHIN: Final = 30.0
_FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
_LEFT_OUT: Final = ("--disable-back-forward-cache",)  # people's browsers keep pages for "back"
_STOPS_MAX: Final = 200
_FOCUSED: Final = """element => {
    if (element !== document.activeElement) return "";
    const style = getComputedStyle(element);
    return style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1 ? "invisible" : "visible";
}"""

Way = Literal["mouse", "keyboard", "without script"]
WAYS: Final[tuple[Way, ...]] = ("mouse", "keyboard", "without script")


def limit(seconds: float = _WITHIN) -> float:
    """The bound of a wait of the browser, in its milliseconds; each ends as soon as its condition holds."""
    return 1000.0 * bound(seconds)


@contextmanager
def chromium() -> Generator[Browser]:
    """A browser of its own, closed at the end."""
    path = shutil.which("chromium")
    assert path, "chromium is missing: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=_FLAGS, ignore_default_args=_LEFT_OUT, timeout=limit(2 * _WITHIN)
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """A person with one tab, who acts in one way; `problems` are errors of the page and requests elsewhere."""

    page: Page
    origin: str
    way: Way
    problems: list[str] = field(default_factory=list[str])

    def dismiss(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open(self, path: str) -> None:
        self.page.goto(self.origin + path, wait_until="load")

    def press(self, name: str, role: Literal["button", "link"] = "button") -> None:
        """Press the button with this accessible name."""
        target = self.page.get_by_role(role, name=name, exact=True).first
        if self.way == "keyboard":
            self._focus(target)
            self.page.keyboard.press("Enter")
        else:
            target.click()

    def fill(self, label: str, text: str) -> None:
        field = self.page.get_by_label(label, exact=True).first
        if self.way == "keyboard":
            self._focus(field)
            self.page.keyboard.type(text)
        else:
            field.fill(text)

    def choose(self, label: str, text: str) -> None:
        """Choose the option with this text."""
        field = self.page.get_by_label(label, exact=True).first
        if self.way == "keyboard":
            self._focus(field)
            self.page.keyboard.type(text)
        else:
            field.select_option(label=text)

    def attach(self, label: str, name: str, content: bytes) -> None:
        """Choose a file for upload."""
        field = self.page.get_by_label(label, exact=True).first
        file: Any = {"name": name, "mimeType": "application/x-bittorrent", "buffer": content}
        with self.page.expect_file_chooser() as chooser:
            if self.way == "keyboard":
                self._focus(field)
                self.page.keyboard.press("Enter")
            else:
                field.click()
        chooser.value.set_files(file)

    def _focus(self, target: Locator) -> None:
        """Press Tab until the element has the focus, which must be visible."""
        target.wait_for()
        for _ in range(_STOPS_MAX):
            self.page.keyboard.press("Tab")
            if found := target.evaluate(_FOCUSED):
                assert found == "visible", f"the focus of {target} cannot be seen"
                return
        raise AssertionError(f"{target} is not reached with the Tab key")


@contextmanager
def visitor(
    browser: Browser, origin: str, cookie: str = "", way: Way = "mouse", width: int = 1280, **options: Any
) -> Generator[Visitor]:
    """A context of its own; `cookie` is `name=value`. Fails if the page had errors or asked another server."""
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": 900}, java_script_enabled=way != "without script", **options
    )
    context.set_default_timeout(limit())
    if cookie:
        name, _, value = cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": origin}])
    found = Visitor(context.new_page(), origin, way)
    found.page.on("pageerror", lambda error: found.problems.append(f"script: {error}"))
    found.page.on("console", lambda text: found.problems.append(text.text) if text.type == "error" else None)
    found.page.on("dialog", found.dismiss)
    context.on("request", lambda asked: None if asked.url.startswith(origin) else found.problems.append(asked.url))
    try:
        yield found
    finally:
        context.close()
    assert found.problems == []
