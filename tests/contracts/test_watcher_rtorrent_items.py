"""Many metafiles in one request: limits, crashes and hangs in the middle of it delay no other metafile."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import ExchangeFailed, RTorrent
from pyrotorque_watcher.load.rtorrent_items import ItemState
from pyrotorque_watcher.rows import LoadRecord
from tests.dropping import drop, items
from tests.watching import Watching

pytestmark = pytest.mark.usefixtures("rtorrent_program")


def test_an_rtorrent_that_accepts_small_requests_only_gets_small_ones(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent
) -> None:
    client = RTorrent(rtorrent.url)
    client.call("network.xmlrpc.size_limit.set", "", 8_000)
    wanted = {drop(root / f"{number}.torrent", comment="x" * 1000) for number in range(100)}
    watching.until(lambda: watching.states("loaded") == 100, 30)
    assert items(rtorrent) == wanted
    marks = client.multicall([("d.custom", (row.load.info_hash, "pyrotorque")) for row in watching.rows])
    assert marks == [row.token for row in watching.rows]


def holds(what: object, data: bytes) -> bool:
    return any(holds(each, data) for each in what) if isinstance(what, (list, tuple)) else what == data


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch, rtorrent: PrivateRTorrent) -> Callable[[bytes], list[int]]:
    """Crashes rTorrent at a metafile, and restarts it as its service manager would; how often that happened."""

    def made(metafile: bytes) -> list[int]:
        crashes: list[int] = []
        for name in ("call", "multicall"):
            asked = getattr(RTorrent, name)

            def ask(self: RTorrent, *args: Any, asked: Any = asked, **named: Any) -> Any:
                if not holds(args, metafile):
                    return asked(self, *args, **named)
                crashes.append(rtorrent.pid)
                rtorrent.kill()
                rtorrent.start()
                raise ExchangeFailed("rTorrent broke the connection", "reset")

            monkeypatch.setattr(RTorrent, name, ask)
        return crashes

    return made


def test_a_metafile_that_crashes_rtorrent_fails_and_the_others_are_loaded(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, crashing: Callable[[bytes], list[int]]
) -> None:
    poison = make_metafile("poison")
    crashes = crashing(poison)
    wanted = {drop(root / f"{number:02}.torrent") for number in (*range(5), *range(6, 30))}
    (root / "05.torrent").write_bytes(poison)
    watching.until(lambda: watching.state(root / "05.torrent") == "failed", 30)
    watching.until(lambda: items(rtorrent) == wanted)
    assert len(crashes) == 3
    assert [(event.kind, event.metafile) for event in watching.failed] == [("timeout", str(root / "05.torrent"))]
    assert "cause of the crash" in watching.row(root / "05.torrent").progress.reason
    watching.until(lambda: {event.info_hash for event in watching.loaded} == wanted)
    assert len(watching.loaded) == len(wanted)


def test_a_hang_in_the_middle_of_a_burst_fails_no_metafile(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent
) -> None:
    """rTorrent executes a request that timed out later; its items are checked before it is sent again."""
    wanted = {drop(root / f"{number}.torrent") for number in range(40)}
    loader = watching.watcher.loader
    assert loader
    loader.instance.rtorrent.read_timeout = 0.3
    for _ in range(5):
        loaded = len(watching.loaded)
        watching.until(lambda loaded=loaded: len(watching.loaded) > loaded)  # type: ignore[misc]
        rtorrent.pause()
        watching.turn()
        rtorrent.resume()
        if len(watching.loaded) == 40:
            break
    watching.until(lambda: len(watching.loaded) == 40, 20)
    assert {event.info_hash for event in watching.loaded} == wanted == items(rtorrent)
    assert not watching.failed


def test_the_items_of_a_burst_are_found_by_their_load_time_and_the_others_one_by_one(
    watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.time()
    for number in range(40):
        drop(root / f"{number}.torrent")
    watching.until(lambda: len(watching.loaded) == 40, 30)
    assert watching.watcher.loader
    found = watching.watcher.loader.items
    looked_up: list[str] = []
    multicall = RTorrent.multicall

    def spy(self: RTorrent, calls: Any, *args: Any, **named: Any) -> Any:
        looked_up.extend(params[0] for name, params in calls if name == "d.custom")
        return multicall(self, calls, *args, **named)

    monkeypatch.setattr(RTorrent, "multicall", spy)
    absent = msgspec.structs.replace(watching.rows[0], turn=1001, load=LoadRecord(info_hash="AB" * 20))
    foreign = msgspec.structs.replace(watching.rows[1], turn=1002, token="another")
    rows = [*watching.rows, absent, foreign]
    expected = [*[ItemState.LOADED] * 40, ItemState.ABSENT, ItemState.FOREIGN]
    assert found.states(rows, began) == expected
    assert looked_up == ["AB" * 20]
    # An rTorrent whose clock is behind: nothing is found by its time.
    assert found.states(rows, began + 1000) == expected
    assert len(looked_up) == 43
