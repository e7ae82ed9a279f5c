"""An item that its owner erases and loads again in the same folder, while a job acts on it or after a kill of that job.

The job has begun with another item, and leaves the new one and its data.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.housekeeping.journal import RemovalPhase
from pyrotorque.jobs import move_files, mover
from pyrotorque.rtorrent import item_load
from pyrotorque.rtorrent.session import Session
from tests.cleaning import SILENT, CleanupScene
from tests.contracts.test_cleanup_interplay import at_phase, content_of, journals, kill_at
from tests.contracts.test_jobs_mover import Killed, Scene, killed_after_the_rename, no_pause
from tests.waiting import eventually

__all__ = ["no_pause"]  # a fixture


@pytest.fixture
def cleanup(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


@pytest.fixture(params=["same disk", "other disk"])
def scene(request: pytest.FixtureRequest, rtorrent: PrivateRTorrent, short_folder: Path) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="prt-", dir="/dev/shm") as other:
        folder = short_folder if request.param == "same disk" else Path(other)
        yield Scene(rtorrent, short_folder, folder / "done", multi=True)


@pytest.fixture
def copied(rtorrent: PrivateRTorrent, short_folder: Path) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="prt-", dir="/dev/shm") as other:
        yield Scene(rtorrent, short_folder, Path(other) / "done", multi=True)


def again(has: Callable[[], bool], client: Any, info_hash: str, metafile: bytes, *, start: bool = False) -> None:
    eventually(lambda: time.time() >= item_load.read_load(client, info_hash).date + 1, why="times are in seconds")
    client.call("d.erase", info_hash)
    eventually(lambda: not has(), 20)
    # rTorrent may refuse it right after the erasure.
    command = "load.raw_start" if start else "load.raw"
    eventually(lambda: client.call(command, "", metafile, "d.custom1.set=mine") == 0 and has(), 20)


@pytest.mark.parametrize("start", [False, True], ids=["stopped", "started"])
@pytest.mark.parametrize(
    ("data", "phase"),
    [
        ("keep", "stopping"),
        ("keep", "erasing"),
        ("quarantine", "moving"),
        ("delete", "stopping"),
        ("delete", "moving"),
        ("delete", "erasing"),
    ],
)
def test_a_removal_leaves_an_item_that_is_loaded_again_meanwhile(
    cleanup: CleanupScene, monkeypatch: pytest.MonkeyPatch, data: str, phase: RemovalPhase, start: bool
) -> None:
    path = cleanup.write("One")
    content = content_of(path)
    metafile = make_metafile("One", content=path, announce=SILENT)
    one = cleanup.add(path)
    at_phase(monkeypatch, phase, lambda: again(lambda: cleanup.has(one), cleanup.client, one, metafile, start=start))
    with pytest.raises(UserError, match="One stays"):
        cleanup.job(data=data).run()
    assert cleanup.client.multicall([("d.custom1", (one,)), ("d.state", (one,))]) == ["mine", int(start)]
    assert content_of(path) == content
    assert (journals(cleanup), cleanup.quarantined()) == ([], {})
    assert cleanup.is_intact(one)


@pytest.mark.parametrize("restarted", [False, True], ids=["", "rTorrent restarted"])
@pytest.mark.parametrize("phase", ["moving", "erasing"])
def test_a_removal_that_was_killed_leaves_an_item_that_was_loaded_again(
    rtorrent: PrivateRTorrent,
    cleanup: CleanupScene,
    monkeypatch: pytest.MonkeyPatch,
    phase: RemovalPhase,
    restarted: bool,
) -> None:
    path = cleanup.write("One")
    content = content_of(path)
    metafile = make_metafile("One", content=path, announce=SILENT)
    one = cleanup.add(path)
    kill_at(cleanup, monkeypatch, phase, data="delete")
    again(lambda: cleanup.has(one), cleanup.client, one, metafile)
    if restarted:
        assert Session().save(cleanup.client, one, {"state": 0}, 20) is True
        rtorrent.stop(timeout=3)
        rtorrent.start()
        eventually(lambda: cleanup.has(one), 20)
    cleanup.job(data="quarantine", condition="name=None").run()
    assert cleanup.client.multicall([("d.custom1", (one,)), ("d.state", (one,))]) == ["mine", 0]
    assert content_of(path) == content
    assert (journals(cleanup), cleanup.quarantined()) == ([], {})


@pytest.mark.parametrize("phase", ["moving", "erasing"])
def test_a_removal_continues_after_a_restart_of_rtorrent(
    rtorrent: PrivateRTorrent, cleanup: CleanupScene, monkeypatch: pytest.MonkeyPatch, phase: RemovalPhase
) -> None:
    """Its items have another time of load then, and are the same."""
    one = cleanup.item("One")
    kill_at(cleanup, monkeypatch, phase, data="quarantine")
    rtorrent.kill()
    rtorrent.start()
    eventually(lambda: cleanup.has(one), 20)
    cleanup.job(data="quarantine", condition="name=None").run()
    assert cleanup.has(one) is (phase == "moving")
    if phase == "moving":
        eventually(lambda: cleanup.seeds(one), 20)


def has(scene: Scene) -> bool:
    return bool(scene.client.rows("main", ["d.hash="]))


def metafile_of(scene: Scene) -> bytes:
    return make_metafile(os.fsencode(scene.name), content=scene.source, announce="udp://127.0.0.1:1/announce")


def facts(scene: Scene) -> list[Any]:
    return scene.client.multicall([("d.directory", (scene.hash,)), ("d.state", (scene.hash,))])


def killed(*_: object) -> None:
    raise Killed


def test_a_move_that_was_killed_leaves_an_item_that_was_loaded_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was closed for the move, and the new one was not: whether that is to be moved is decided for it."""
    metafile = metafile_of(scene)
    with monkeypatch.context() as patched:
        patched.setattr(move_files.MoveFiles, "rename", killed)
        with pytest.raises(Killed):
            scene.job().run()
    again(lambda: has(scene), scene.client, scene.hash, metafile)
    scene.job().run()
    assert facts(scene) == [str(scene.source), 0]
    assert not scene.final.exists()
    assert not list((scene.folder / "state/jobs/move").glob("*.json"))


