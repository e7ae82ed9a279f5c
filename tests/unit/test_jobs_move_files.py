"""Whatever folder another user replaces by a link during a move, and at whatever moment: nothing outside changes."""

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.errors import PyrotorqueError
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.jobs.move_files import MoveFiles
from pyrotorque.jobs.move_journal import Move, path_hex
from pyrotorque.jobs.move_target import TargetRules
from pyrotorque.jobs.tree_places import TreePlace

CALLS = ("open", "mkdir", "stat", "listdir", "symlink", "unlink", "rmdir", "utime", "fchmod", "readlink", "lstat")
CONTENT = {"a": b"aaaa", "sub/b": b"bbbb" * 999, "sub/deep/c": b"cc"}


class Scene:
    """Data that moves below `done`, and a folder outside with files of the same names, size and time."""

    def __init__(self, folder: Path, *, by_copy: bool) -> None:
        self.folder, self.outside = folder, folder / "outside"
        self.source, self.final = folder / "downloads/Name", folder / "done/tv/new/Name"
        (folder / "done").mkdir(parents=True)
        self.outside.mkdir()
        for inside, data in CONTENT.items():
            path = self.source / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, ns=(10**18, 10**18))
            for victim in (self.outside / inside, self.outside / "Name" / inside, self.outside / path.name):
                victim.parent.mkdir(parents=True, exist_ok=True)
                victim.write_bytes(b"v" * len(data))
                os.utime(victim, ns=(10**18, 10**18))
        self.before = self.outside_now()
        self.move = Move(
            info_hash="A" * 40, name="Name", source_hex=path_hex(self.source), final_hex=path_hex(self.final),
            multi_file=True, by_copy=by_copy,
        )  # fmt: skip
        self.files = MoveFiles(TargetRules((folder / "done",), ()), lambda: None)

    def outside_now(self) -> dict[str, tuple[bytes, int, int]]:
        found = sorted(path for path in self.outside.rglob("*") if path.is_file())
        modes = {str(path): (b"", path.stat().st_mode, 0) for path in self.outside.rglob("*") if path.is_dir()}
        return modes | {str(path): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in found}

    def run(self) -> None:
        self.files.prepare(self.move)
        self.files.rename(self.move)
        self.files.clean(self.move) if self.move.by_copy else None

    def data(self) -> bytes:
        """Everything that is in the files below the target."""
        files = [path for path in (self.folder / "done").rglob("*") if path.is_file() and not path.is_symlink()]
        return b"".join(path.read_bytes() for path in files)

    def is_whole(self) -> bool:
        """Whether each file is at its old or its new place, also in folders that were put aside."""
        found = {path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        return set(CONTENT.values()) <= found


@pytest.mark.parametrize("by_copy", [True, False], ids=["copied", "renamed"])
def test_a_move_that_is_not_disturbed(tmp_path: Path, by_copy: bool) -> None:
    scene = Scene(tmp_path, by_copy=by_copy)
    scene.run()
    assert {name: (scene.final / name).read_bytes() for name in CONTENT} == CONTENT
    assert not scene.source.exists()
    assert os.listdir(scene.final.parent) == ["Name"]


def replacing(patched: pytest.MonkeyPatch, victim: Path, outside: Path, at: int) -> Callable[[], int]:
    """Replace `victim` by a link before the n-th call to the system after it exists; returns the number of calls."""
    done = count(1)
    reached = [0]
    rename, symlink, lexists = os.rename, os.symlink, os.path.lexists
    is_inside = [False]

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            if not is_inside[0]:
                is_inside[0] = True
                if lexists(victim) and next(done) == at:
                    rename(victim, f"{victim}.aside")
                    symlink(outside, victim)
                    reached[0] = at
                is_inside[0] = False
            return call(*args, **kwargs)

        return called

    for name in CALLS:
        patched.setattr(os, name, wrapped(getattr(os, name)))
    return lambda: reached[0]


@pytest.mark.parametrize("by_copy", [True, False], ids=["copied", "renamed"])
@pytest.mark.parametrize(
    "replaced",
    [
        "done/tv", "done/tv/new", f"done/tv/new/.pyrotorque-{'A' * 40}.part",
        f"done/tv/new/.pyrotorque-{'A' * 40}.part/sub", f"done/tv/new/.pyrotorque-{'A' * 40}.part/sub/deep",
        f"done/tv/new/.pyrotorque-{'A' * 40}.part/a", "done/tv/new/Name", "done/tv/new/Name/sub", "downloads/Name",
        "downloads/Name/sub", "downloads/Name/sub/deep",
    ],
)  # fmt: skip
def test_a_link_that_replaces_a_folder_at_any_moment_leads_nowhere(
    tmp_path: Path, replaced: str, by_copy: bool
) -> None:
    happened = 0
    for at in (*range(1, 30), *range(30, 9999, 5)):
        scene = Scene(tmp_path / str(at), by_copy=by_copy)
        victim = scene.folder / replaced
        to = scene.outside / "Name" if victim.name == "Name" else scene.outside
        with pytest.MonkeyPatch.context() as patched:
            reached = replacing(patched, victim, to, at)
            with suppress(OSError, PyrotorqueError):
                scene.run()
        assert scene.outside_now() == scene.before, f"replaced at call {at}"
        assert b"vv" not in scene.data(), f"nothing from outside was copied at call {at}"
        assert scene.is_whole(), f"nothing is lost at call {at}"
        if not reached():
            break
        happened += 1
    assert happened > 3 or not by_copy


def test_folders_are_not_made_through_a_link_that_leads_out(tmp_path: Path) -> None:
    scene = Scene(tmp_path, by_copy=False)
    (tmp_path / "done/tv").symlink_to(scene.outside)
    with pytest.raises(MoveRefused, match="is not below") as caught:
        scene.run()
    assert caught.value.cause == "target"
    assert scene.outside_now() == scene.before


@pytest.mark.parametrize("to", ["absent", "../outside/absent", "tv"], ids=["inside", "outside", "itself"])
def test_a_dangling_link_in_the_way_makes_no_folder(tmp_path: Path, to: str) -> None:
    scene = Scene(tmp_path, by_copy=False)
    (tmp_path / "done/tv").symlink_to(to)
    with pytest.raises((OSError, MoveRefused)):
        scene.run()
    assert scene.outside_now() == scene.before
    assert scene.is_whole()


def test_data_does_not_move_into_itself(tmp_path: Path) -> None:
    """Neither through a name of the same folder."""
    scene = Scene(tmp_path, by_copy=True)
    (tmp_path / "done/tv").symlink_to(scene.source / "sub")
    with pytest.raises(MoveRefused):
        scene.run()
    assert scene.is_whole()


def test_a_tree_that_is_too_deep_is_refused_for_itself(tmp_path: Path) -> None:
    """Neither a recursion nor open files end the job, which has other items."""
    scene = Scene(tmp_path, by_copy=True)
    folder = os.open(scene.source, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    try:
        with pytest.raises(MoveRefused, match="more than 100 folders within each other"):
            scene.run()
        assert (scene.source / "a").read_bytes() == CONTENT["a"]
    finally:
        subprocess.run(["rm", "-rf", str(scene.source)], check=True)  # too deep for shutil, too


@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_what_is_no_file_is_refused_and_stops_nothing(tmp_path: Path, kind: str) -> None:
    scene = Scene(tmp_path, by_copy=True)
    if kind == "fifo":
        os.mkfifo(scene.source / "a fifo")
    else:
        os.mknod(scene.source / "a socket", 0o140600)
    with pytest.raises(MoveRefused, match="cannot be moved to another disk"):
        scene.run()
    assert scene.is_whole()


@pytest.mark.parametrize(
    ("names", "is_refused"),
    [
        (("Film.mkv", "film.mkv"), True),
        (("FILM.NFO", "b", "film.nfo"), True),
        (("sub/A", "sub/a"), True),
        (("Sub/a", "sub/a"), True),
        (("Film.mkv", "Film.nfo"), False),  # shown in another form, but each is a file of its own
        (("CD1/A", "CD2/a"), False),
    ],
)
def test_files_that_are_one_on_the_disk_of_the_target_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], is_refused: bool
) -> None:
    source, done = tmp_path / "downloads/Name", tmp_path / "done"
    done.mkdir()
    for number, name in enumerate(names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"%d" % number * 100)
        os.utime(source / name, ns=(10**18, 10**18))
    inside = TreePlace.inside

    def without_case(place: TreePlace, folder: int, name: str) -> TreePlace:
        return inside(place, folder, name.lower() if place.path.is_relative_to(done) else name)

    monkeypatch.setattr(TreePlace, "inside", without_case)
    move = Move(
        info_hash="A" * 40, name="Name", source_hex=path_hex(source), final_hex=path_hex(done / "Name"),
        multi_file=True, by_copy=True,
    )  # fmt: skip
    moving = MoveFiles(TargetRules((done,), ()), lambda: None)
    if is_refused:
        with pytest.raises(MoveRefused, match="would be one file on the target's disk"):
            moving.prepare(move)
        assert {(source / name).read_bytes() for name in names} == {b"%d" % each * 100 for each in range(len(names))}
        return
    moving.prepare(move)
    moving.rename(move)
    assert moving.clean(move) == []
    assert sorted((done / "Name" / name.lower()).read_bytes() for name in names) == [
        b"%d" % each * 100 for each in range(len(names))
    ]
