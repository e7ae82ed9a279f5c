"""The wall clock is set while metafiles are on their way: none waits for a moment that has already been."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from tests.watching import Watching, job

pytestmark = pytest.mark.rtorrent

SetClock = Callable[[float], None]
HOUR = 3600.0


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Sets this process's wall clock so many seconds off the kernel's; the monotonic clock goes on as ever."""
    real = time.time
    return lambda ahead: monkeypatch.setattr(time, "time", lambda: real() + ahead)


@pytest.fixture
def watching(short_folder: Path, rtorrent: PrivateRTorrent, set_clock: SetClock) -> Iterator[Watching]:
    root = short_folder / "watch"
    root.mkdir()
    set_clock(HOUR)
    with Watching(short_folder, job(root), url=rtorrent.url) as begun:
        begun.settle()
        yield begun


def drop(watching: Watching, name: str) -> Path:
    path = watching.layout.config_dir.parent / "watch" / f"{name}.torrent"
    path.write_bytes(make_metafile(name))
    return path


def test_what_is_visible_is_followed_on_after_the_clock_was_set_back(watching: Watching, set_clock: SetClock) -> None:
    path = drop(watching, "visible")
    watching.until(lambda: watching.state(path) == "visible")
    set_clock(0.0)
    watching.until(lambda: watching.state(path) == "loaded", timeout=5.0)


def test_an_absent_rtorrent_is_asked_again_soon_after_the_clock_was_set_back(
    watching: Watching, set_clock: SetClock, rtorrent: PrivateRTorrent
) -> None:
    rtorrent.kill()
    path = drop(watching, "away")
    loader = watching.watcher.loader
    assert loader is not None
    watching.until(lambda: loader.away.since)
    set_clock(0.0)
    rtorrent.start()
    watching.until(lambda: watching.state(path) in ("visible", "loaded"), timeout=10.0)


def test_a_clock_set_forward_loads_nothing_twice(watching: Watching, set_clock: SetClock) -> None:
    path = drop(watching, "forward")
    set_clock(24 * HOUR)
    watching.until(lambda: watching.state(path) == "loaded")
    set_clock(0.0)
    watching.settle()
    assert [event.name for event in watching.loaded] == ["forward"]
    assert watching.failed == []
