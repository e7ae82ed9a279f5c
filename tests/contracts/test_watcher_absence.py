"""No metafile is sent before the ledger has what the very same rTorrent answered about its item: that it is absent.

In a burst, the absence of the next items is read by the request that loads those before them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.dropping import drop, items
from tests.waiting import eventually
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")

COUNT = 40


class Requests:
    """All requests with loads or about absences, and for each load whether the ledger had its absence before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.watching: Watching | None = None
        self.own = 0
        self.with_loads = 0
        self.proven: dict[str, bool] = {}
        self._original = {name: getattr(RTorrent, name) for name in ("call", "multicall")}
        for name in self._original:
            monkeypatch.setattr(RTorrent, name, self._recording(name))

    def _recording(self, name: str) -> Callable[..., Any]:
        def call(client: RTorrent, *args: Any, **named: Any) -> Any:
            calls = [(args[0], args[1:])] if isinstance(args[0], str) else args[0]
            self._received(calls)
            return self._original[name](client, *args, **named)

        return call

    def _received(self, calls: Sequence[Any]) -> None:
        loads = [params[1] for method, params in calls if method.startswith("load.raw")]
        self.with_loads += bool(loads)
        self.own += not loads and ("system.time", ("",)) in calls and any(method == "d.state" for method, _ in calls)
        if self.watching is None:
            return
        absences = {row.load.info_hash: row.absence for row in self.watching.rows if row.progress.state == "sent"}
        for metafile in loads:
            absence = absences.get(info_hash(metafile))
            self.proven[info_hash(metafile)] = absence is not None and info_hash(metafile) in absence.info_hashes


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    return Requests(monkeypatch)


@pytest.fixture
def watching(short_folder: Path, root: Path, rtorrent: PrivateRTorrent, requests: Requests) -> Watching:
    return Watching(short_folder, job(root), url=rtorrent.url)


def test_the_absence_in_a_burst_needs_one_request_of_its_own(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, requests: Requests
) -> None:
    with watching:
        requests.watching = watching
        hashes = {drop(root / f"{number}.torrent") for number in range(COUNT)}
        watching.until(lambda: watching.states("loaded") == COUNT, 40)
        assert requests.proven == dict.fromkeys(hashes, True)
        assert (requests.own, requests.with_loads) == (1, 6)  # 1 and 8 at a time
        assert items(rtorrent) == hashes


