"""What attacks on the clean-up have found, on a real rTorrent: each with the rule that was missing."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from demo.metafiles import bencode, info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.housekeeping import quarantine
from pyrotorque.housekeeping.restore import restore
from pyrotorque.jobs import JobConfig
from pyrotorque.jobs.cleanup import Cleanup
from pyrotorque.jobs.orphans import Orphans
from pyrotorque.metafile.parser import dictionary
from pyrotorque_watcher.scan.files import is_metafile
from tests.cleaning import SILENT, CleanupScene, days_later
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(120)
MAGNET = "magnet:?xt=urn:btih:{}&dn=pending&tr=udp://127.0.0.1:1/announce"


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path) -> CleanupScene:
    return CleanupScene(rtorrent, short_folder)


def orphans(scene: CleanupScene, **settings: Any) -> Orphans:
    values = {"job_name": "orphans", "schedule": "hour=5", "below": str(scene.downloads), "others": "none"}
    return Orphans(JobConfig({**values, "max_percent": 100, **settings}))


@pytest.mark.parametrize(
    "changed", [{"data": "delete"}, {"keep_for": "1h"}, {"quarantine": "trash"}], ids=["data", "keep_for", "quarantine"]
)
def test_an_approval_is_for_one_effect_only(scene: CleanupScene, changed: dict[str, str]) -> None:
    found = [scene.item(f"Item-{number}", ()) for number in range(6)]
    settings = {"data": "quarantine", "max_percent": 10}
    job = scene.job(**settings)
    with pytest.raises(UserError, match="6 items of 6 would be removed"):
        job.run()
    job.stored().approve(job.clock.now())
    if "quarantine" in changed:
        changed = {"quarantine": str(scene.downloads / "trash")}
    with pytest.raises(UserError, match="6 items of 6 would be removed"):
        scene.job(**{**settings, **changed}).run()
    assert all(map(scene.seeds, found))
    scene.job(**settings).run()
    assert not any(map(scene.has, found))
    assert len(scene.quarantined()) == 6


def test_an_approval_is_not_for_files_that_were_replaced(scene: CleanupScene) -> None:
    found = [scene.item(f"Item-{number}", ()) for number in range(6)]
    job = scene.job(data="delete", max_percent=10)
    with pytest.raises(UserError, match="6 items of 6 would be removed"):
        job.run()
    job.stored().approve(job.clock.now())
    shutil.copy(scene.downloads / "Item-0", scene.downloads / "other")
    os.replace(scene.downloads / "other", scene.downloads / "Item-0")
    job.run()  # five of the six are as they were, and one is not too many
    assert sum(map(scene.has, found)) == 0


def test_a_magnet_link_without_metadata_may_have_any_files(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    (scene.downloads / "loose").write_text("perhaps of the magnet link")
    orphans(scene).run()
    pending = info_hash(make_metafile("One", content=scene.downloads / "One", info_extra={"source": "pending"}))
    scene.client.call("load.start", "", MAGNET.format(pending))
    eventually(lambda: scene.client.call("d.is_meta", pending) == 1, 20)
    days_later(monkeypatch, 4)
    kept = scene.job(condition=f"hash={one}", data="delete").preview().plan.kept
    assert "is a magnet link without metadata" in kept[one].text
    with pytest.raises(UserError, match="is a magnet link without metadata"):
        orphans(scene).run()
    scene.job(condition=f"hash={one}", data="delete").run()
    assert scene.seeds(one)


class OtherSession:
    """A session of another rTorrent with a twin of an item: other hash, same files."""

    def __init__(self, scene: CleanupScene, path: Path) -> None:
        self.folder = scene.folder / "other session"
        self.folder.mkdir()
        self.twin = scene.add(path, salt="twin")
        scene.running.stop(timeout=5)
        for suffix in ("", ".rtorrent", ".libtorrent_resume"):
            os.rename(scene.running.session / f"{self.twin}.torrent{suffix}", self.file(suffix))
        scene.running.start()

    def file(self, suffix: str = "") -> Path:
        return self.folder / f"{self.twin}.torrent{suffix}"

    def set_attributes(self, **changed: bytes) -> None:
        saved: Mapping[Any, Any] = dictionary(self.file(".rtorrent").read_bytes()) or {}
        values = {**saved, **{key.encode(): value for key, value in changed.items()}}
        self.file(".rtorrent").write_bytes(bencode(values))


@pytest.mark.parametrize("kind", ["as it is", "no attributes", "magnet", "other size here", "not here"])
def test_an_item_of_another_session_that_is_not_known_keeps_the_data(scene: CleanupScene, kind: str) -> None:
    path = scene.write("One")
    one = scene.add(path)
    other = OtherSession(scene, path)
    eventually(lambda: scene.seeds(one), 20)
    if kind == "no attributes":
        other.file(".rtorrent").unlink()
    elif kind == "magnet":
        other.file().write_bytes(bencode({"info": {"meta_download": 1, "name": f"{other.twin}.meta"}}))
    elif kind == "other size here":
        elsewhere = scene.folder / "elsewhere/One"
        (elsewhere / "sub").mkdir(parents=True)
        for name in ("a", "sub/b"):
            (elsewhere / name).write_text("of another container")
        other.set_attributes(directory=os.fsencode(elsewhere))
    elif kind == "not here":
        other.set_attributes(directory=b"/data of another container/One")
    job = scene.job(data="delete", others=str(other.folder))
    if kind == "no attributes":
        with pytest.raises(UserError, match=r"\(others\) cannot be read"):
            job.run()
    else:
        assert {each.reason for each in job.preview().plan.kept.values()} <= {"unknown", "shared"}
        job.run()
    assert scene.is_intact(one)


def test_orphans_leave_the_quarantine_of_another_job_alone(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    scene.item("Other")
    trash = scene.downloads / "trash"
    scene.job(condition=f"hash={one}", data="quarantine", quarantine=str(trash)).run()
    before = sorted(path for path in trash.rglob("*") if path.is_file())
    (scene.downloads / "loose").write_text("of no item")
    (scene.downloads / "README").write_text("of no quarantine")
    orphans(scene).run()
    days_later(monkeypatch, 4)
    orphans(scene).run()
    assert sorted(path for path in trash.rglob("*") if path.is_file()) == before
    assert [entry.removal.info_hash for entry in quarantine.entries(trash)] == [one]
    assert not (scene.downloads / "loose").exists()
    assert not (scene.downloads / "README").exists()


def before_erase(job: Cleanup, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, after: bool) -> None:
    """Let something happen right before the command that erases, or right after it."""
    remover = job.remover
    erase: Callable[[object, object], None] = vars(type(remover))["_erase"]

    def changed(self: object, removal: object) -> None:
        if not after:
            act()
        erase(remover, removal)
        if after:
            act()

    monkeypatch.setattr(type(remover), "_erase", changed)


def test_an_item_that_another_program_erases_keeps_its_data_in_quarantine(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = scene.item("One")
    job = scene.job(data="delete")
    before_erase(job, monkeypatch, lambda: scene.client.call("d.erase", one), after=False)
    job.run()
    assert not scene.has(one)
    assert scene.quarantined() == {one: ["a", "sub/b"]}


@pytest.mark.parametrize("via", ["the same folder", "a linked folder"])
def test_a_twin_that_is_started_during_the_removal_keeps_the_data_in_quarantine(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, via: str
) -> None:
    """rTorrent creates the files of a started item at once, so that it misses none."""
    path = scene.write("One")
    twin = make_metafile("One", content=path, announce=SILENT, info_extra={"source": "x"})
    one = scene.add(path)
    folder = scene.downloads
    if via == "a linked folder":
        folder = scene.folder / "linked"
        folder.symlink_to(scene.downloads)

    def load() -> None:
        scene.client.call("load.raw_start", "", twin, f"d.directory.set={folder}")
        eventually(lambda: (path / "sub/b").exists(), 20, why="rTorrent creates the files")

    job = scene.job(data="delete")
    before_erase(job, monkeypatch, load, after=True)
    job.run()
    assert not scene.has(one)
    assert scene.quarantined() == {one: ["a", "sub/b"]}


def test_no_name_in_a_quarantine_is_one_that_a_tree_watch_loads(scene: CleanupScene) -> None:
    scene.item("One")
    trash = scene.downloads / "trash"
    scene.job(data="quarantine", quarantine=str(trash)).run()
    (entry,) = quarantine.entries(trash)
    assert [path for path in trash.rglob("*") if is_metafile(os.fsencode(path.name))] == []
    # As entries were written before.
    os.rename(entry.folder / "item.metafile", entry.folder / "item.torrent")
    restore(scene.client, entry)
    eventually(lambda: scene.seeds(entry.removal.info_hash), 20)
    assert not entry.folder.exists()
