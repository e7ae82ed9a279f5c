"""What tests of several rooms share: a real rTorrent for one test, or one for all that only look."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque import logs
from pyrotorque.layout import Layout

_REAL = {"rtorrent", "shared_rtorrent"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and _REAL & set(item.fixturenames):
            item.add_marker(pytest.mark.rtorrent)


@pytest.fixture(autouse=True)
def no_owners_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test configured as the owner's log is no other's."""
    monkeypatch.setattr(logs, "_owners", {})


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder whose path leaves room for the names of unix sockets, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="prt-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def layout(short_folder: Path) -> Layout:
    """A configuration directory that has all its folders."""
    found = Layout.below(short_folder)
    found.prepare()
    return found


@pytest.fixture
def rtorrent(short_folder: Path) -> Iterator[PrivateRTorrent]:
    """A fresh rTorrent that belongs to one test."""
    running = PrivateRTorrent(short_folder / "rt").start()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def shared_rtorrent() -> Iterator[PrivateRTorrent]:
    """One rTorrent for all tests that do not mind what others have left in it."""
    with tempfile.TemporaryDirectory(prefix="prt-", ignore_cleanup_errors=True) as folder:
        running = PrivateRTorrent(Path(folder) / "rt").start()
        yield running
        running.kill()
