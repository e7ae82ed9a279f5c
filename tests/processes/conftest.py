"""What tests of processes share: a real rTorrent that rings a bell."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from tests.programs import Program
from tests.scheduler_process import rtorrent_with_bell


@pytest.fixture
def real(rtorrent_program: Program, short_folder: Path) -> Iterator[PrivateRTorrent]:
    """It rings the bell of the configuration directory `short_folder/config`."""
    with rtorrent_with_bell(short_folder) as running:
        yield running
