"""A file is an orphan if no item has it by path or inode, it is older by our clock, and all folders could be read."""

import ctypes
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pyrotorque.errors import RemovalRefused, UserError
from pyrotorque.housekeeping import spellings
from pyrotorque.housekeeping.claims import claims_of
from pyrotorque.housekeeping.item_files import Inode, ItemContent
from pyrotorque.housekeeping.open_files import open_anywhere
from pyrotorque.housekeeping.orphans import OrphanSurvey, SeenFile, orphans, walk
from pyrotorque.jobs import JobConfig
from pyrotorque.jobs.orphans import Orphans
from tests.unit.test_cleanup_claims import item

DAY = 86_400.0


def look(folder: Path, claims: Any, before: dict[str, SeenFile] | None = None, later: float = 0.0) -> OrphanSurvey:
    found = list(walk((folder,), (), ("*.nfo",)))
    return orphans(found, claims, before or {}, time.time() + later, 3 * DAY)


def names(files: Any) -> list[str]:
    return sorted(os.fsdecode(file.path) for file in files)


def test_an_orphan_is_old_after_its_time_and_not_before(tmp_path: Path) -> None:
    claims = claims_of([item(tmp_path, "A", "x")])
    (tmp_path / "loose").write_bytes(b"1" * 100)
    first = look(tmp_path, claims)
    assert (names(first.old), names(first.fresh)) == ([], ["loose"])
    seen = dict(first.seen)
    assert names(look(tmp_path, claims, seen, 2 * DAY).fresh) == ["loose"]
    assert names(look(tmp_path, claims, seen, 4 * DAY).old) == ["loose"]
    assert names(look(tmp_path, claims, {}, 4 * DAY).fresh) == ["loose"], "its own times are no evidence"


def test_a_changed_file_begins_again(tmp_path: Path) -> None:
    claims = claims_of([])
    (tmp_path / "loose").write_bytes(b"1" * 100)
    seen = dict(look(tmp_path, claims).seen)
    with open(tmp_path / "loose", "ab") as file:
        file.write(b"more")
    assert names(look(tmp_path, claims, seen, 4 * DAY).fresh) == ["loose"]
    os.replace(tmp_path / "loose", tmp_path / "kept")
    (tmp_path / "loose").write_bytes(b"1" * 100)
    assert names(look(tmp_path, claims, seen, 4 * DAY).old) == []


def test_a_file_that_an_item_has_in_another_spelling_is_no_orphan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = claims_of([item(tmp_path, "A", "x")])
    (tmp_path / "a").mkdir()
    (tmp_path / "a/X").write_bytes(b"1" * 100)
    assert names(look(tmp_path, claims).fresh) == ["a/X"]
    monkeypatch.setattr(spellings, "fuse_devices", frozenset)  # inodes do not show that both are one file
    assert names(look(tmp_path, claims_of([item(tmp_path, "A", "x")])).fresh) == []


def test_what_an_item_has_or_may_have_is_no_orphan(tmp_path: Path) -> None:
    one = item(tmp_path, "A", "x")
    os.link(tmp_path / "A/x", tmp_path / "hard link")
    (tmp_path / "NAME.MKV").write_bytes(b"1" * 100)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/lost").write_bytes(b"1" * 8192)
    lost = ItemContent("B", "B", os.fsencode(tmp_path), item(tmp_path / "t", "B", "name.mkv", "lost").files)
    (tmp_path / "t/B/name.mkv").unlink()
    (tmp_path / "t/B/lost").unlink()
    assert names(look(tmp_path, claims_of([one, lost])).fresh) == []


def test_ignored_names_links_and_quarantines_are_not_looked_at(tmp_path: Path) -> None:
    for name in (
        "a.nfo",
        "x.torrent",
        ".nfs0001",
        ".pyrotorque-quarantine/1/data/f",
        "b.part",
        "lost+found/f",
        "@eaDir/f",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    assert look(tmp_path, claims_of([])).files == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_refuses_all(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(RemovalRefused, match="cannot be read"):
        look(tmp_path, claims_of([]))


def test_a_folder_that_is_missing_refuses_all(tmp_path: Path) -> None:
    with pytest.raises(RemovalRefused, match="cannot be read"):
        look(tmp_path / "not mounted", claims_of([]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"below": ""}, "below is not set"),
        ({"others": ""}, "others is not set"),
        ({"seen_for": "10m"}, "seen_for is less than 1h"),
        ({"below": "/"}, "below: is /"),
        ({"data": "delete"}, "data is no setting of this job"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, str], message: str) -> None:
    settings = {"job_name": "o", "below": "/srv/torrents", "others": "none"}
    with pytest.raises(UserError, match=message):
        Orphans(JobConfig({**settings, **changes}))


@pytest.mark.parametrize(
    "name",
    [
        *("x.magnet.loaded", "x.torrent.loaded", "d.aria2", "e.crdownload", ".x.mkv.Ab12Cd", ".mergerfs"),
        *("aquota.user", "aquota.group", ".autorelabel", ".nomedia", "pyrotorque.mark", "X.!BT"),
    ],
)
def test_files_of_programs_that_work_here_are_no_orphans(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    (tmp_path / "other.mkv").write_text("x")
    assert [file.path for file in walk([tmp_path], (), ())] == [b"other.mkv"]


def test_a_mapped_file_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "mapped file"
    path.write_bytes(bytes(4096))
    library = ctypes.CDLL(None)
    library.mmap.restype, library.munmap.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_size_t)
    fd = os.open(path, os.O_RDONLY)
    # Python's own mmap keeps the descriptor open.
    address = library.mmap(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_long(0))
    os.close(fd)
    found = os.stat(path)
    try:
        assert Inode(found.st_dev, found.st_ino) in open_anywhere()
    finally:
        library.munmap(address, 4096)
    assert Inode(found.st_dev, found.st_ino) not in open_anywhere()
