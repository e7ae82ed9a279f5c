"""The mount point of a disk that is not mounted is no target; what was never a mount point is one."""

import os
from pathlib import Path

import pytest

from pyrotorque.jobs import target_disks
from pyrotorque.jobs.move_journal import MoveJournal
from pyrotorque.jobs.target_disks import FILE, TargetDisks
from pyrotorque.linux import fstab
from pyrotorque.linux.filesystems import Mount

ROOT = Mount(1, 0, b"/", "ext4")


class Machine:
    """Its mounts and its /etc/fstab, which a test changes."""

    def __init__(self, fstab_file: Path) -> None:
        self.mounts, self.fstab = [ROOT], fstab_file

    def mount(self, point: Path, parent: int = 1, kind: str = "ext4", device: bytes = b"", root: bytes = b"/") -> int:
        """The number of the mount."""
        self.mounts.append(Mount(len(self.mounts) + 1, parent, bytes(point), kind, device, root))
        return len(self.mounts)

    def unmount(self) -> None:
        self.mounts[:] = [ROOT]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path / "fstab")
    monkeypatch.setattr(target_disks, "read_mounts", lambda: found.mounts)
    monkeypatch.setattr(fstab, "FSTAB", found.fstab)
    return found


@pytest.fixture
def disks(tmp_path: Path) -> TargetDisks:
    (tmp_path / "state").mkdir()
    return TargetDisks(tmp_path / "state")


def test_a_disk_that_was_used_must_be_mounted(machine: Machine, disks: TargetDisks, tmp_path: Path) -> None:
    (tmp_path / "media" / "films").mkdir(parents=True)
    machine.mount(tmp_path / "media")
    disks.remember(tmp_path / "media" / "films")
    assert list(MoveJournal(disks.state_dir).hashes()) == [], "it is no journal"
    films = bytes(tmp_path / "media" / "films" / "new")
    assert disks.refusal(films) == ""
    machine.unmount()
    refusal = TargetDisks(disks.state_dir).refusal(films)
    assert f"there was one at {tmp_path / 'media'} when data was moved there before" in refusal
    assert str(disks.state_dir / FILE) in refusal
    assert disks.refusal(bytes(tmp_path / "media-beside")) == ""
    machine.mounts.clear()  # /proc cannot be read
    assert disks.refusal(films) == ""


def test_the_root_filesystem_and_a_damaged_file_forbid_nothing(
    machine: Machine, disks: TargetDisks, tmp_path: Path
) -> None:
    disks.remember(tmp_path)
    assert not (disks.state_dir / FILE).exists()
    for content in (b"", b"{", b'["zz"]', b"\xff"):
        (disks.state_dir / FILE).write_bytes(content)
        assert disks.refusal(bytes(tmp_path)) == ""
    machine.mount(tmp_path)
    disks.remember(tmp_path)
    machine.unmount()
    assert "is not mounted" in disks.refusal(bytes(tmp_path))


@pytest.mark.parametrize(
    ("line", "is_refused"),
    [
        ("UUID=1 {point} ext4 defaults,nofail 0 2", True),
        ("UUID=1 {point}/ ext4", True),
        ("UUID=1 {point} ext4 noauto,user 0 2", False),
        ("# UUID=1 {point} ext4 defaults 0 2", False),
        ("UUID=1 {point}-beside ext4 defaults 0 2", False),
        ("UUID=1 none swap sw 0 0", False),
        ("UUID=1 / ext4 defaults 0 1", False),
        ("UUID=1", False),
    ],
)
def test_a_disk_of_fstab_must_be_mounted(
    machine: Machine, disks: TargetDisks, tmp_path: Path, line: str, is_refused: bool
) -> None:
    point = tmp_path / "a disk"
    folder = bytes(point / "films")
    machine.fstab.write_text(line.format(point=str(point).replace(" ", "\\040")) + "\n")
    assert ("/etc/fstab has one" in disks.refusal(folder)) is is_refused
    machine.mount(point)
    assert disks.refusal(folder) == ""


def test_a_mount_of_the_same_folder_is_no_disk(machine: Machine, disks: TargetDisks, tmp_path: Path) -> None:
    """As systemd mounts each folder of ReadWritePaths; the group may be started without it later."""
    films = tmp_path / "films"
    films.mkdir()
    machine.mount(films, root=bytes(films))
    disks.remember(films)
    machine.unmount()
    assert disks.refusal(bytes(films)) == ""


def test_the_disk_below_a_mount_of_one_of_its_folders_is_known(
    machine: Machine, disks: TargetDisks, tmp_path: Path
) -> None:
    disk, films = tmp_path / "disk", tmp_path / "disk/films"
    films.mkdir(parents=True)
    number = machine.mount(disk, device=b"8:1")
    machine.mount(films, machine.mount(films, number, device=b"8:1", root=b"/films"), device=b"8:1", root=b"/films")
    disks.remember(films)
    machine.unmount()
    assert f"there was one at {disk} when" in disks.refusal(bytes(films))


@pytest.mark.parametrize(("device", "root"), [(b"8:1", b"/films"), (b"", b"/other"), (b"", b"/")])
def test_a_mount_of_another_folder_is_a_disk(
    machine: Machine, disks: TargetDisks, tmp_path: Path, device: bytes, root: bytes
) -> None:
    """A subvolume or a volume of a container shows another folder, also of the same filesystem."""
    machine.mount(tmp_path, device=device, root=root)
    disks.remember(tmp_path)
    machine.unmount()
    assert "is not mounted" in disks.refusal(bytes(tmp_path))


@pytest.mark.parametrize("place", ["hanging", "hanging/inner", "disk", "link", "links/hanging"])
def test_a_filesystem_that_has_nothing_to_do_with_the_target_is_not_looked_at(
    machine: Machine, disks: TargetDisks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Its server may never answer: no data would be moved anywhere."""
    hanging, disk = tmp_path / "hanging", tmp_path / "disk"
    for mounted in (hanging, disk):
        mounted.mkdir()
    (tmp_path / "link").symlink_to(hanging)
    (tmp_path / "links").symlink_to(tmp_path)
    machine.mount(hanging, kind="nfs4")
    machine.mount(disk)
    machine.fstab.write_text(f"x {tmp_path / place} ext4\n")
    lstat, readlink = os.lstat, os.readlink

    def look(path: bytes) -> os.stat_result:
        assert not os.path.basename(path).startswith((b"hanging", b"disk", b"inner"))
        return lstat(path)

    def look_at_link(path: bytes) -> bytes:
        assert not os.path.basename(path).startswith((b"hanging", b"disk", b"inner"))
        return readlink(path)

    monkeypatch.setattr(os, "lstat", look)
    monkeypatch.setattr(os, "readlink", look_at_link)
    refusal = disks.refusal(bytes(tmp_path / "films"))
    monkeypatch.undo()
    assert refusal == ""


@pytest.mark.parametrize("place", ["link", "links/disk", "other"])
def test_a_mount_point_may_be_written_with_links(
    machine: Machine, disks: TargetDisks, tmp_path: Path, place: str
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    (tmp_path / "other").symlink_to("links/./link")
    (tmp_path / "links").symlink_to(tmp_path)
    machine.fstab.write_text(f"x {tmp_path / place} ext4\n")
    films = bytes(tmp_path / "disk/films")
    assert f"/etc/fstab has one for {tmp_path / 'disk'}" in disks.refusal(films)
    machine.mount(tmp_path / "disk")
    assert disks.refusal(films) == ""
