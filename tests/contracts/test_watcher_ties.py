"""No item is lost to `remove_untied` by kills during or after the disposal of its metafile."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import WatchSettings
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.settle.metafile_names import MetafileNames
from pyrotorque_watcher.settle.ties import Ties
from tests.dropping import drop, items
from tests.programs import Program
from tests.waiting import eventually
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")

UNTYING = """\
method.insert = untied_ran, value, 0
schedule = untied, 5, 1, ((remove_untied))
schedule = untied_ran, 5, 1, ((untied_ran.set, 1))
"""
MODES = ("delete", "move", "rename")


class Killed(BaseException):
    """What a kill of the watcher looks like from inside: nothing after it is run."""


@pytest.fixture
def untying(rtorrent_program: Program, short_folder: Path) -> Iterator[PrivateRTorrent]:
    """An rTorrent that runs remove_untied 5 s after its start, and then every second.

    On a busy machine, it answers the first call more than a second after its start.
    """
    with PrivateRTorrent(short_folder / "untying", extra_rc=UNTYING) as rtorrent:
        yield rtorrent


def disposing(root: Path, how: str, **params: Any) -> WatchSettings:
    return job(root, on_loaded=how, loaded_path=root.parent / "done" if how == "move" else None, **params)


def untied_ran(rtorrent: PrivateRTorrent) -> None:
    """Wait until remove_untied has run after this call."""
    client = RTorrent(rtorrent.url)
    client.call("untied_ran.set", "", 0)
    eventually(lambda: client.call("untied_ran") == 1, 20, why="remove_untied ran")


def ties(rtorrent: PrivateRTorrent) -> set[str]:
    return {tie for _, tie in RTorrent(rtorrent.url).rows("main", ["d.hash=", "d.tied_to_file="])}


def killed_at(at: int, kill: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """`kill` before or after one of the steps of a disposal; whether it was done."""
    steps = count(1)
    done = [False]

    def step() -> None:
        if next(steps) == at:
            done[0] = True
            kill()

    def wrapped(effect: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            step()
            result = effect(*args, **kwargs)
            step()
            return result

        return counted

    for owner, name in (
        (MetafileNames, "link_to"),
        (Ties, "_replace"),
        (Ties, "_seen"),
        (Ledger, "mark_disposing"),
        (MetafileNames, "remove"),
        (Ledger, "mark_done"),
    ):
        monkeypatch.setattr(owner, name, wrapped(getattr(owner, name)))
    return lambda: done[0]


@pytest.mark.parametrize(
    ("how", "victim"), [("delete", "rTorrent"), ("delete", "watcher"), ("move", "both"), ("rename", "rTorrent")]
)
def test_items_survive_a_kill_at_each_step_of_a_disposal(
    short_folder: Path, root: Path, untying: PrivateRTorrent, how: str, victim: str
) -> None:
    infos, at = set[str](), 0

    def kill() -> None:
        if victim != "watcher":
            untying.kill()
            if victim == "rTorrent":
                untying.start()
        if victim != "rTorrent":
            raise Killed

    with Watching(short_folder, disposing(root, how), url=untying.url) as watching:
        watching.settle()
        for at in count(1):
            names = [f"{at}-{number}.torrent" for number in range(2)]
            with pytest.MonkeyPatch.context() as monkeypatch:
                was_killed = killed_at(at, kill, monkeypatch)
                infos |= {drop(root / name) for name in names}
                try:
                    watching.until(lambda names=names: not any((root / name).exists() for name in names), 30)  # type: ignore[misc]
                    watching.settle()
                except Killed:
                    monkeypatch.undo()
                    untying.start()
                    watching.again()
            watching.until(lambda names=names: not any((root / name).exists() for name in names), 30)  # type: ignore[misc]
            if not was_killed():
                break
            untying.kill()  # again, right after the disposal
            untying.start()
            watching.settle()
            assert items(untying) == infos, f"step {at}"
        untied_ran(untying)
        watching.until(lambda: watching.states("loaded") == len(infos))
        assert items(untying) == infos
        assert len(watching.loaded) == len(infos)
        assert at > 10
        done = {"delete": root, "move": root.parent / "done", "rename": root}[how]
        assert len(list(done.iterdir())) == (0 if how == "delete" else len(infos))


@pytest.mark.parametrize("how", MODES)
def test_twenty_items_survive_a_kill_right_after_their_disposal(
    short_folder: Path, root: Path, untying: PrivateRTorrent, how: str
) -> None:
    with Watching(short_folder, disposing(root, how), url=untying.url) as watching:
        watching.settle()
        infos = {drop(root / f"{number}.torrent") for number in range(20)}
        watching.until(lambda: not list(root.glob("*.torrent")), 30)
        untying.kill()
    untying.start()  # no watcher runs
    untied_ran(untying)
    assert items(untying) == infos


@pytest.mark.parametrize("watcher", ["runs", "is started later"])
@pytest.mark.parametrize("how", MODES)
def test_items_of_a_restored_session_survive(
    short_folder: Path, root: Path, untying: PrivateRTorrent, how: str, watcher: str
) -> None:
    backup = short_folder / "backup"
    with Watching(short_folder, job(root), url=untying.url) as watching:
        watching.settle()
        infos = {watching.load(root / f"{number}.torrent") for number in range(5)}
        old = {str(root / f"{number}.torrent") for number in range(5)}
        assert ties(untying) == old
        shutil.copytree(untying.session, backup, ignore=shutil.ignore_patterns("rtorrent.*", "*.new"))
        watching.again(disposing(root, how))
        for path in root.iterdir():
            path.touch()
        watching.until(lambda: not list(root.glob("*.torrent")), 30)
        untying.kill()
        shutil.copytree(backup, untying.session, dirs_exist_ok=True)
        if watcher == "is started later":
            untying.extra_rc = ""
        untying.start()
        if watcher == "is started later":
            watching.again()
        watching.until(lambda: old.isdisjoint(ties(untying)))
        RTorrent(untying.url).call("remove_untied", "")
        assert items(untying) == infos


def test_an_item_whose_metafile_its_owner_deletes_is_still_erased(
    short_folder: Path, root: Path, untying: PrivateRTorrent
) -> None:
    with Watching(short_folder, job(root), url=untying.url) as watching:
        watching.settle()
        kept, erased = (watching.load(root / name) for name in ("a.torrent", "b.torrent"))
        untying.kill()
        (root / "b.torrent").unlink()
        watching.settle()
        untying.start()
        watching.until(lambda: erased not in items(untying), 10)
        assert items(untying) == {kept}


def test_an_item_that_1_0_0_left_tied_to_a_deleted_metafile_survives(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent
) -> None:
    """1.0.0 cut the tie and did not have it saved."""
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        watching.settle()
        info = watching.load(root / "a.torrent")
        rtorrent.kill()
        (root / "a.torrent").unlink()
        watching.rescan()
        watching.settle()
        watching.again(job(root, on_loaded="delete"))
        rtorrent.start()
        watching.until(lambda: RTorrent(rtorrent.url).call("d.tied_to_file", info) == "")
        RTorrent(rtorrent.url).call("remove_untied", "")
        assert items(rtorrent) == {info}


def test_a_renamed_metafile_whose_new_tie_was_not_saved_is_tied_again(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent
) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        watching.settle()
        info = watching.load(root / "a.torrent")
        (root / "a.torrent").rename(root / "b.torrent")
        watching.until(lambda: RTorrent(rtorrent.url).call("d.tied_to_file", info) == str(root / "b.torrent"))
        watching.settle()
        rtorrent.kill()
        rtorrent.start()
        assert RTorrent(rtorrent.url).call("d.tied_to_file", info) == str(root / "b.torrent")


def test_a_metafile_stays_while_rtorrent_cannot_save_the_new_tie(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent
) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        watching.settle()
        info = watching.load(root / "a.torrent")
        # rTorrent writes to this name first; it reports no failed save, as with a full disk.
        obstacle = rtorrent.session / f"{info}.torrent.rtorrent.new"
        obstacle.mkdir()
        watching.again(job(root, on_loaded="delete"))
        (root / "a.torrent").touch()
        watching.until(lambda: RTorrent(rtorrent.url).call("d.tied_to_file", info) == "", 20)
        watching.settle()
        assert (root / "a.torrent").exists()
        obstacle.rmdir()
        watching.until(lambda: not (root / "a.torrent").exists(), 20)
        assert items(rtorrent) == {info}


def test_where_the_session_cannot_be_seen_disposal_waits(
    watching: Watching,
    root: Path,
    rtorrent: PrivateRTorrent,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def is_held_by(*_: object) -> bool:
        return False

    monkeypatch.setattr("pyrotorque.rtorrent.session._is_held_by", is_held_by)
    monkeypatch.setattr("pyrotorque_watcher.settle.ties._UNSEEN", 1.5)
    watching.again(job(root, on_loaded="delete"))
    info = drop(root / "a.torrent")
    watching.until(lambda: "cannot be seen from here" in caplog.text, 20)
    assert (root / "a.torrent").exists()
    watching.until(lambda: not (root / "a.torrent").exists(), 20)
    rtorrent.kill()
    rtorrent.start()
    assert RTorrent(rtorrent.url).call("d.tied_to_file", info) == ""


def test_an_item_erased_between_two_calls_does_not_count_as_an_unavailable_rtorrent(
    watching: Watching,
    root: Path,
    rtorrent: PrivateRTorrent,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, is_saved = RTorrent(rtorrent.url), Ties._is_saved  # pyright: ignore[reportPrivateUsage]

    def erase(self: Ties, change: Any, ours: bool) -> bool:
        if change.info_hash in items(rtorrent):
            client.call("d.tied_to_file.set", change.info_hash, "")
            client.call("d.erase", change.info_hash)
        return is_saved(self, change, ours)

    watching.again(job(root, on_loaded="delete"))
    monkeypatch.setattr(Ties, "_is_saved", erase)
    drop(root / "a.torrent")
    watching.until(lambda: not (root / "a.torrent").exists(), 20)
    assert "unavailable" not in caplog.text


def test_a_tie_that_a_user_changed_stays(short_folder: Path, root: Path, rtorrent: PrivateRTorrent) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        watching.settle()
        info = watching.load(root / "a.torrent")
        own = short_folder / "own.torrent"
        shutil.copy(root / "a.torrent", own)
        RTorrent(rtorrent.url).call("d.tied_to_file.set", info, str(own))
        watching.again(job(root, on_loaded="delete"))
        (root / "a.torrent").touch()
        watching.until(lambda: not (root / "a.torrent").exists(), 20)
        assert RTorrent(rtorrent.url).call("d.tied_to_file", info) == str(own)


@pytest.mark.parametrize(
    ("first", "then"), [("delete", "keep"), ("keep", "delete"), ("delete", "move"), ("move", "delete")]
)
def test_no_item_is_lost_if_the_setting_changes_between_load_and_disposal(
    short_folder: Path, root: Path, untying: PrivateRTorrent, first: str, then: str
) -> None:
    """Only an item whose metafile is deleted next is loaded without a tie."""
    done = root.parent / "done"
    with Watching(short_folder, job(root, on_loaded=first, loaded_path=done), url=untying.url) as watching:
        hashes = {drop(root / f"{number}.torrent") for number in range(5)}
        watching.until(lambda: watching.states("visible") == 5)
        assert ties(untying) == ({""} if first == "delete" else {str(path) for path in root.iterdir()})
        watching.again(job(root, on_loaded=then, loaded_path=done))
        watching.until(lambda: watching.states("loaded") == 5 and not watching.watcher.ledger.todo(1), 30)
        assert len(list(root.glob("*.torrent"))) == (5 if then == "keep" else 0)
        untied_ran(untying)
        untying.kill()
        untying.start()
        untied_ran(untying)
        assert items(untying) == hashes
        assert len(watching.loaded) == 5
