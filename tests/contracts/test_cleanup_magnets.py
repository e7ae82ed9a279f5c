"""An item that was erased may come back as a magnet link without metadata: the quarantine has its only metafile."""

from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RemovalRefused
from pyrotorque.housekeeping import inventory, quarantine, restore
from pyrotorque.housekeeping.journal import RemovalJournal
from tests.cleaning import SILENT, CleanupScene, without_awaited_loads
from tests.contracts.test_cleanup import entry_of
from tests.contracts.test_cleanup_away_disks import kill_at
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def no_other_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    without_awaited_loads(monkeypatch, inventory)


def load_magnet(scene: CleanupScene, found: str) -> None:
    scene.client.call("load.normal", "", f"magnet:?xt=urn:btih:{found}&dn=One&tr={SILENT}")
    eventually(lambda: scene.has(found), 20)


def erase(scene: CleanupScene, found: str) -> None:
    scene.client.call("d.erase", found)
    eventually(lambda: not scene.has(found), 20)


@pytest.mark.parametrize("files", [(), ("a", "b")], ids=["file", "folder"])
def test_a_restore_does_not_take_a_magnet_link_for_the_item(
    rtorrent: PrivateRTorrent, short_folder: Path, files: tuple[str, ...]
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    scene.item("Other")
    one = scene.item("One", files)
    scene.job(condition="name=One", data="quarantine").run()
    load_magnet(scene, one)
    with pytest.raises(RemovalRefused, match="as a magnet link without metadata: erase that first"):
        restore.restore(scene.client, entry_of(scene, one))
    erase(scene, one)
    restore.restore(scene.client, entry_of(scene, one))
    eventually(lambda: scene.seeds(one), 20)


@pytest.mark.parametrize("step", ["moved", "erased"])
@pytest.mark.parametrize("files", [(), ("a", "b")], ids=["file", "folder"])
def test_a_killed_removal_keeps_the_metafile_of_a_magnet_link(
    rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, files: tuple[str, ...]
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    scene.item("Other")
    one = scene.item("One", files)
    kill_at(step, scene, monkeypatch, data="quarantine")
    if scene.has(one):
        erase(scene, one)
    load_magnet(scene, one)
    scene.job(condition="name=Nothing", data="quarantine").run()
    assert not list(RemovalJournal(scene.state / "housekeeping").unfinished())
    assert len(list(quarantine.entries(scene.downloads / quarantine.NAME))) == 1
    erase(scene, one)
    restore.restore(scene.client, entry_of(scene, one))
    eventually(lambda: scene.seeds(one), 20)
