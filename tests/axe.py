"""axe-core (MPL 2.0, tests/data/axe), which finds what makes a page inaccessible."""

import gzip
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from tests.browser import Visitor

SIZES: Final = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]
"""Width and scheme: a phone and a desktop."""
_FILE: Final = Path(__file__).parent / "data/axe/axe-4.14.1.min.js.gz"
_SHA256: Final = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
"""Of `axe.min.js` in the package axe-core 4.14.1 of npm."""
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_MOVING: Final = """() => [...document.querySelectorAll("*")].filter(element => {
    const style = getComputedStyle(element), longest = text => Math.max(...text.split(",").map(parseFloat));
    const moves = longest(style.animationDuration) > 0.01 && style.animationName !== "none";
    return moves || longest(style.transitionDuration) > 0.01;
}).map(element => element.outerHTML.slice(0, 100))"""
# Text that no one can read: it reaches out of its card, or out of the window.
_CUT: Final = """() => [...document.querySelectorAll("main p, main h1, main h2, main .btn, main td, main dd, main li")]
    .filter(element => element.getClientRects().length && element.getBoundingClientRect().right > innerWidth + 1)
    .map(element => element.outerHTML.slice(0, 100))"""
# Targets of a finger: WCAG 2.5.8 asks for 24 pixels, the design for 42.
_SMALL: Final = """() => [...document.querySelectorAll("main button, input:not([type=hidden]), main select, .tabs a")]
    .filter(element => element.getClientRects().length && element.getBoundingClientRect().height < 41.5)
    .map(element => element.outerHTML.slice(0, 100))"""


@cache
def _source() -> str:
    content = gzip.decompress(_FILE.read_bytes())
    assert hashlib.sha256(content).hexdigest() == _SHA256, f"{_FILE} is not axe-core 4.14.1"
    return content.decode()


def violations(page: Page) -> list[str]:
    """Each rule of WCAG 2.2 AA that the page breaks, with the elements."""
    page.evaluate(_source())
    found: Any = page.evaluate("tags => axe.run({runOnly: {type: 'tag', values: tags}})", _TAGS)
    return [
        f"{page.url}: {rule['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def all_pages(person: Visitor, paths: Sequence[str]) -> list[str]:
    """What is wrong with them, except for what the visitor reports at its end."""
    wrong: list[str] = []
    for path in paths:
        person.open(path)
        wrong += violations(person.page)
        if (wide := person.page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
            wrong.append(f"{path} is {wide} pixels too wide")
        for script, what in ((_MOVING, "moves"), (_CUT, "is cut"), (_SMALL, "is too small")):
            wrong += [f"{path}: {element} {what}" for element in person.page.evaluate(script)]
    return wrong
