"""The wall clock is set while metafiles are loaded: none waits for a time that has passed."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from tests.dropping import drop
from tests.watching import Watching

pytestmark = pytest.mark.usefixtures("rtorrent_program")

SetClock = Callable[[float], None]
HOUR = 3600.0


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Sets this process's wall clock so many seconds off the kernel's; the monotonic clock is not changed."""
    real = time.time
    return lambda ahead: monkeypatch.setattr(time, "time", lambda: real() + ahead)


@pytest.fixture(autouse=True)
def ahead(set_clock: SetClock) -> None:
    """The watcher begins an hour ahead."""
    set_clock(HOUR)


@pytest.fixture
def path(root: Path) -> Path:
    """Where each test drops its metafile."""
    return root / "a.torrent"


def test_what_is_visible_is_still_checked_after_the_clock_was_set_back(
    watching: Watching, path: Path, set_clock: SetClock
) -> None:
    drop(path)
    watching.until(lambda: watching.state(path) == "visible")
    set_clock(0.0)
    watching.until(lambda: watching.state(path) == "loaded", timeout=20.0)


def test_an_absent_rtorrent_is_called_again_soon_after_the_clock_was_set_back(
    watching: Watching, path: Path, set_clock: SetClock, rtorrent: PrivateRTorrent
) -> None:
    rtorrent.kill()
    drop(path)
    loader = watching.watcher.loader
    assert loader is not None
    watching.until(lambda: loader.availability.problem)
    set_clock(0.0)
    rtorrent.start()
    watching.until(lambda: watching.state(path) in ("visible", "loaded"), timeout=20.0)


def test_a_clock_set_forward_loads_nothing_twice(watching: Watching, path: Path, set_clock: SetClock) -> None:
    drop(path, "forward")
    set_clock(24 * HOUR)
    watching.until(lambda: watching.state(path) == "loaded")
    set_clock(0.0)
    watching.settle()
    assert [event.name for event in watching.loaded] == ["forward"]
    assert watching.failed == []
