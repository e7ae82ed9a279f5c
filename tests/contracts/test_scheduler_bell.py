"""The bell with a real rTorrent that uses the include of deploy/rtorrent.d."""

import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.bell_file import bell_file, ring
from pyrotorque.rtorrent import RTorrent
from pyrotorque_scheduler.bell import Bell
from tests.dropping import drop
from tests.programs import Program
from tests.waiting import eventually
from tests.watching import Watching, job

INCLUDE = Path(__file__).parents[2] / "deploy" / "rtorrent.d" / "bell.rc"


@pytest.fixture
def bell(short_folder: Path) -> Iterator[Bell]:
    made = Bell(short_folder / "a bell")
    yield made
    made.close()


@pytest.fixture
def ringing(rtorrent_program: Program, short_folder: Path, bell: Bell) -> Iterator[PrivateRTorrent]:
    include = INCLUDE.read_text().replace("~/.pyroscope/run/bell", str(short_folder / "a bell"))
    with PrivateRTorrent(short_folder / "rt", extra_rc=include) as running:
        yield running


def rings(bell: Bell, timeout: float = 2.0) -> bool:
    """Whether it rings within `timeout` seconds; pending events are read."""
    ready, _, _ = select.select([bell.fd], [], [], timeout)
    bell.drain()
    return bool(ready)


@pytest.mark.usefixtures("rtorrent_program")
def test_it_rings_when_an_item_is_loaded_stopped_and_erased(ringing: PrivateRTorrent, bell: Bell) -> None:
    rtorrent, metafile = RTorrent(ringing.url), make_metafile("one")
    item = info_hash(metafile)
    rtorrent.call("load.raw", "", metafile)
    assert rings(bell)
    rtorrent.call("d.start", item)
    eventually(lambda: rtorrent.call("d.is_active", item) == 1)
    rtorrent.call("d.stop", item)
    assert rings(bell)
    rtorrent.call("d.erase", item)
    assert rings(bell)


@pytest.mark.usefixtures("rtorrent_program")
def test_it_is_silent_when_nothing_happens(ringing: PrivateRTorrent, bell: Bell) -> None:
    RTorrent(ringing.url).call("system.pid")
    assert not rings(bell, timeout=0.2)


def test_a_burst_is_one_ring(bell: Bell, short_folder: Path) -> None:
    for _ in range(5_000):
        ring(short_folder / "a bell")
    assert rings(bell)
    assert not rings(bell, timeout=0)


def test_a_removed_bell_is_created_again(bell: Bell, short_folder: Path) -> None:
    (short_folder / "a bell").unlink()
    rings(bell, timeout=0.5)
    bell.watch()
    ring(short_folder / "a bell")
    assert rings(bell)


def test_on_a_full_disk_the_queue_works_without_a_bell() -> None:
    full = Bell(Path("/dev/full"))
    assert not rings(full, timeout=0)
    full.close()


def test_the_file_contains_only_its_comment(short_folder: Path) -> None:
    path = short_folder / "bell"
    path.write_text("execute.throw = touch, /tmp/pwned\n")
    Bell(path).close()
    assert all(line.startswith("#") for line in path.read_text().splitlines())


def test_without_a_scheduler_a_ring_does_nothing(short_folder: Path) -> None:
    ring(short_folder / "no bell")
    ring(short_folder / "no folder" / "bell")
    assert not any(short_folder.iterdir())


@pytest.mark.parametrize(
    ("params", "does_ring"),
    [
        pytest.param({"load_mode": "start", "queued": True}, True, id="for the queue"),
        pytest.param({}, True, id="stopped"),
        pytest.param({"queued": True}, False, id="its owner raises its priority first"),
        pytest.param({"load_mode": "start"}, False, id="started by its load"),
    ],
)
def test_the_watcher_rings_for_items_that_a_queue_may_start(
    shared_rtorrent: PrivateRTorrent, short_folder: Path, params: dict[str, Any], does_ring: bool
) -> None:
    root = short_folder / "watch"
    root.mkdir()
    with Watching(short_folder, job(root, **params), url=shared_rtorrent.url) as watching:
        bell = Bell(bell_file(watching.layout))
        watching.settle()
        assert not rings(bell, timeout=0)
        path = root / "x.torrent"
        drop(path, f"ring {params}")
        watching.until(lambda: watching.state(path) in ("visible", "loaded"))
        assert rings(bell, timeout=0) is does_ring
        bell.close()
