"""A removal that was killed, and the disk of its quarantine is away, or another one, when the next run continues."""

import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.housekeeping import inventory, moved_files, quarantine, restore
from pyrotorque.housekeeping.away_disks import is_away
from pyrotorque.housekeeping.journal import RemovalJournal, RemovalRecord
from pyrotorque.linux import files
from pyrotorque.rtorrent import RTorrent
from tests.cleaning import CleanupScene, days_later, without_awaited_loads
from tests.contracts.test_cleanup_disks import fill, mounted, unmounted_later
from tests.contracts.test_cleanup_kills import KillNow
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def no_other_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    without_awaited_loads(monkeypatch, inventory)


@pytest.fixture
def disk(rtorrent: PrivateRTorrent, short_folder: Path) -> Generator[Path]:
    """A folder of another disk, as a mount."""
    point, content = rtorrent.downloads / "disk", short_folder / "content"
    point.mkdir()
    content.mkdir()
    mount(point)
    with unmounted_later(point):
        yield point


def mount(point: Path) -> None:
    mounted("--bind", str(point.parents[2] / "content"), str(point))


def kill_at(step: str, scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """A run that is killed after its first rename, before the item is erased, or after that."""
    call, rename = RTorrent.call, files.rename_noreplace

    def killing_call(self: RTorrent, method: str, *params: Any, **keywords: Any) -> Any:
        if method != "branch":
            return call(self, method, *params, **keywords)
        if step == "erased":
            call(self, method, *params, **keywords)
        raise KillNow

    def killing_rename(*places: Any) -> None:
        rename(*places)
        if step == "renaming":
            raise KillNow

    with monkeypatch.context() as patch:
        patch.setattr(RTorrent, "call", killing_call)
        patch.setattr(moved_files, "rename_noreplace", killing_rename)
        with pytest.raises(KillNow):
            scene.job(condition="name=One", **settings).run()


@pytest.mark.parametrize("data", ["quarantine", "delete"])
def test_an_item_that_is_erased_while_its_quarantine_is_away_can_be_restored(
    rtorrent: PrivateRTorrent, short_folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    scene.item("Other")
    one = scene.add(scene.write("disk/One"))
    kill_at("erased", scene, monkeypatch, data=data, below=str(disk))
    subprocess.run(["umount", "-l", str(disk)], check=True)
    with pytest.raises(UserError, match=r"One is erased, but its data is in .* is its disk mounted"):
        scene.job(condition="name=Nothing", data="quarantine", below=str(disk)).run()
    scene.job(condition="name=Nothing", data="quarantine", below=str(disk)).run()  # reported before
    assert len(scene.events) == 1, "it is published once"
    assert os.listdir(disk) == []
    mount(disk)
    scene.job(condition="name=Nothing", data="quarantine", below=str(disk)).run()
    assert len(scene.events) == 1
    assert not list(RemovalJournal(scene.state / "housekeeping").unfinished())
    (entry,) = quarantine.entries(disk / quarantine.NAME)
    restore.restore(scene.client, entry)
    eventually(lambda: scene.seeds(one), 20)


def test_an_item_whose_files_are_away_is_not_removed_by_another_job(
    rtorrent: PrivateRTorrent, short_folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would forget where they are."""
    scene = CleanupScene(rtorrent, short_folder)
    scene.item("Other")
    one = scene.add(scene.write("disk/One"))
    kill_at("moved", scene, monkeypatch, data="quarantine", below=str(disk))
    subprocess.run(["umount", "-l", str(disk)], check=True)
    with pytest.raises(UserError, match="an earlier removal of it is not finished"):
        scene.job(job_name="other", condition="name=One", data="keep").run()
    mount(disk)
    scene.job(condition="name=Nothing", data="quarantine", below=str(disk)).run()
    assert not scene.has(one)
    (entry,) = quarantine.entries(disk / quarantine.NAME)
    restore.restore(scene.client, entry)
    eventually(lambda: scene.seeds(one), 20)


def test_a_disk_that_is_full_after_the_erasure_keeps_no_other_run_from_freeing_it(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(rtorrent.downloads))
    with unmounted_later(rtorrent.downloads):
        scene = CleanupScene(rtorrent, short_folder)
        old, one, other = (scene.item(name) for name in ("Old", "One", "Other"))
        scene.job(condition="name=Old", data="quarantine", keep_for="1d").run()
        call = RTorrent.call

        def filling_call(self: RTorrent, method: str, *params: Any, **keywords: Any) -> Any:
            if method == "branch":
                fill(scene.downloads, "full")
            return call(self, method, *params, **keywords)

        with monkeypatch.context() as patch:
            patch.setattr(RTorrent, "call", filling_call)
            with pytest.raises(UserError, match=r"One is erased, but .*No space left on device"):
                scene.job(condition="name=One", data="quarantine").run()
        assert not scene.has(one)
        assert len(scene.events) == 2
        days_later(monkeypatch, 2)
        with pytest.raises(UserError, match="an interrupted removal cannot be finished: One"):
            scene.job(condition="name=Nothing", data="quarantine").run()  # purges what is old
        scene.job(condition="name=Nothing", data="quarantine").run()
        assert [each.removal.phase for each in quarantine.entries(scene.downloads / quarantine.NAME)] == ["erased"]
        assert set(scene.quarantined()) == {one}, f"and not {old}"
        assert scene.is_intact(other)


def copied(rtorrent: PrivateRTorrent) -> None:
    """The disk is replaced by a copy of it, whose files have other numbers, while rTorrent is down."""
    rtorrent.stop(timeout=3)
    copy = rtorrent.downloads.with_name("copy")
    subprocess.run(["cp", "-a", str(rtorrent.downloads), str(copy)], check=True)
    shutil.rmtree(rtorrent.downloads)
    copy.rename(rtorrent.downloads)


@pytest.mark.parametrize("step", ["renaming", "moved"])
@pytest.mark.parametrize("is_damaged", [False, True])
def test_files_with_other_numbers_are_put_back_and_checked(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, is_damaged: bool
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    other, path = scene.item("Other"), scene.write("One")
    one = scene.add(path)
    kill_at(step, scene, monkeypatch, data="quarantine")
    copied(rtorrent)
    if is_damaged:
        (moved,) = (scene.downloads / quarantine.NAME).glob("*/data/a")
        moved.write_bytes(bytes(moved.stat().st_size))
    rtorrent.start()
    eventually(lambda: scene.has(one) and scene.has(other), 20)
    scene.job(condition="name=Nothing", data="quarantine").run()
    assert sorted(each.name for each in path.rglob("*") if each.is_file()) == ["a", "b"]
    assert scene.quarantined() == {}
    eventually(lambda: scene.client.call("d.hashing", one) == 0, 20)
    eventually(lambda: scene.client.call("d.complete", one) == (not is_damaged), 20)
    if not is_damaged:  # 0.9.8 may stop an item whose check fails
        eventually(lambda: scene.seeds(one), 20)


def test_files_of_another_size_are_not_put_back(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    one = scene.item("One")
    kill_at("moved", scene, monkeypatch, data="quarantine")
    copied(rtorrent)
    (moved,) = (scene.downloads / quarantine.NAME).glob("*/data/a")
    moved.write_bytes(b"of something else")
    rtorrent.start()
    eventually(lambda: scene.has(one), 20)
    with pytest.raises(UserError, match="One could not be put back as it was: a is neither there nor in quarantine"):
        scene.job(condition="name=Nothing", data="quarantine").run()
    assert moved.read_bytes() == b"of something else"
    assert list(RemovalJournal(scene.state / "housekeeping").unfinished())


def test_a_quarantine_that_its_owner_removed_is_not_away(tmp_path: Path) -> None:
    item, entry = tmp_path / "disk/Item", tmp_path / "disk/quarantine/entry"
    item.mkdir(parents=True)
    removal = RemovalRecord(
        info_hash="AA", name="Item", job="tidy", reason="", data="quarantine", at=0.0, inode=item.stat().st_ino,
        directory_hex=bytes(item).hex(), entry_hex=bytes(entry).hex(),
    )  # fmt: skip
    assert not is_away(removal), "the disk is there"
    item.rmdir()
    assert is_away(removal), "neither can be seen"
    entry.parent.mkdir()
    assert not is_away(removal), "only the entry is gone"