def test_two_names_of_one_torrent_in_a_burst_are_one_item(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, requests: Requests
) -> None:
    metafiles = [make_metafile(f"twin {number}") for number in range(COUNT // 2)]
    with watching:
        requests.watching = watching
        for number, metafile in enumerate(metafiles):
            for name in ("a", "b"):
                (root / f"{number:02d}{name}.torrent").write_bytes(metafile)
        watching.until(lambda: watching.states("loaded") + watching.states("duplicate") == COUNT, 40)
        assert watching.states("loaded") == len(metafiles)
        assert items(rtorrent) == {info_hash(metafile) for metafile in metafiles}
        assert len(watching.loaded) == len(metafiles)


@pytest.mark.parametrize("what", ["restarted", "killed", "slow"])
def test_what_an_earlier_rtorrent_or_an_old_answer_proves_is_read_again(
    what: str,
    watching: Watching,
    root: Path,
    rtorrent: PrivateRTorrent,
    requests: Requests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the request that loads one batch and the next one."""
    with watching:
        requests.watching = watching
        loader = watching.watcher.stages.loader  # type: ignore[union-attr]
        sent: list[int] = []
        load = type(loader.items).load

        def loading(*args: Any) -> Any:
            answers = load(*args)
            sent.append(requests.own)
            if len(sent) == 1:
                hashes = {ready.row.load.info_hash for ready in args[1]}
                # One of them is written last, which one depends on the version.
                files = [rtorrent.session / f"{each}.torrent{end}" for each in hashes for end in ("", ".rtorrent")]
                eventually(lambda: all(path.exists() for path in files), 20)
                if what == "slow":
                    monkeypatch.setattr("pyrotorque_watcher.load.loader._ABSENCE_AGE", 0.0)
                else:
                    rtorrent.kill() if what == "killed" else rtorrent.stop()
                    rtorrent.start()
                    eventually(lambda: hashes <= items(rtorrent), 20)
            return answers

        monkeypatch.setattr(type(loader.items), "load", loading)
        hashes = {drop(root / f"{number}.torrent") for number in range(COUNT)}
        watching.until(lambda: watching.states("loaded") == COUNT, 40)
        assert sent[:2] == [1, 2 if what == "slow" else 3]  # a new process is identified first
        assert requests.proven == dict.fromkeys(hashes, True)
        assert items(rtorrent) == hashes


def test_an_item_that_was_there_is_no_evidence_for_another_in_its_batch(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, requests: Requests, client: RTorrent
) -> None:
    metafiles = [make_metafile(f"{number}.torrent") for number in range(COUNT)]
    for metafile in metafiles[::3]:
        client.call("load.raw", "", metafile)
    eventually(lambda: len(items(rtorrent)) == len(metafiles[::3]), 20)
    with watching:
        requests.watching = watching
        for number, metafile in enumerate(metafiles):
            (root / f"{number:02d}.torrent").write_bytes(metafile)
        watching.until(lambda: watching.states("loaded") + watching.states("duplicate") == COUNT, 40)
        assert watching.states("duplicate") == len(metafiles[::3])
        proven = {info_hash(metafile): number % 3 != 0 for number, metafile in enumerate(metafiles)}
        assert requests.proven == proven


@pytest.mark.parametrize("to", ["renamed.torrent", "sub/renamed.torrent"])
def test_a_file_that_is_renamed_while_others_of_its_burst_are_loaded_is_loaded_from_its_new_path(
    watching: Watching,
    root: Path,
    rtorrent: PrivateRTorrent,
    client: RTorrent,
    monkeypatch: pytest.MonkeyPatch,
    to: str,
) -> None:
    """Some are prepared then, others are not read yet; the event is received while rTorrent works."""
    (root / "sub").mkdir()
    with watching:
        watching.settle()
        loader = watching.watcher.stages.loader  # type: ignore[union-attr]
        hashes = {f"{number:02d}": drop(root / f"{number:02d}.torrent") for number in range(COUNT)}
        renamed = {name: (root / to).with_name(f"{name}-{(root / to).name}") for name in ("03", "12", "20", "39")}
        load = type(loader.items).load

        def loading(*args: Any) -> Any:
            for name, path in renamed.items():
                if (root / f"{name}.torrent").exists():
                    (root / f"{name}.torrent").rename(path)
            return load(*args)

        monkeypatch.setattr(type(loader.items), "load", loading)
        watching.until(lambda: watching.states("loaded") == COUNT, 40)
        watching.settle()
        assert items(rtorrent) == set(hashes.values())
        assert len(watching.loaded) == COUNT
        paths = {name: renamed.get(name, root / f"{name}.torrent") for name in hashes}
        ties = {name: client.call("d.tied_to_file", info) for name, info in hashes.items()}
        assert ties == {name: str(path) for name, path in paths.items()}


def test_a_burst_survives_kills_of_rtorrent_right_before_and_after_loads(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = job(root, on_loaded="delete", commands=(("label", "d.custom1.set=tv"),))
    with Watching(short_folder, settings, url=rtorrent.url) as watching:
        loader = watching.watcher.stages.loader  # type: ignore[union-attr]
        load, requests = type(loader.items).load, list[int]()

        def loading(*args: Any) -> Any:
            requests.append(len(requests))
            if len(requests) == 2:
                rtorrent.kill()
                rtorrent.start()
            answers = load(*args)
            if len(requests) in (4, 6):
                rtorrent.kill()
                rtorrent.start()
            return answers

        monkeypatch.setattr(type(loader.items), "load", loading)
        hashes = {drop(root / f"{number}.torrent") for number in range(COUNT)}
        watching.until(lambda: not any(root.iterdir()), 60)
        rtorrent.kill()
        rtorrent.start()
        assert items(rtorrent) == hashes
        assert {str(client.call("d.custom1", info)) for info in hashes} == {"tv"}
        assert sorted(event.info_hash for event in watching.loaded) == sorted(hashes)
