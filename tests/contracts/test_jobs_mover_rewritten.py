"""A file that its owner changes while it is copied to another disk is not lost, also if its size and time are kept."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.jobs import JobConfig, move_failures, move_files, mover, tree_copy
from tests.cleaning import CleanupScene
from tests.waiting import eventually

SIZE = 40_000


@pytest.fixture
def scene(rtorrent: PrivateRTorrent, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> CleanupScene:
    (short_folder / "target").mkdir()
    monkeypatch.setattr(move_failures, "FIRST_RETRY", 0.0)
    monkeypatch.setattr(move_files.MoveFiles, "_is_on_other_disk", lambda *_: True)  # pyright: ignore[reportUnknownLambdaType]
    return CleanupScene(rtorrent, short_folder)


def rewrite(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def replace(path: Path, data: bytes) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(data)
    fresh.replace(path)


@pytest.mark.parametrize("change", [rewrite, replace])
@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (tree_copy, "_copy_blocks"),
        (move_files, "copy_tree"),
        (move_files, "is_copied"),
        (move_files, "rename_noreplace"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_that_keeps_size_and_time_is_not_lost(
    scene: CleanupScene, monkeypatch: pytest.MonkeyPatch, owner: Any, step: str, change: Callable[[Path, bytes], None]
) -> None:
    path = scene.write("One", size=SIZE)
    item = scene.add(path, f'd.custom.set=targetdir,"{scene.folder / "target"}"')
    own, effect = os.urandom(SIZE), getattr(owner, step)
    changed: list[str] = []

    def changing(*args: Any, **keywords: Any) -> Any:
        done = effect(*args, **keywords)
        if not changed:
            changed.append(step)
            found = (path / "sub/b").stat()
            change(path / "sub/b", own)
            os.utime(path / "sub/b", ns=(found.st_atime_ns, found.st_mtime_ns))
        return done

    monkeypatch.setattr(owner, step, changing)
    for _ in range(3):
        try:
            mover.Mover(JobConfig({"job_name": "move", "schedule": "minute=*", "condition": f"hash={item}"})).run()
        except UserError:
            continue
    assert changed
    found = {each.read_bytes() for each in scene.folder.rglob("b") if each.is_file()}
    assert own in found, f"what its owner wrote after {step} is somewhere"
    eventually(lambda: scene.client.call("d.hashing", item) == 0, 20)
    assert not list((scene.state / "jobs/move").glob("*.compared"))
