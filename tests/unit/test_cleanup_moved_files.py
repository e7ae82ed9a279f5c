"""Files that are moved to quarantine: how often the disk is awaited for that."""

from pathlib import Path

import pytest

from pyrotorque.errors import RemovalRefused
from pyrotorque.housekeeping import moved_files
from pyrotorque.housekeeping.journal import RemovedFile
from pyrotorque.linux.files import open_folder


def removed(path: Path, root: Path) -> RemovedFile:
    found = path.stat()
    return RemovedFile(bytes(path.relative_to(root)).hex(), found.st_dev, found.st_ino, found.st_size)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_each_folder_is_synced_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_replaced: bool) -> None:
    """A disk that turns takes some milliseconds for each: 50,000 files in a folder took longer than a run may."""
    source, target = tmp_path / "source", tmp_path / "target"
    for number in range(200):
        path = source / f"folder {number % 2}" / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    target.mkdir()
    files = [removed(path, source) for path in sorted(source.rglob("*")) if path.is_file()]
    if is_replaced:
        files[-1] = files[-1].__class__(files[-1].path_hex, 0, 0, 1)
    synced: list[object] = []
    monkeypatch.setattr(moved_files, "sync_folder", synced.append)
    with open_folder(bytes(source)) as at, open_folder(bytes(target)) as to:
        if is_replaced:
            with pytest.raises(RemovalRefused, match="is not the file that was planned"):
                moved_files.move(at, to, files)
        else:
            moved_files.move(at, to, files)
            assert moved_files.missing(to, files) == []
    assert len(synced) == 3
