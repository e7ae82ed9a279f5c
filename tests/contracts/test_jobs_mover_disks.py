"""The disk of a target that is unmounted within the first move to it: the move waits for it, at any of its steps."""

import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.jobs import move_failures, move_files, tree_copy
from tests.contracts.test_cleanup_disks import mounted, unmounted_later
from tests.contracts.test_jobs_mover import Killed, Scene
from tests.waiting import eventually


@pytest.mark.parametrize("inside", [".", "films/new"])
@pytest.mark.parametrize(
    ("module", "step"),
    [(tree_copy, "is_equal"), (move_files, "sync_folder"), (move_files, "remove_copied")],
    ids=["copied", "renamed", "removing the old data"],
)
def test_a_killed_move_waits_for_the_disk_of_its_target(
    rtorrent: PrivateRTorrent,
    short_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    step: str,
    inside: str,
) -> None:
    monkeypatch.setattr(move_failures, "FIRST_RETRY", 0.0)
    disk, point = short_folder / "disk", short_folder / "mounted"
    disk.mkdir()
    point.mkdir()
    mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk))
    with unmounted_later(disk), unmounted_later(point):
        mounted("--bind", str(disk), str(point))
        scene = Scene(rtorrent, short_folder, point / inside, multi=True)

        def killed(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(module, step, killed)
            with pytest.raises(Killed):
                scene.job(below=str(point)).run()
        subprocess.run(["umount", "-l", str(point)], check=True)
        with pytest.raises(UserError, match="is not mounted: there was one at"):
            scene.job(below=str(point)).run()
        assert os.listdir(point) == []
        assert (scene.source / "a").read_bytes() == scene.content["a"]

        mounted("--bind", str(disk), str(point))
        scene.job(below=str(point)).run()
        eventually(scene.has_moved, 20)
