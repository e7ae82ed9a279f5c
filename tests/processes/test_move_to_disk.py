"""A mover whose target disk is unmounted waits for it: nothing goes to the folder below."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.group import Group
from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.processes.mount_namespaces import MountNamespace, made_mount_namespace
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.rtorrent_version(">=0.10", reason="it is about folders: moves are tested with both"),
]

INI = """\
[TORQUE]
scgi_url = {url}
job.mover.handler = pyrotorque.jobs.mover:Mover
job.mover.active = True
job.mover.schedule = second=*/1
job.mover.on = TorrentCompleted
job.mover.target = {target}/films
job.mover.condition = is_complete=yes
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pmd-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def complete(rtorrent: PrivateRTorrent, data: Path) -> None:
    """Load an item that is complete, with its data at `data`."""
    data.parent.mkdir(exist_ok=True)
    data.write_bytes(os.urandom(40_000))
    metafile = data.parent.parent / f"{data.name}.torrent"
    metafile.write_bytes(make_metafile(data.name, content=data))
    RTorrent(rtorrent.url).call("load.start", "", str(metafile), f'd.directory.set="{data.parent}"')


def enter_with_rtorrent(namespace: MountNamespace, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next rTorrent runs in the namespace: it must see the same files as the mover."""
    program = shutil.which("rtorrent")
    assert program is not None
    wrapper = folder / "bin" / "rtorrent"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(namespace.words)} {program} "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")


def test_a_move_waits_for_the_disk_of_its_target(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, disk, source = folder / "target", folder / "disk", folder / "source"
    target.mkdir()
    disk.mkdir()
    with ExitStack() as stack:
        namespace = stack.enter_context(made_mount_namespace(f"cd {folder}; mount --bind disk target"))
        enter_with_rtorrent(namespace, folder, monkeypatch)
        rtorrent = stack.enter_context(PrivateRTorrent(folder / "rt"))
        text = INI.format(url=rtorrent.url, target=target)
        group = stack.enter_context(Group(folder / "config", text, within=namespace.words))
        complete(rtorrent, source / "first")
        eventually(lambda: (disk / "films" / "first").exists(), 60)
        eventually(lambda: "moved first" in group.log("torque"), 60)

        namespace.run(f"umount -l {target}")
        complete(rtorrent, source / "second")
        eventually(lambda: f"there was one at {target} when data was moved there before" in group.log("torque"), 60)
        assert (source / "second").exists()
        assert list(target.iterdir()) == []

        namespace.run(f"cd {folder}; mount --bind disk target")
        (group.config_dir / "state" / "jobs" / "mover" / "failures").unlink()  # tried again at once, not in a minute
        eventually(lambda: (disk / "films" / "second").exists(), 90, why="it is moved when the disk is back")
        eventually(lambda: not (source / "second").exists(), 60)
