"""A mount that does not answer, as a network mount whose server is away: only the trees on it wait."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from demo.group import Group
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.linux.filesystems import read_mounts
from tests.dropping import drop, items
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
job.treewatch.path   = {local}
job.remote.handler   = pyrocore.torrent.watch:TreeWatch
job.remote.active    = True
job.remote.path      = {remote}
"""


_STOPPED = re.compile(rb"\) T ")


class HangingMount:
    """A folder on FUSE that shows `source`; while it is paused, whatever looks into it waits."""

    def __init__(self, folder: Path) -> None:
        self.source, self.point = folder / "source", folder / "mount"
        self.source.mkdir()
        self.point.mkdir()
        self._control = folder / "control"
        self._control.mkdir()
        subprocess.run(["mount", "-t", "fusectl", "fusectl", str(self._control)], check=True)
        self._process = subprocess.Popen(["bindfs", "-f", str(self.source), str(self.point)])
        try:
            eventually(lambda: os.path.ismount(self.point), why="it is mounted")
        except BaseException:
            self.end()
            raise

    def pause(self) -> None:
        """Not while it answers a request: the kernel lets no signal end a process that waits for that."""

        def paused() -> bool:
            self._process.send_signal(signal.SIGSTOP)
            eventually(lambda: _STOPPED.search(Path(f"/proc/{self._process.pid}/stat").read_bytes()))
            if self._waiting():
                self.resume()
                return False
            return True

        eventually(paused, why="it is paused between two requests")

    def _waiting(self) -> int:
        """How many requests it has not answered."""
        found = next(mount for mount in read_mounts() if mount.point == os.fsencode(self.point))
        number = found.device.decode().partition(":")[2]
        return int((self._control / number / "waiting").read_text())

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        subprocess.run(["fusermount", "-uz", str(self.point)], check=False, capture_output=True)
        subprocess.run(["umount", "-l", str(self._control)], check=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="phm-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@pytest.fixture
def mount(folder: Path) -> Iterator[HangingMount]:
    made = HangingMount(folder)
    yield made
    made.end()


def test_a_mount_that_hangs_holds_only_its_own_tree(folder: Path, mount: HangingMount) -> None:
    local = folder / "local"
    local.mkdir()
    with ExitStack() as stack:
        rtorrent = stack.enter_context(PrivateRTorrent(folder / "rt"))

        def is_loaded(info_hash: str) -> bool:
            return info_hash in items(rtorrent)

        # From the first start on.
        mount.pause()
        text = INI.format(url=rtorrent.url, local=local, remote=mount.point)
        group = stack.enter_context(Group(folder / "config", text))
        wanted = drop(local / "at-the-start.torrent")
        eventually(lambda: is_loaded(wanted), 60, why="the other tree does not wait")
        checked = group.command("check")
        assert (checked.returncode, f"{mount.point} does not answer" in checked.stderr) == (0, True), checked.stderr
        assert f"{mount.point} does not answer" in group.log("torque")
        assert f"missing: {mount.point}" in group.command("status").stdout

        mount.resume()
        wanted = drop(mount.source / "afterwards.torrent")
        eventually(lambda: is_loaded(wanted), 60, why="it is watched when it answers")
        assert f"{mount.point} answers again" in group.log("torque")

        # While the watcher looks into it, which ends with that process.
        mount.pause()
        wanted = drop(local / "later.torrent")
        eventually(lambda: is_loaded(wanted), 120, why="the other tree waits for a new watcher only")
        restarted = group.command("--restart")
        assert restarted.returncode == 0, restarted.stderr
        mount.resume()
