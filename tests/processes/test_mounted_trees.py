"""Disks that are mounted and unmounted below a running watcher: their files neither are lost nor count as new."""

import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from demo.group import Group
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.dropping import drop, items
from tests.processes.mount_namespaces import MountNamespace, made_mount_namespace
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.rtorrent_version(">=0.10", reason="it is about folders: loads are tested with both"),
]

INI = """\
[TORQUE]
scgi_url = {url}
job.treewatch.active = True
job.treewatch.path = {root}
job.treewatch.tie = no
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pmt-", ignore_cleanup_errors=True) as made:
        yield Path(made)


class Scene:
    """A group that watches `media`, with the folder `disk` mounted in it; two items are loaded, and one is erased."""

    def __init__(self, folder: Path, place: str, namespace: MountNamespace, group: Group, rtorrent: PrivateRTorrent):
        self.disk, self.place = folder / "disk", folder / place
        self.namespace, self.group, self.rtorrent = namespace, group, rtorrent
        erased, self.kept = drop(self.disk / "erased.torrent"), drop(self.disk / "kept.torrent")
        eventually(lambda: self.known() == 2, 60)
        RTorrent(rtorrent.url).call("d.erase", erased)

    def known(self) -> int:
        return self.group.command("watched").stdout.count(" loaded ")

    def walks(self) -> int:
        return self.group.log("watcher").count("a filesystem was mounted or unmounted at")

    def mount(self) -> None:
        self.namespace.run(f"mkdir -p {self.place}; mount --bind {self.disk} {self.place}")

    def unmount(self, then: str = "true") -> None:
        self.namespace.run(f"umount -l {self.place}; {then}")
        eventually(lambda: self.known() == 0, 60, why="the files are gone")


@contextmanager
def made_scene(folder: Path, place: str) -> Generator[Scene]:
    (folder / place).mkdir(parents=True)
    (folder / "disk").mkdir()
    with ExitStack() as stack:
        namespace = stack.enter_context(made_mount_namespace(f"cd {folder}; mount --bind disk {place}"))
        rtorrent = stack.enter_context(PrivateRTorrent(folder / "rt"))
        text = INI.format(url=rtorrent.url, root=folder / "media")
        group = stack.enter_context(Group(folder / "config", text, within=namespace.words))
        yield Scene(folder, place, namespace, group, rtorrent)


@pytest.mark.parametrize("place", ["media", "media/films/new"])
def test_a_disk_that_comes_back_is_watched_at_once(folder: Path, place: str) -> None:
    """No event reports a mount, so its files were found by the walk of each minute only."""
    with made_scene(folder, place) as scene:
        scene.unmount()
        scene.mount()
        eventually(lambda: scene.known() == 2, why="they are compared with the ledger")
        assert scene.walks() >= 2
        wanted = drop(scene.disk / "wanted.torrent")
        eventually(lambda: wanted in items(scene.rtorrent))
        assert items(scene.rtorrent) == {scene.kept, wanted}


@pytest.mark.parametrize("place", ["media/usb", "media/disks/usb"])
def test_a_folder_that_appears_for_a_mount_brings_nothing_new(folder: Path, place: str) -> None:
    """As udisks and many NAS do it. The watcher is late, and sees the folder when the disk is there already."""
    with made_scene(folder, place) as scene:
        scene.unmount(f"cd {folder}; rmdir -p {place} || true; mkdir -p media")
        watcher = scene.group.pid("watcher")
        os.kill(watcher, signal.SIGSTOP)
        scene.mount()
        os.kill(watcher, signal.SIGCONT)
        wanted = drop(scene.disk / "wanted.torrent")
        eventually(lambda: wanted in items(scene.rtorrent))
        eventually(lambda: scene.known() == 3)
        assert items(scene.rtorrent) == {scene.kept, wanted}
