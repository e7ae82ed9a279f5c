"""What tests of processes share: a real rTorrent that rings a bell; a group with a panel, and a browser."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from demo.private_rtorrent import PrivateRTorrent
from tests.browser import chromium
from tests.live_panel import LivePanel, live_panel
from tests.programs import Program
from tests.scheduler_process import rtorrent_with_bell


@pytest.fixture
def real(rtorrent_program: Program, short_folder: Path) -> Iterator[PrivateRTorrent]:
    """It rings the bell of the configuration directory `short_folder/config`."""
    with rtorrent_with_bell(short_folder) as running:
        yield running


@pytest.fixture(scope="session")
def panel(rtorrent_program: Program) -> Iterator[LivePanel]:
    """A whole group, for all tests of the xdist group `panel`."""
    with (
        tempfile.TemporaryDirectory(prefix="ppb-", ignore_cleanup_errors=True) as folder,
        live_panel(Path(folder)) as made,
    ):
        made.break_metafiles(12)
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For a module at a time: while it runs, no other asyncio loop can."""
    with chromium() as made:
        yield made
