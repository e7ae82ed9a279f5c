"""rTorrent killed while it saves a new item: what it restores without its load commands is loaded again if it is ours.

rTorrent 0.16 renames the metafile of an item in its session before the attributes. The tests cut a load off there, by
removing the attributes of what was saved; 0.9.8, which renames them first, restores such an item alike.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RTorrentFault
from pyrotorque.open_loads import MARK
from pyrotorque.rtorrent import ExchangeFailed, RTorrent
from tests.dropping import drop, items
from tests.waiting import eventually
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")

COMMANDS = (("label", "d.custom1.set=tv"), ("place", "d.directory.set=/nonexistent/tv"))


class WatcherKilled(BaseException):
    """Not caught by the watcher, as SIGKILL."""


def cut_off(rtorrent: PrivateRTorrent, hashes: set[str] | None = None) -> None:
    """Kill rTorrent when it has saved the metafiles of these (all) new items, but not their attributes; start it."""
    rows = RTorrent(rtorrent.url).rows("main", ("d.hash=", f"d.custom={MARK}"))
    saved = hashes or {info for info, mark in rows if mark}  # those without were cut off before
    files = [rtorrent.session / f"{info}.torrent.rtorrent" for info in saved]
    eventually(lambda: all(file.exists() for file in files), 20)
    rtorrent.kill()
    for file in files:
        file.unlink()
    rtorrent.start()
    eventually(lambda: saved <= items(rtorrent), 20)  # it may answer before it has restored them


Cutting = Callable[..., list[str]]


@pytest.fixture
def cutting(monkeypatch: pytest.MonkeyPatch, rtorrent: PrivateRTorrent) -> Cutting:
    """Cuts off the first requests with `at_least` so many loads; `then` is done after the restart, and the call raises
    `error` in the end."""

    def begin(
        *,
        times: int = 1,
        at_least: int = 1,
        then: Callable[[], object] = lambda: None,
        error: type[BaseException] = ExchangeFailed,
    ) -> list[str]:
        done: list[str] = []
        for name in ("call", "multicall"):
            original = getattr(RTorrent, name)

            def call(self: RTorrent, *args: Any, original: Any = original, **named: Any) -> Any:
                answer = original(self, *args, **named)
                methods = [args[0]] if isinstance(args[0], str) else [each[0] for each in args[0]]
                loads = [method for method in methods if method.startswith("load.")]
                if len(done) < times and len(loads) >= at_least:
                    done.append(loads[0])
                    # Its answer may come before the items are there.
                    eventually(lambda: len(items(rtorrent)) >= len(loads), 20)
                    cut_off(rtorrent)
                    then()
                    raise error("rTorrent broke the connection", "reset")
                return answer

            monkeypatch.setattr(RTorrent, name, call)
        return done

    return begin


def watching_with(short_folder: Path, root: Path, rtorrent: PrivateRTorrent, **settings: Any) -> Watching:
    settings = {"commands": COMMANDS} | settings
    return Watching(short_folder, job(root, **settings), url=rtorrent.url)


def has_settings(client: RTorrent, info: str) -> bool:
    values = client.multicall([("d.custom1", (info,)), ("d.directory_base", (info,))])
    return values == ["tv", "/nonexistent/tv"]


@pytest.mark.parametrize("on_loaded", ["keep", "delete", "rename", "move"])
def test_a_load_that_was_cut_off_is_loaded_again_with_its_commands(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting, on_loaded: str
) -> None:
    done = short_folder / "done" if on_loaded == "move" else None
    with watching_with(short_folder, root, rtorrent, on_loaded=on_loaded, loaded_path=done) as watching:
        cutting()
        info = drop(root / "x.torrent")
        watching.until(lambda: watching.states("loaded") == 1)
        assert has_settings(client, info)
        assert [event.info_hash for event in watching.loaded] == [info]
        assert not watching.failed
        watching.until(lambda: (root / "x.torrent").exists() == (on_loaded == "keep"))
        rtorrent.kill()
        rtorrent.start()
        assert has_settings(client, info)


def test_an_item_that_was_to_start_starts(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting
) -> None:
    with watching_with(short_folder, root, rtorrent, load_mode="start", commands=()) as watching:
        cutting()
        info = watching.load(root / "x.torrent")
        eventually(lambda: client.call("d.is_active", info) == 1, 20)
        assert client.call("d.tied_to_file", info) == str(root / "x.torrent")


def test_all_of_a_burst_are_loaded_again(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting
) -> None:
    with watching_with(short_folder, root, rtorrent) as watching:
        done = cutting(times=2, at_least=8)
        hashes = {drop(root / f"{number}.torrent") for number in range(20)}
        watching.until(lambda: watching.states("loaded") == 20, 30)
        assert len(done) == 2
        assert items(rtorrent) == hashes
        assert all(has_settings(client, info) for info in hashes)
        assert sorted(event.info_hash for event in watching.loaded) == sorted(hashes)


def test_a_metafile_at_which_rtorrent_ends_each_time_is_given_up(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, cutting: Cutting
) -> None:
    with watching_with(short_folder, root, rtorrent) as watching:
        done = cutting(times=100)
        drop(root / "x.torrent")
        watching.until(lambda: watching.state(root / "x.torrent") == "failed", 30)
        assert len(done) == 3
        assert [event.kind for event in watching.failed] == ["timeout"]


def test_a_large_metafile_is_loaded_again(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting
) -> None:
    with watching_with(short_folder, root, rtorrent) as watching:
        client.call("network.xmlrpc.size_limit.set", "", 50_000)
        done = cutting()
        info = drop(root / "x.torrent", size=16384 * 5000)
        watching.until(lambda: watching.states("loaded") == 1)
        assert done == ["load.verbose"]
        assert has_settings(client, info)
        assert client.call("d.tied_to_file", info) == str(root / "x.torrent")


def test_all_links_of_a_magnet_file_are_loaded_again(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting
) -> None:
    with watching_with(short_folder, root, rtorrent) as watching:
        cutting()
        hashes = ["%040X" % (0xABCDEF << n) for n in range(2)]
        links = (f"magnet:?xt=urn:btih:{info}&dn=name&tr=http://127.0.0.1:1/a\n" for info in hashes)
        (root / "two.magnet").write_text("".join(links))
        watching.until(lambda: watching.states("loaded") == 1)
        assert all(has_settings(client, info) for info in hashes)
        assert [event.info_hash for event in watching.loaded] == hashes


def test_one_link_of_a_magnet_file_that_was_lost_is_loaded_again(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    with watching_with(short_folder, root, rtorrent) as watching:
        hashes = ["%040X" % (0xABCDEF << n) for n in range(3)]
        links = (f"magnet:?xt=urn:btih:{info}&dn=name&tr=http://127.0.0.1:1/a\n" for info in hashes)
        (root / "three.magnet").write_text("".join(links))
        watching.until(lambda: watching.state(root / "three.magnet") == "visible")
        cut_off(rtorrent, {hashes[1]})
        rtorrent.kill()
        for file in rtorrent.session.glob(f"{hashes[2]}*"):
            file.unlink()
        rtorrent.start()
        watching.until(lambda: watching.states("loaded") == 1)
        assert all(has_settings(client, info) for info in hashes)
        assert len(watching.loaded) == 3


@pytest.mark.parametrize("moment", ["after the restart", "after the item was erased"])
def test_a_watcher_that_is_killed_with_it_continues(
    short_folder: Path,
    root: Path,
    rtorrent: PrivateRTorrent,
    client: RTorrent,
    cutting: Cutting,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with watching_with(short_folder, root, rtorrent) as watching:
        erased = moment == "after the item was erased"
        cutting(error=ExchangeFailed if erased else WatcherKilled)
        if erased:

            def kill(*_: object) -> None:
                raise WatcherKilled

            monkeypatch.setattr("pyrotorque_watcher.load.outcomes.LoadOutcomes.cut_off", kill)
        info = drop(root / "x.torrent")
        with pytest.raises(WatcherKilled):
            watching.until(lambda: False)
        if erased:
            assert items(rtorrent) == set()
            monkeypatch.undo()
        watching.again()
        watching.until(lambda: watching.states("loaded") == 1)
        assert has_settings(client, info)
        assert len(watching.loaded) == 1


def test_an_item_cut_off_after_it_was_visible_is_loaded_again_and_published_once(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    with watching_with(short_folder, root, rtorrent) as watching:
        info = drop(root / "x.torrent")
        watching.until(lambda: watching.state(root / "x.torrent") == "visible")
        cut_off(rtorrent)
        watching.until(lambda: watching.states("loaded") == 1)
        assert has_settings(client, info)
        assert [event.info_hash for event in watching.loaded] == [info]


@pytest.mark.parametrize(("command", "arguments"), [("d.start", ()), ("d.custom.set", ("addtime", "1"))])
def test_what_its_owner_changed_meanwhile_stays_as_it_is(
    short_folder: Path,
    root: Path,
    rtorrent: PrivateRTorrent,
    client: RTorrent,
    cutting: Cutting,
    command: str,
    arguments: tuple[str, ...],
) -> None:
    path = root / "x.torrent"
    info = info_hash(make_metafile(path.name))
    with watching_with(short_folder, root, rtorrent) as watching:
        cutting(then=lambda: client.call(command, info, *arguments))
        drop(path)
        watching.until(lambda: watching.state(path) == "duplicate")
        assert not has_settings(client, info)
        (event,) = watching.failed
        assert (event.kind, "erase the item and load the metafile again" in event.reason) == ("duplicate", True)


def test_an_item_that_was_there_before_is_a_duplicate_also_after_a_restart(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting
) -> None:
    path = root / "x.torrent"
    metafile = make_metafile(path.name)
    client.call("load.raw", "", metafile)
    eventually(lambda: items(rtorrent), 20)
    with watching_with(short_folder, root, rtorrent) as watching:
        cutting()
        drop(path)
        watching.until(lambda: watching.state(path) == "duplicate")
        assert not has_settings(client, info_hash(metafile))
        assert [event.reason for event in watching.failed] == ["rTorrent has this torrent already"]


def test_an_item_that_another_program_added_at_the_same_time_stays(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "x.torrent"
    metafile = make_metafile(path.name)
    with watching_with(short_folder, root, rtorrent) as watching:
        loader = watching.watcher.stages.loader  # type: ignore[union-attr]
        record = loader.ledger.record_loads

        def race(rows: Any, now: float) -> Any:
            recorded = record(rows, now)
            client.call("load.raw", "", metafile)
            eventually(lambda: items(rtorrent), 20)
            return recorded

        monkeypatch.setattr(loader.ledger, "record_loads", race)
        drop(path)
        watching.until(lambda: watching.state(path) == "duplicate")
        assert not has_settings(client, info_hash(metafile))
        rtorrent.restart()
        watching.settle()
        assert items(rtorrent) == {info_hash(metafile)}
        assert watching.state(path) == "duplicate"


def test_an_item_that_its_owner_added_after_a_load_that_was_lost_stays(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting
) -> None:
    path = root / "x.torrent"
    metafile = make_metafile(path.name)

    def lose_and_add() -> None:
        client.call("d.erase", info_hash(metafile))
        client.call("load.raw", "", metafile)
        eventually(lambda: items(rtorrent), 20)

    with watching_with(short_folder, root, rtorrent) as watching:
        cutting(then=lose_and_add)
        drop(path)
        watching.until(lambda: watching.state(path) == "duplicate")
        assert not has_settings(client, info_hash(metafile))


def test_a_broken_item_that_is_replaced_may_be_cut_off_too(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting
) -> None:
    path = root / "x.torrent"
    with watching_with(short_folder, root, rtorrent, commands=(("x", "d.priority.set=nonsense"),)) as watching:
        info = drop(path)
        watching.until(lambda: watching.state(path) == "failed")
        cutting()
        watching.again(job(root, commands=COMMANDS))
        with watching.watcher.ledger.transaction():
            watching.watcher.ledger.retry_all(0.0)
        watching.until(lambda: watching.states("loaded") == 1)
        assert has_settings(client, info)


def test_an_item_of_another_session_is_not_erased(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting
) -> None:
    """Another rTorrent answers at the same address, and its owner added the torrent there."""
    path = root / "x.torrent"
    metafile = make_metafile(path.name)

    def replace_session() -> None:
        rtorrent.kill()
        rtorrent.session = rtorrent.folder / "other session"
        rtorrent.start()
        client.call("load.raw", "", metafile)
        # 0.16 saves it later, and would lose it.
        eventually((rtorrent.session / f"{info_hash(metafile)}.torrent").exists, 20)
        rtorrent.restart()
        eventually(lambda: items(rtorrent), 20)

    with watching_with(short_folder, root, rtorrent) as watching:
        cutting(then=replace_session)
        drop(path)
        watching.until(lambda: watching.state(path) == "duplicate")
        with pytest.raises(RTorrentFault):
            client.call("d.custom_throw", info_hash(metafile), "pyrotorque")


def test_an_item_that_was_cut_off_stays_where_a_handler_removes_data(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, cutting: Cutting
) -> None:
    """Data may have been in its folder before; without the handler the item would be erased and loaded again."""
    kept = short_folder / "of its owner"
    kept.write_text("data")

    def set_handler() -> None:
        command = f'execute.nothrow=rm,-f,"{kept}"'
        client.call("method.set_key", "", "event.download.erased", "rm_data", command)

    with watching_with(short_folder, root, rtorrent) as watching:
        cutting(then=set_handler)
        info = drop(root / "x.torrent")
        watching.until(lambda: watching.states("loaded") + len(watching.failed) >= 1)
        assert info in items(rtorrent)
        assert kept.exists()
