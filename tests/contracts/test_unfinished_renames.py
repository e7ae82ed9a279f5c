"""Where a rename takes two steps (mergerfs, bindfs, NFS), a kill between them leaves no second name of a file."""

import ctypes
import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.housekeeping import inventory, quarantine, restore
from pyrotorque.jobs import move_failures
from pyrotorque.linux import files
from tests.cleaning import CleanupScene, without_awaited_loads
from tests.contracts.test_cleanup import entry_of
from tests.contracts.test_jobs_mover import Scene, target
from tests.waiting import eventually

__all__ = ["target"]  # a fixture


class KilledBetween(BaseException):
    """What a kill looks like from inside: nothing after it is run."""


@pytest.fixture(autouse=True)
def no_other_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    without_awaited_loads(monkeypatch, inventory)
    monkeypatch.setattr(move_failures, "FIRST_RETRY", 0.0)


@contextmanager
def killed_between(names: int, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Kill the rename number `names` when the file has both names."""
    count, unlink = 0, os.unlink

    class TwoSteps:
        @staticmethod
        def renameat2(*_: object) -> int:
            ctypes.set_errno(errno.EINVAL)
            return -1

    def killing_unlink(path: Any, *, dir_fd: int | None = None) -> None:
        nonlocal count
        if dir_fd is not None and os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_nlink > 1:
            count += 1
            if count == names:
                raise KilledBetween
        unlink(path, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_libc", TwoSteps)
        patch.setattr(os, "unlink", killing_unlink)
        with pytest.raises(KilledBetween):
            yield


def quarantined(scene: CleanupScene) -> list[Path]:
    """Everything in the quarantine but its mark."""
    folder = scene.downloads / quarantine.NAME
    return [path for path in folder.iterdir() if path.name != "README"]


@pytest.mark.parametrize("names", [1, 2])
def test_an_item_that_is_put_back_leaves_nothing_in_quarantine(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, names: int
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    path = scene.write("One")
    one = scene.add(path)
    with killed_between(names, monkeypatch):
        scene.job(data="quarantine").run()
    scene.job(condition="name=Nothing", data="quarantine").run()
    eventually(lambda: scene.seeds(one), 20)
    assert quarantined(scene) == []
    assert {each.stat().st_nlink for each in (path / "a", path / "sub/b")} == {1}


@pytest.mark.parametrize("names", [1, 2])
def test_a_restore_that_is_repeated_leaves_nothing_in_quarantine(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, names: int
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    one = scene.item("One")
    scene.job(data="quarantine").run()
    with killed_between(names, monkeypatch):
        restore.restore(scene.client, entry_of(scene, one))
    restore.restore(scene.client, entry_of(scene, one))
    eventually(lambda: scene.seeds(one), 20)
    assert quarantined(scene) == []


@pytest.mark.parametrize("names", [1, 2])
def test_a_purge_that_is_repeated_deletes_all(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, names: int
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    one = scene.item("One")
    scene.job(data="quarantine").run()
    with killed_between(names, monkeypatch):
        quarantine.purge(entry_of(scene, one))
    assert quarantine.purge(entry_of(scene, one))[1] == []
    assert quarantined(scene) == []


@pytest.mark.parametrize("kills", [1, 2])
def test_a_file_that_was_moved_has_one_name(
    rtorrent: PrivateRTorrent, short_folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    """The second kill is that of the run that removes the name which the first one left."""
    scene = Scene(rtorrent, short_folder, target, multi=False)
    for _ in range(kills):
        with killed_between(1, monkeypatch):
            scene.job().run()
    scene.job().run()
    eventually(scene.has_moved, 20)
    assert scene.final.stat().st_nlink == 1
    assert not [path.name for path in scene.source.parent.iterdir() if path.name.startswith(".pyrotorque")]
