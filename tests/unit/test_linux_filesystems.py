"""Mounts and free space: paths of any bytes, mounts over mounts, and every spelling of a network filesystem."""

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from pyrotorque.linux.filesystems import (
    Mount,
    disk_space,
    filesystem_type,
    is_network,
    is_watchable,
    is_within,
    mounts_below,
    parse_mounts,
    read_mounts,
)

MOUNTINFO = (
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "30 22 0:40 / /home rw - nfs4 server:/home rw\n"
    "31 30 0:41 / /home/me/local\\040disk rw master:1 - xfs /dev/sdb rw\n"
    "32 22 0:42 / /mnt/müsik rw - cifs //nas/müsik rw\n"
    "33 22 0:43 / /mnt/日本\\011\\012\\134\\043 rw - fuse.sshfs nas:/ rw\n"
    "34 22 8:1 /srv/data /mnt/bind rw - ext4 /dev/sda1 rw\n"
    "35 22 0:44 / /mnt/stack rw - nfs host:/ rw\n"
    "36 35 0:45 / /mnt/stack rw - tmpfs none rw\n"
    "37 22 0:46 / /mnt/under/deep rw - nfs host:/ rw\n"
    "38 22 0:47 / /mnt/under rw - btrfs /dev/sdc rw\n"
    "39 22 0:48 / /mnt/opt rw shared:7 master:2 propagate_from:3 - ceph mon:/ rw\n"
    "41 22 0:50 / /mnt/many\\0 rw - ext4 /dev/sdd rw\n"
).encode() + b"40 22 0:49 / /mnt/\xff\xfe rw - 9p host rw\nbroken line\n1 2 3\n- - -\n\n"
MOUNTS = parse_mounts(MOUNTINFO)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/state", "nfs4"),
        ("/homely", "ext4"),
        ("/home/me/local disk/state", "xfs"),
        ("/home/me/local", "nfs4"),
        ("/mnt/müsik/state", "cifs"),
        ("/mnt/müsi", "ext4"),
        ("/mnt/日本\t\n\\#/state", "fuse.sshfs"),
        (b"/mnt/\xff\xfe/state", "9p"),
        ("/mnt/bind/state", "ext4"),
        ("/mnt/stack/state", "tmpfs"),
        ("/mnt/under/deep/state", "btrfs"),
        ("/mnt/opt/state", "ceph"),
    ],
)
def test_the_filesystem_of_a_path_is_that_of_the_mount_that_the_kernel_finds(path: str | bytes, kind: str) -> None:
    assert filesystem_type(os.fsencode(path), MOUNTS) == kind


def test_a_name_with_a_broken_escape_stays_as_it_is() -> None:
    assert parse_mounts(b"1 0 0:1 / /a\\9z\\777 rw - ext4 x rw")[0].point == b"/a\\9z\\777"


def test_a_process_whose_root_is_no_mount_sees_only_mounts_below_it() -> None:
    mounts = [Mount(5, 2, b"/data", "xfs"), Mount(6, 5, b"/data/nfs", "nfs")]
    assert filesystem_type(b"/data/nfs/x", mounts) == "nfs"
    assert filesystem_type(b"/other", mounts) == ""


def test_a_namespace_whose_root_is_its_own_parent_has_an_end() -> None:
    assert filesystem_type(b"/x", [Mount(1, 1, b"/", "rootfs")]) == "rootfs"


def test_mounts_below_a_path_leave_out_those_that_were_mounted_over() -> None:
    below = [(mount.point, mount.kind) for mount in mounts_below(b"/mnt/under", MOUNTS)]
    assert below == [(b"/mnt/under", "btrfs")]


def test_the_mounts_of_this_process_hold_its_folder() -> None:
    assert filesystem_type(os.fsencode(os.path.realpath(".")), read_mounts())


NETWORK = [
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "lustre", "beegfs", "glusterfs", "coda"),
    *("fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.s3fs", "fuse.juicefs", "fuse.JuiceFS"),
    *("fuse.gvfsd-fuse", "fuse.smbnetfs", "fuse.mfs", "fuse.beegfs"),
]
LOCAL = ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "ntfs3", "apfs", "fuseblk", ""]
LOCAL_FUSE = ["fuse", "fuse.mergerfs", "fuse.shfs", "fuse.gocryptfs", "virtiofs", "vboxsf"]


@pytest.mark.parametrize("kind", NETWORK)
def test_a_network_filesystem_is_one_and_cannot_be_watched(kind: str) -> None:
    assert is_network(kind)
    assert not is_watchable(kind)


@pytest.mark.parametrize("kind", LOCAL)
def test_a_local_filesystem_can_be_watched(kind: str) -> None:
    assert not is_network(kind)
    assert is_watchable(kind)


@pytest.mark.parametrize("kind", LOCAL_FUSE)
def test_a_filesystem_with_other_writers_on_this_machine_is_local_and_cannot_be_watched(kind: str) -> None:
    assert not is_network(kind)
    assert not is_watchable(kind)


@pytest.mark.parametrize(
    ("path", "folder", "within"),
    [
        (b"/a/b", b"/a", True),
        (b"/a", b"/a", True),
        (b"/a", b"/a/b", False),
        (b"/ab", b"/a", False),
        (b"/x", b"/", True),
        (b"/", b"/", True),
        (b"/a/b", b"/a/", True),
    ],
)
def test_a_path_is_within_a_folder_by_whole_names(path: bytes, folder: bytes, within: bool) -> None:
    assert is_within(path, folder) is within


def test_the_space_of_a_folder_that_does_not_exist_yet_is_that_of_its_nearest_parent(tmp_path: Path) -> None:
    space, later = disk_space(str(tmp_path)), disk_space(str(tmp_path / "not" / "yet"))
    assert space is not None
    assert later is not None
    assert (later.device, later.folder) == (space.device, tmp_path)
    assert space.free > 0


def test_the_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    space = disk_space("~/downloads")
    assert space is not None
    assert space.folder == tmp_path


@pytest.mark.parametrize("path", ["relative", "", ".", "~no-such-user-here/x"])
def test_a_path_that_is_not_absolute_has_no_known_space(path: str) -> None:
    assert disk_space(path) is None


def test_a_path_below_a_file_or_with_an_impossible_name_is_measured_at_its_parent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file/x", "x" * 300, "nul\0"):
        space = disk_space(str(tmp_path / name))
        assert space is not None, name
        assert space.folder in (tmp_path, tmp_path / "file")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_filesystem_that_does_not_answer_is_not_mistaken_for_its_parents(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_path: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "statvfs", broken)
    assert disk_space("/mnt/dead/x") is None