def test_an_item_that_was_loaded_again_gets_the_data_that_was_moved(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    metafile = metafile_of(scene)
    killed_after_the_rename(scene, monkeypatch)
    if scene.source.exists():  # a copy
        shutil.rmtree(scene.source)
    again(lambda: has(scene), scene.client, scene.hash, metafile)
    scene.job().run()
    assert facts(scene) == [str(scene.final), 0], "its owner has not started it"


@pytest.mark.parametrize("how", ["set back", "loaded again", "older session"])
def test_old_data_stays_where_the_item_is_there_again(
    rtorrent: PrivateRTorrent,
    copied: Scene,
    monkeypatch: pytest.MonkeyPatch,
    how: Literal["set back", "loaded again", "older session"],
) -> None:
    """The move was killed before it removed the old data, or could not remove all of it."""
    metafile, session = metafile_of(copied), Path(str(copied.client.call("session.path")))
    copied.client.call("session.save")
    eventually(lambda: (session / f"{copied.hash}.torrent.rtorrent").exists(), 20)
    older = {path: path.read_bytes() for path in session.glob(f"{copied.hash}.*") if path.suffix != ".new"}
    with monkeypatch.context() as patched:
        patched.setattr(mover.Mover, "_remove_old", killed)
        with pytest.raises(Killed):
            copied.job().run()
    if how == "set back":
        for command in ("d.stop", "d.close"):
            copied.client.call(command, copied.hash)
        copied.client.call("d.directory_base.set", copied.hash, str(copied.source))
        copied.client.call("d.start", copied.hash)
    elif how == "loaded again":
        again(lambda: has(copied), copied.client, copied.hash, metafile, start=True)
    else:
        rtorrent.kill()
        for path, content in older.items():
            path.write_bytes(content)
        rtorrent.start()
    eventually(lambda: facts(copied)[0] == str(copied.source) and copied.seeds(), 20)
    for _ in range(2):
        with suppress(UserError):  # its target has the copy
            copied.job().run()
    assert {name: (copied.source / name).read_bytes() for name in copied.content} == copied.content
    assert copied.seeds()


def test_old_data_stays_where_the_item_is_set_back_while_others_are_looked_at(
    copied: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_back(_: object) -> None:
        for command in ("d.stop", "d.close"):
            copied.client.call(command, copied.hash)
        copied.client.call("d.directory_base.set", copied.hash, str(copied.source))
        copied.client.call("d.start", copied.hash)

    monkeypatch.setattr(mover, "await_accepted_loads", set_back)
    copied.job().run()
    assert {name: (copied.source / name).read_bytes() for name in copied.content} == copied.content
    eventually(copied.seeds, 20)


def test_the_time_of_the_load_and_of_the_first_start_are_those_of_the_item(
    rtorrent: PrivateRTorrent, cleanup: CleanupScene
) -> None:
    path = cleanup.write("One")
    metafile = make_metafile("One", content=path, announce=SILENT)
    one = cleanup.add(path)
    before = item_load.read_load(cleanup.client, one)
    for command in ("d.stop", "d.close", "d.start", "d.check_hash"):
        cleanup.client.call(command, one)
    eventually(lambda: cleanup.seeds(one), 20)
    assert item_load.read_load(cleanup.client, one) == before
    assert Session().save(cleanup.client, one, {"timestamp.started": before.first_start}, 20) is True
    rtorrent.stop(timeout=3)
    rtorrent.start()
    eventually(lambda: cleanup.has(one), 20)
    now = item_load.read_load(cleanup.client, one)
    assert before.is_same(now)
    assert now.incarnation != before.incarnation
    again(lambda: cleanup.has(one), cleanup.client, one, metafile)
    assert not now.is_same(item_load.read_load(cleanup.client, one))
