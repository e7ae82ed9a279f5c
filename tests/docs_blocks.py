"""Finds the fenced blocks of all pages, and what is to be done with each of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from demo.group import REPOSITORY

# A comment right before a block may say more about it than its language does:
#   <!-- not run: REASON -->   a command that no test can execute here
#   <!-- watch.ini: … -->      it is a watch.ini, not a torque.ini
#   <!-- files: NAME … -->     the block before is the file NAME of the configuration directory
#   <!-- old: … -->            a file for an earlier daemon: warnings are in order
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<note>[^\n]*?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    note: str
    text: str
    before: str

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def not_run(self) -> str:
        """Why no test executes it; empty for one that is executed."""
        kind, _, reason = self.note.partition(":")
        return (reason.strip() or "without a reason") if kind == "not run" else ""


def pages() -> list[Path]:
    """Every page of Markdown that users read."""
    top = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    found = [*top, *sorted((REPOSITORY / "docs").glob("*.md")), *sorted((REPOSITORY / "deploy").rglob("*.md"))]
    return [page for page in found if page.exists()]


def blocks(*languages: str) -> list[Block]:
    """All blocks in these languages, or all of them."""
    return [block for page in pages() for block in _blocks_of(page) if not languages or block.language in languages]


def _blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    before = ""
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        name = str(page.relative_to(REPOSITORY))
        yield Block(name, line, found["language"], found["note"] or "", dedent(found["text"]), before)
        before = dedent(found["text"])


def fences() -> int:
    """How many blocks there are, counted in another way."""
    return sum(len(re.findall(r"^\s*```", page.read_text(), re.MULTILINE)) for page in pages()) // 2
