"""On a union of disks that numbers names instead of files (mergerfs without `use_ino`), a hard link is another file."""

import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.housekeeping import inventory, quarantine, restore
from tests.cleaning import CleanupScene, without_awaited_loads
from tests.contracts.test_cleanup_disks import unmounted_later
from tests.dropping import drop
from tests.waiting import eventually
from tests.watching import Watching, job


@pytest.fixture(autouse=True)
def no_other_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    without_awaited_loads(monkeypatch, inventory)


@pytest.fixture
def union(rtorrent: PrivateRTorrent, short_folder: Path) -> Generator[Path]:
    """A folder that shows two others together."""
    branches = [short_folder / name for name in ("first", "second")]
    point = rtorrent.downloads / "union"
    for each in (*branches, point):
        each.mkdir()
    if (program := shutil.which("mergerfs")) is None:
        pytest.skip("mergerfs is not installed")
    words = [program, "-o", "category.create=mfs", ":".join(map(str, branches)), str(point)]
    nowhere = subprocess.DEVNULL  # the program stays, with the files that it inherits
    if subprocess.run(words, stdin=nowhere, stdout=nowhere, stderr=nowhere, check=False).returncode:
        pytest.skip("this user cannot mount")
    with unmounted_later(point):
        yield point


@pytest.mark.parametrize("files", [(), ("a", "sub/b")], ids=["file", "folder"])
def test_data_on_a_union_goes_to_quarantine_comes_back_and_is_deleted(
    rtorrent: PrivateRTorrent, short_folder: Path, union: Path, files: tuple[str, ...]
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    scene.item("Other")
    one = scene.add(scene.write("union/One", files))
    scene.job(condition="name=One", data="quarantine", below=str(union)).run()
    assert not scene.has(one)
    (entry,) = quarantine.entries(union / quarantine.NAME)
    restore.restore(scene.client, entry)
    eventually(lambda: scene.seeds(one), 20)
    scene.job(condition="name=One", data="delete", below=str(union)).run()
    assert not scene.has(one)
    assert [path.name for path in union.rglob("*") if path.is_file()] == ["README"]


@pytest.mark.parametrize("on_loaded", ["rename", "move", "delete"])
def test_a_loaded_metafile_on_a_union_is_disposed_of(
    rtorrent: PrivateRTorrent, short_folder: Path, union: Path, on_loaded: str
) -> None:
    root, loaded = union / "watch", union / "loaded"
    root.mkdir()
    settings = job(root, on_loaded=on_loaded, loaded_path=loaded if on_loaded == "move" else None)
    with Watching(short_folder, settings, url=rtorrent.url) as watching:
        watching.settle()
        drop(root / "a.torrent")
        watching.until(lambda: not (root / "a.torrent").exists())
        watching.settle()
    left = sorted(str(path.relative_to(union)) for path in union.rglob("*") if path.is_file())
    assert left == {"rename": ["watch/a.torrent.loaded"], "move": ["loaded/a.torrent"], "delete": []}[on_loaded]
