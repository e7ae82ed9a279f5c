"""Old data that cannot be removed after a copy: the item seeds at its new place, and all other old files go."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.jobs import move_failures
from tests.contracts.test_jobs_mover import Scene, no_pause

__all__ = ["no_pause"]  # a fixture


@pytest.fixture
def other_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="prt-", dir="/dev/shm") as made:
        yield Path(made) / "done/tv"


def test_each_other_old_file_is_removed_and_the_move_ends_later(
    rtorrent: PrivateRTorrent, short_folder: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(rtorrent, short_folder, other_disk, multi=True)
    unlink = os.unlink

    def refused(path: Any, *, dir_fd: int | None = None) -> None:
        if os.fsencode(path) == b"a" and dir_fd is not None:
            raise PermissionError(errno.EPERM, "Operation not permitted", path)  # as for a file with `chattr +i`
        unlink(path, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refused)
        with pytest.raises(UserError) as failed:
            scene.job().run()
        assert f"its data is at {scene.final} now, and {scene.source}/a cannot be removed" in str(failed.value)
        assert [each.name for each in scene.source.rglob("*") if each.is_file()] == ["a"]
        assert scene.seeds()
        (failure,) = move_failures.stored_failures(scene.folder / "state/jobs/move").values()
        assert failure.cause == "permission"
        scene.job().run()  # reported once
    scene.job().run()
    assert scene.has_moved()


def test_a_name_that_the_disk_cannot_hold_is_in_the_message(
    rtorrent: PrivateRTorrent, short_folder: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(rtorrent, short_folder, other_disk, multi=True)
    opened = os.open

    def refused(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if path == b"b" and flags & os.O_CREAT:
            raise OSError(errno.EINVAL, "Invalid argument", path)
        return opened(path, flags, *more, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)
        with pytest.raises(UserError, match=r"cannot be moved to .*: Invalid argument \(b\)"):
            scene.job().run()
        assert scene.seeds()
    scene.job().run()
    assert scene.has_moved()
