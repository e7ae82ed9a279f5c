"""The commands of each page, executed in its order beside a real rTorrent that has taken the page's lines for it."""

from pathlib import Path

import pytest

from tests.docs_blocks import Block, blocks
from tests.docs_home import Home
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.xdist_group("docs"),
    pytest.mark.either_rtorrent(reason="it is about the words of the docs: what the commands do is tested with both"),
]


ELSEWHERE = ("docs/fleet-setup.md", "docs/fleet.md")
"""Pages whose commands another test executes (test_fleet_setup.py): they need more than one rTorrent."""


def to_run() -> dict[str, list[Block]]:
    pages: dict[str, list[Block]] = {}
    for block in blocks("sh", "console"):
        if not block.not_run and block.page not in ELSEWHERE:
            pages.setdefault(block.page, []).append(block)
    return pages


def for_rtorrent(page: str) -> str:
    """What the page puts into rtorrent.rc; the private rTorrent listens already."""
    texts = (block.text for block in blocks("rtorrent") if block.page == page)
    return "".join(text for text in texts if "open_local" not in text)


def starts_the_group(found: list[Block]) -> bool:
    return any(line.split("#")[0].strip() == "pyrotorque" for block in found for line in block.text.splitlines())


@pytest.mark.parametrize("page", to_run())
def test_the_commands_of_a_page_have_the_described_results(page: str, short_folder: Path) -> None:
    found = to_run()[page]
    with Home(short_folder / "me", rtorrent_rc=for_rtorrent(page)) as home:
        if not starts_the_group(found):
            assert home.sh("pyrotorque").returncode == 0
            eventually(lambda: home.sh("pyrotorque ctl status").stdout.count("RUNNING") == 4, timeout=30)
        for block in found:
            ended = home.sh(block.text)
            assert ended.returncode == 0, f"{block.name}: {ended.stdout}{ended.stderr}"
            assert "Traceback" not in ended.stdout + ended.stderr


def test_there_are_commands_to_run() -> None:
    assert len(to_run()) >= 3
    assert sum(map(len, to_run().values())) >= 10
