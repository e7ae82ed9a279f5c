"""Roots on a filesystem that does not answer: what is left out, and for how long."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.waiting import bound
from pyrotorque.hanging_roots import answering_job, answering_settings, hanging_folders
from pyrotorque.linux.filesystems import parse_mounts
from pyrotorque.linux.hanging_folders import HangingFolders
from pyrotorque.settings.schema import RTorrentSettings, Settings
from pyrotorque_watcher.scan.left_out_roots import LeftOutRoots
from tests.dropping import drop
from tests.waiting import eventually
from tests.watching import Watching, job

MOUNT = b"36 35 98:0 / /mnt rw,noatime shared:1 - %s source rw\n"


class Filesystem:
    """A list of a folder below `path` waits until `resume`."""

    def __init__(self, path: Path, scandir: Any) -> None:
        self.path, self._scandir = bytes(path), scandir
        self._answers = threading.Event()

    def scandir(self, path: Any) -> Any:
        if isinstance(path, bytes) and path.startswith(self.path):
            self._answers.wait(bound(60))
        return self._scandir(path)

    def resume(self) -> None:
        self._answers.set()


@pytest.fixture
def hung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Filesystem]:
    (tmp_path / "hung").mkdir()
    made = Filesystem(tmp_path / "hung", os.scandir)
    monkeypatch.setattr("pyrotorque.linux.hanging_folders.os.scandir", made.scandir)
    monkeypatch.setattr("pyrotorque.linux.hanging_folders.WITHIN", bound(1.0))
    monkeypatch.setattr("pyrotorque.linux.hanging_folders.read_mounts", lambda: parse_mounts(MOUNT % b"fuse.sshfs"))
    yield made
    made.resume()


def test_a_folder_that_hangs_is_found_and_one_that_is_missing_answers(hung: Filesystem, tmp_path: Path) -> None:
    answered: list[float] = []
    looks = HangingFolders(lambda: answered.append(time.monotonic()))
    folders = [hung.path, bytes(tmp_path), bytes(tmp_path / "missing"), b"/nul\0"]
    assert looks.find(folders) == {hung.path}
    threads = threading.active_count()
    assert looks.find(folders) == {hung.path}
    assert threading.active_count() == threads, "it is not looked at twice"
    hung.resume()
    eventually(lambda: answered)
    eventually(lambda: not looks.waiting)
    assert looks.find(folders, bound(20.0)) == set()


def test_what_a_job_keeps(tmp_path: Path) -> None:
    one, two, target = tmp_path / "one", tmp_path / "two", tmp_path / "target"
    watch = job(one, two, loaded_path=target)
    assert answering_job(watch, {bytes(tmp_path)}) is watch
    assert answering_job(watch, {bytes(two)}).path == (one,)
    assert answering_job(watch, {bytes(target)}).path == (), "its metafiles could not be moved"
    settings = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=(watch,))
    assert answering_settings(settings, ()) is settings
    assert answering_settings(settings, {bytes(one)}).jobs[0] == answering_job(watch, {bytes(one)})


def test_folders_of_jobs_that_are_not_active_are_not_looked_at(hung: Filesystem) -> None:
    watch = job(Path(os.fsdecode(hung.path)))
    settings = Settings(digest="", rtorrent=RTorrentSettings(url=None, origin=""), jobs=(watch,))
    assert hanging_folders(settings, HangingFolders()) == {hung.path}


def test_each_root_that_is_left_out_is_known_and_outdated_when_it_answers(hung: Filesystem, tmp_path: Path) -> None:
    inside = Path(os.fsdecode(hung.path)) / "tree"
    inside.mkdir()
    left_out = LeftOutRoots(HangingFolders())
    kept = left_out.find([job(tmp_path, inside), job(tmp_path / "b", name="other", failed_path=inside)])
    assert [each.path for each in kept] == [(tmp_path,), ()]
    assert (left_out.of("treewatch"), left_out.of("other")) == ([bytes(inside)], [bytes(tmp_path / "b")])
    assert left_out.paths == {bytes(inside), bytes(tmp_path / "b")}
    assert not left_out.is_outdated
    hung.resume()
    eventually(lambda: left_out.is_outdated)
    assert [each.path for each in left_out.find([job(tmp_path, inside)])] == [(tmp_path, inside)]
    assert not left_out.paths
    assert not left_out.is_outdated


def test_nothing_is_done_about_files_of_a_root_that_is_left_out(hung: Filesystem, tmp_path: Path) -> None:
    """What the ledger has of it stays as it is, whatever was to be done."""
    here, there = tmp_path / "here", Path(os.fsdecode(hung.path))
    here.mkdir()
    with Watching(tmp_path, job(here, there), group_started=1.0) as watching:
        assert watching.watcher.ledger.left_out == {bytes(there)}
        hung.resume()
        watching.again()
        assert not watching.watcher.ledger.left_out
        ledger = watching.watcher.ledger
        drop(there / "a.torrent")
        drop(here / "b.torrent")
        watching.until(lambda: {row.path for row in ledger.rows("seen", 1e12, 9)} == _paths(here / "b", there / "a"))
        ledger.left_out = frozenset({bytes(there)})
        assert {row.path for row in ledger.rows("seen", 1e12, 9)} == _paths(here / "b")
        assert {row.path for row in ledger.rows_to_load(1e12, 9)} == _paths(here / "b")
        with ledger.transaction() as db:
            db.execute("UPDATE metafiles SET state = 'failed', kind = 'rpc', todo = 'loaded', next_try = 7")
        assert {failed.path for failed in ledger.failed_by_settings("treewatch")} == _paths(here / "b")
        assert {row.path for _, row in ledger.todo(9)} == _paths(here / "b")
        assert ledger.next_try("seen") is None
        ledger.left_out = frozenset()
        assert {row.path for _, row in ledger.todo(9)} == _paths(here / "b", there / "a")


def _paths(*stems: Path) -> set[bytes]:
    return {bytes(stem) + b".torrent" for stem in stems}


@pytest.mark.parametrize(
    ("kind", "is_limited", "is_looked_at"),
    [
        *((kind, True, True) for kind in (b"fuse.mergerfs", b"fuseblk", b"autofs", b"nfs4", b"cifs", b"virtiofs")),
        *((kind, True, False) for kind in (b"ext4", b"tmpfs", b"overlay", b"btrfs", b"zfs")),
        (b"ext4", False, True),
    ],
)
def test_where_memory_is_limited_a_thread_looks_only_if_a_filesystem_can_hang(
    hung: Filesystem, monkeypatch: pytest.MonkeyPatch, kind: bytes, is_limited: bool, is_looked_at: bool
) -> None:
    """A thread needs 8 MiB of address space and more. A failing disk hangs, too, whatever its filesystem is."""
    module = "pyrotorque.linux.hanging_folders"
    monkeypatch.setattr(f"{module}.read_mounts", lambda: parse_mounts(MOUNT % kind))
    monkeypatch.setattr(f"{module}._is_memory_limited", lambda: is_limited)
    assert HangingFolders().find([hung.path]) == ({hung.path} if is_looked_at else set())
