"""`python -m tests.panel_pictures FOLDER`: pictures of the panel in five states, on a desktop and a phone.

Without a folder, those of docs/panel.md are made again.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser

from demo.group import REPOSITORY
from pyrotorque.layout import Layout
from tests.browser import chromium, visitor
from tests.panel_scene import PanelScene
from tests.panel_states import STATES, panel_in

DOCS: Final = REPOSITORY / "docs/pictures"
PHONE: Final = 390
DESKTOP: Final = 1280
_HEIGHTS: Final = {PHONE: 844, DESKTOP: 800}
SHOWN: Final = {DESKTOP: "light", PHONE: "dark"}
"""The width and the scheme of the pictures in the documentation."""


def take(
    browser: Browser, scene: PanelScene, path: Path, width: int, scheme: Any, page: str = "/g/main/", *, whole: bool
) -> None:
    """A picture of what is visible first, or of the whole page."""
    cookie = scene.login()
    with visitor(browser, scene.origin, cookie, width=width, color_scheme=scheme, reduced_motion="reduce") as person:
        person.page.set_viewport_size({"width": width, "height": _HEIGHTS[width]})
        person.open(page)
        person.page.locator("#live").get_by_text("live", exact=True).wait_for()
        person.page.screenshot(path=path, full_page=whole)


def main(folder: Path | None) -> None:
    (folder or DOCS).mkdir(parents=True, exist_ok=True)
    for name, state in STATES.items():
        with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
            layout = Layout.below(Path(scratch) / ".pyroscope")
            layout.config_dir.mkdir()
            layout.prepare()
            with panel_in(state(), layout) as scene:
                for width, shown in SHOWN.items():
                    if folder is None:
                        take(browser, scene, DOCS / f"panel-{name}-{width}.png", width, shown, whole=False)
                        continue
                    for scheme in ("light", "dark"):
                        take(browser, scene, folder / f"{name}-{width}-{scheme}.png", width, scheme, whole=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
