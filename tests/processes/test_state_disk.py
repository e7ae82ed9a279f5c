"""The disk of the state folder disappears below a running group: no service begins with what is there then."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.group import Group
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.dropping import drop, items
from tests.processes.mount_namespaces import made_mount_namespace
from tests.waiting import eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("rtorrent_program"),
    pytest.mark.rtorrent_version(">=0.10", reason="it is about folders: loads are tested with both"),
]

INI = """\
[TORQUE]
scgi_url = {url}
state_dir = {state}
job.treewatch.active = True
job.treewatch.path = {watch}
job.treewatch.tie = no
job.count.handler = pyrotorque.jobs.command:Command
job.count.active = True
job.count.schedule = second=*/1
job.count.shell = True
job.count.command = echo run >> {runs}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="psd-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.mark.parametrize(
    ("away", "back"),
    [
        ("umount -l disk", "mount -t tmpfs disk disk; cp -a kept/state disk"),
        ("mount -t tmpfs cover disk", "umount disk"),
    ],
)
def test_no_service_begins_again_while_the_disk_of_its_state_is_away(folder: Path, away: str, back: str) -> None:
    """Not after a crash, and not by --restart: what was erased would be loaded again. Jobs wait: they have journals."""
    disk, watch = folder / "disk", folder / "watch"
    for made in (disk, watch, folder / "kept"):
        made.mkdir()
    with ExitStack() as stack:
        namespace = stack.enter_context(made_mount_namespace(f"cd {folder}; mount -t tmpfs disk disk"))
        rtorrent = stack.enter_context(PrivateRTorrent(folder / "rt"))
        text = INI.format(url=rtorrent.url, state=disk / "state", watch=watch, runs=folder / "runs")
        group = stack.enter_context(Group(folder / "config", text, within=namespace.words))
        erased, kept = drop(watch / "erased.torrent"), drop(watch / "kept.torrent")
        eventually(lambda: group.command("watched").stdout.count(" loaded ") == 2, 60)
        RTorrent(rtorrent.url).call("d.erase", erased)

        watcher = group.pid("watcher")
        namespace.run(f"cd {folder}; cp -a disk/state kept; {away}")
        os.kill(watcher, signal.SIGKILL)
        eventually(lambda: "no job is run: the state folder" in group.log("scheduler"), 60)
        runs = (folder / "runs").read_text()
        reason = f"the state folder {disk / 'state'} is not that of the running group"
        eventually(lambda: f"ERROR watcher: failed: {reason}" in group.log("torque"), 60)
        eventually(lambda: reason in group.log("watcher"), 60)
        refused = group.command("--restart")
        assert (refused.returncode, reason in refused.stderr) == (74, True), refused.stderr
        eventually(lambda: "waiting for its state folder" in group.command("status").stdout, 60)
        namespace.run(f"! test -e {disk / 'state/watcher.sqlite3'}")
        assert len((folder / "runs").read_text()) <= len(runs) + len("run\n")  # the one that had begun

        namespace.run(f"cd {folder}; {back}")
        wanted = drop(watch / "wanted.torrent")
        eventually(lambda: wanted in items(rtorrent), 60, why="the watcher continues by itself")
        assert items(rtorrent) == {kept, wanted}
        eventually(lambda: len((folder / "runs").read_text()) > len(runs) + len("run\n"), 60, why="jobs are run again")
        restarted = group.command("--restart")
        assert restarted.returncode == 0, restarted.stderr
        eventually(lambda: group.command("watched").stdout.count(" loaded ") == 3, 60)
        assert items(rtorrent) == {kept, wanted}
