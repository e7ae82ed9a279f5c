"""A disk that becomes read-only or full in the middle of a clean-up, and can be written again later."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RemovalRefused, StateError, UserError
from pyrotorque.housekeeping import inventory, moved_files, quarantine
from pyrotorque.housekeeping.journal import FOLDER, RemovalJournal, RemovalRecord
from pyrotorque.housekeeping.last_run import read_last_run
from pyrotorque.housekeeping.removal import Remover
from pyrotorque.jobs.move_failures import MoveFailures
from tests.cleaning import CleanupScene, days_later, without_awaited_loads
from tests.contracts.test_cleanup_disks import disk, mounted, unmounted_later
from tests.waiting import eventually

__all__ = ["disk"]


@pytest.fixture(autouse=True)
def no_other_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    without_awaited_loads(monkeypatch, inventory)


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)


def content_of(path: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}


@pytest.mark.parametrize("step", ["the metafile is copied", "the first file moves"])
def test_an_item_whose_files_are_at_their_places_runs_on(
    rtorrent: PrivateRTorrent, short_folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    scene.item("Other")
    path = scene.write("One")
    one, content = scene.add(path), content_of(path)
    where, name = (quarantine, "_write_new") if step == "the metafile is copied" else (moved_files, "rename_noreplace")
    real: Callable[..., Any] = getattr(where, name)

    def read_only_then(*args: Any) -> None:
        if where is moved_files or args[0].endswith(b"item.metafile.new"):
            remount(disk, "ro")
        real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, read_only_then)
        with pytest.raises(UserError, match=r"One stays: .*; One has its files back, but .* cannot be removed: .*Read"):
            scene.job(condition="name=One", data="quarantine").run()
    assert content_of(path) == content
    eventually(lambda: scene.seeds(one), 20, why="it seeds again, though the disk is read-only")

    scene.client.call("d.stop", one)
    with pytest.raises(UserError, match="One has its files back, but"):
        scene.job(condition="name=Nothing", data="quarantine").run()
    assert scene.client.call("d.state", one) == 0, "what its owner stopped meanwhile stays stopped"
    remount(disk, "rw")
    scene.job(condition="name=Nothing", data="quarantine").run()
    assert scene.quarantined() == {}
    assert not list((scene.state / "housekeeping/removals").glob("*.json"))
    assert content_of(path) == content
    assert scene.events == {}


def test_an_undone_removal_is_not_reported_when_the_owner_erases_the_item(
    rtorrent: PrivateRTorrent, short_folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    scene.item("Other")
    path = scene.write("One")
    one, content = scene.add(path), content_of(path)
    real: Callable[..., None] = vars(moved_files)["rename_noreplace"]

    def read_only_then(*places: Any) -> None:
        remount(disk, "ro")
        real(*places)

    with monkeypatch.context() as patch:
        patch.setattr(moved_files, "rename_noreplace", read_only_then)
        with pytest.raises(UserError, match="One has its files back, but"):
            scene.job(condition="name=One", data="quarantine").run()
    scene.client.call("d.erase", one)
    for mode in ("ro", "rw"):
        remount(disk, mode)
        with suppress(UserError):  # of two items, one is missing
            scene.job(condition="name=Nothing", data="quarantine").run()
    assert (scene.events, scene.quarantined(), content_of(path)) == ({}, {}, content)
    assert not list((scene.state / "housekeeping/removals").glob("*.json"))


def test_an_item_whose_files_cannot_be_put_back_is_reported_until_they_are(
    rtorrent: PrivateRTorrent, short_folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    scene.item("Other")
    path = scene.write("One")
    one, content = scene.add(path), content_of(path)
    real: Callable[..., None] = vars(moved_files)["rename_noreplace"]

    def read_only_after(*places: Any) -> None:
        real(*places)
        remount(disk, "ro")

    with monkeypatch.context() as patch:
        patch.setattr(moved_files, "rename_noreplace", read_only_after)
        with pytest.raises(UserError, match=r"One could not be put back as it was: .*Read-only.*; see .*quarantine/"):
            scene.job(condition="name=One", data="quarantine").run()
    with pytest.raises(UserError, match="One could not be put back as it was"):
        scene.job(condition="name=Nothing", data="quarantine").run()
    scene.job(condition="name=Nothing", data="quarantine").run()  # reported before
    found = read_last_run(scene.state / "jobs/tidy")
    assert found is not None
    assert found.problem == "failed"
    remount(disk, "rw")
    scene.job(condition="name=Nothing", data="quarantine").run()
    eventually(lambda: scene.seeds(one), 20)
    assert content_of(path) == content
    assert scene.quarantined() == {}


def test_a_quarantine_that_cannot_be_emptied_stops_no_other_removal(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    disk = scene.downloads / "disk"
    disk.mkdir()
    mounted("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk))
    with unmounted_later(disk):
        scene.item("Other")
        one, two = scene.item("disk/One"), scene.item("Two")
        settings = {"data": "quarantine", "below": f"{scene.downloads}:{disk}", "keep_for": "1d"}
        scene.job(condition="name=One", **settings).run()
        assert not scene.has(one)
        remount(disk, "ro")
        days_later(monkeypatch, 2)
        with pytest.raises(UserError, match=r"One in quarantine cannot be deleted: Read-only file system: .*/disk/"):
            scene.job(condition="name=Two", **settings).run()
        assert not scene.has(two)
        assert [event for event in scene.events if event.startswith("purged")] == []
        remount(disk, "rw")
        scene.job(condition="name=Nothing", **settings).run()
        assert len([event for event in scene.events if event.startswith("purged")]) == 1
        assert not list(quarantine.entries(disk / quarantine.NAME))


def test_records_on_a_read_only_state_disk_are_refused_by_what_they_are_for(tmp_path: Path) -> None:
    """Such a disk also refuses to remove a file that is not there."""
    state = tmp_path / "state"
    state.mkdir()
    removal = RemovalRecord(info_hash="A" * 40, name="One", job="tidy", reason="old", data="keep", at=1.0)
    mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(state))
    with unmounted_later(state):
        (state / FOLDER).mkdir()
        remount(state, "ro")
        with pytest.raises(RemovalRefused, match=r"the journal .* cannot be written: Read-only file system"):
            RemovalJournal(state).write(removal)
        failures = MoveFailures(state)
        failures.expect("A" * 40, "One", 1.0)
        assert failures.hashes() == {"A" * 40}


@pytest.mark.parametrize("data", ["keep", "quarantine", "delete"])
def test_an_item_that_was_erased_before_the_state_disk_was_full_does_not_count_as_one_that_stays(
    rtorrent: PrivateRTorrent,
    short_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    data: str,
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    scene.state.mkdir(exist_ok=True)
    mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(scene.state))
    with unmounted_later(scene.state):
        scene.item("Other")
        one = scene.item("One")
        real, filler = vars(Remover)["_erase"], scene.state / "filler"

        def full_after(*given: Any) -> None:
            real(*given)
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(bytes(1 << 10)):
                    pass

        with monkeypatch.context() as patch:
            patch.setattr(Remover, "_erase", full_after)
            with pytest.raises(StateError, match=r"cannot write .*: No space left"):
                scene.job(condition="name=One", data=data).run()
        assert "One is erased, but" in caplog.text
        assert "One stays" not in caplog.text
        assert not scene.has(one)
        filler.unlink()
        for _ in range(2):
            with suppress(UserError):
                scene.job(condition="name=Nothing", data="quarantine").run()
        assert len([event for event in scene.events if event.startswith("removed")]) == 1, scene.events
        assert not list((scene.state / "housekeeping/removals").glob("*.json"))
        assert bool(content_of(scene.downloads / "One")) is (data == "keep")
        assert len(scene.quarantined()) == (data != "keep")
