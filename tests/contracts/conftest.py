"""What contracts share: a client of the test's own rTorrent, and a tree that a watcher loads into it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.watching import Watching, job


@pytest.fixture
def client(rtorrent: PrivateRTorrent) -> RTorrent:
    return RTorrent(rtorrent.url)


@pytest.fixture
def root(short_folder: Path) -> Path:
    """The folder that is watched, empty."""
    folder = short_folder / "watch"
    folder.mkdir()
    return folder


@pytest.fixture
def watching(short_folder: Path, root: Path, rtorrent: PrivateRTorrent) -> Iterator[Watching]:
    """A watcher that has looked at `root` and loads into `rtorrent` what comes there."""
    with Watching(short_folder, job(root), url=rtorrent.url) as begun:
        begun.settle()
        yield begun
