"""Files and folders: names of any bytes, numbers of any size, and trees that must be polled."""

import os
from pathlib import Path

import pytest

from pyrotorque.linux.filesystems import parse_mounts
from pyrotorque_watcher.load.visibility import FileVisibility
from pyrotorque_watcher.load.watch_ini import folders_between
from pyrotorque_watcher.scan.files import (
    int64,
    is_metafile,
    listing,
    look,
    nearest_root,
    polling_reason,
)
from pyrotorque_watcher.scan.roots import group_started

MOUNTS = parse_mounts(
    b"""\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /mnt/n\\040as rw - nfs4 host:/x rw
31 22 0:31 / /home/me/remote rw - fuse.sshfs me@host:/ rw
32 31 0:32 / /home/me/remote/disk rw - fuseblk /dev/sdb1 rw
"""
)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (b"/srv/watch", ""),
        (b"/home/me/remote/disk", ""),
        (b"/mnt/n as/watch", "it is on nfs4"),
        (b"/home/me", "/home/me/remote in it is on fuse.sshfs"),
        (b"/mnt/n", ""),
    ],
)
def test_a_tree_is_polled_where_inotify_misses_changes_in_it_or_below(path: bytes, said: str) -> None:
    assert polling_reason(path, MOUNTS).startswith(said)
    assert bool(polling_reason(path, MOUNTS)) is bool(said)


@pytest.mark.parametrize("name", [b"a.torrent", b".torrent", b"A.TORRENT", b"x.magnet", b"\xff.torrent"])
def test_metafiles(name: bytes) -> None:
    assert is_metafile(name)


@pytest.mark.parametrize("name", [b"a.torrent.part", b"torrent", b"a.torrentx", b"a.load", b"", b"a.torrent.loaded"])
def test_no_metafiles(name: bytes) -> None:
    assert not is_metafile(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            b"._a.torrent",
            b".in.a.torrent",
            b".a.torrent.AbC123",
            b".goutputstream-X1Y2Z3",
            b"a.torrent~",
            b"#a.torrent#",
        ),
        *(b".a.torrent.swp", b"4913", b"a.torrent.part", b"a.torrent.crdownload", b"a.torrent.!qB", b"a.torrent.!ut"),
        *(b"a.torrent.aria2", b"a.torrent.filepart", b"a.torrent.partial", b"a.torrent.tmp", b"a.torrent.download"),
        *(b".syncthing.a.torrent.tmp", b"~syncthing~a.torrent.tmp", b".a.torrent.icloud", b"a.torrent:Zone.Identifier"),
        *(b"a.torrent@SynoResource", b".~lock.a.torrent#", b".in.a.torrent.", b".pureftpd-upload.5f", b"Thumbs.db"),
        *(b"desktop.ini", b".DS_Store", b".nfs0000000000000001", b".fuse_hidden0001", b"a.torrent.added"),
        *(b"a.torrent.rtorrent", b"a.torrent.libtorrent_resume", b"a.fastresume", b".a.torrent.~1a2b"),
    ],
)
def test_companions_of_metafiles_are_none(name: bytes) -> None:
    assert not is_metafile(name)


def test_folders_with_copies_of_other_programs_are_not_entered(tmp_path: Path) -> None:
    names = (".AppleDouble", "__MACOSX", "@eaDir", ".stversions", ".rsync-partial", ".Trash-1000")
    for name in (*names, ".pyrotorque-quarantine", "tv", ".hidden"):
        (tmp_path / name).mkdir()
    found = listing(bytes(tmp_path), follow=False)
    assert [os.path.basename(path) for path in found.folders] == [b".hidden", b"tv"]


@pytest.mark.parametrize("number", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_numbers_that_fit_stay(number: int) -> None:
    assert int64(number) == number


def test_an_inode_of_64_bits_fits_into_the_ledger() -> None:
    assert int64(2**64 - 1) == -1
    assert int64(2**63) == -(2**63)


def test_a_listing_has_files_and_folders_in_order(tmp_path: Path) -> None:
    for name in ("b.torrent", "a.torrent", "c.txt"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("z", "y.torrent"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "z")
    found = listing(bytes(tmp_path), follow=False)
    assert [os.path.basename(file.path) for file in found.files] == [b"a.torrent", b"b.torrent"]
    assert [os.path.basename(path) for path in found.folders] == [b"y.torrent", b"z"]
    assert len(listing(bytes(tmp_path), follow=True).folders) == 3


def test_a_folder_that_is_gone_is_empty(tmp_path: Path) -> None:
    assert listing(bytes(tmp_path / "absent"), follow=False).files == []


def test_a_path_that_no_kernel_accepts_is_no_file() -> None:
    assert look(b"/tmp/\0") is None


def test_the_nearest_root_holds_a_path() -> None:
    assert nearest_root(b"/w/tv/x", [b"/w", b"/w/tv", b"/w/t"]) == b"/w/tv"
    assert nearest_root(b"/elsewhere/x", [b"/w"]) is None


def test_the_folders_from_a_root_down_to_another() -> None:
    assert folders_between(b"/w", b"/w/a/b") == [b"/w", b"/w/a", b"/w/a/b"]
    assert folders_between(b"/w", b"/w") == [b"/w"]


def test_no_file_is_visible_for_a_process_that_is_no_rtorrent(tmp_path: Path) -> None:
    visibility = FileVisibility()
    visibility.attach(os.getpid(), os.uname().nodename)
    assert not visibility.sees(bytes(tmp_path), bytes(tmp_path))


def test_without_supervisord_the_group_begins_with_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_ENABLED", raising=False)
    alone = group_started()
    monkeypatch.setenv("SUPERVISOR_ENABLED", "1")
    assert group_started() < alone
