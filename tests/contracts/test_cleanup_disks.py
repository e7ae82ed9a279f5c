"""Clean-ups on disks of their own: freed bytes, bind mounts, and a disk that is not mounted."""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import UserError
from pyrotorque.housekeeping import disk_reserve, quarantine, quarantine_mark
from pyrotorque.housekeeping.disk_notes import disk_notes
from pyrotorque.room import use_limits_of
from pyrotorque_scheduler.queue.disk_space import disk_of
from tests.cleaning import CleanupScene, days_later
from tests.waiting import eventually


def mounted(*words: str) -> None:
    """Skip the test where this user cannot mount."""
    if subprocess.run(["mount", *words], capture_output=True, check=False).returncode:
        pytest.skip("this user cannot mount")


@contextmanager
def unmounted_later(point: Path) -> Generator[None]:
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(point)], capture_output=True, check=False)


@pytest.fixture
def disk(rtorrent: PrivateRTorrent) -> Generator[Path]:
    """The downloads of rTorrent are a disk of 64 MiB."""
    mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(rtorrent.downloads))
    with unmounted_later(rtorrent.downloads):
        yield rtorrent.downloads


def free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def test_space_is_freed_as_planned_and_not_more(rtorrent: PrivateRTorrent, short_folder: Path, disk: Path) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    big = 4 << 20
    linked = scene.write("Linked", ("a",), size=big)
    os.link(linked / "a", disk / "outside")
    paths = [linked, *(scene.write(name, ("a",), size=big) for name in ("One", "Two", "Three"))]
    found = {path.name: scene.add(path) for path in paths}
    before = free(disk)
    settings = {"data": "delete", "sort": "name", "linked": "ignore", "max_percent": 100}
    job = scene.job(**settings, min_free=before + big + 1, until_free=before + big + 1)
    plan = job.preview().plan
    assert [each.candidate.name for each in plan.removals] == ["One", "Three"]
    assert {plan.kept[found[name]].reason for name in ("Linked", "Two")} == {"space"}
    job.run()
    eventually(lambda: abs(free(disk) - before - plan.frees) <= 8192, why="what was planned is free")
    assert plan.frees == 2 * big
    assert [name for name, each in found.items() if scene.has(each)] == ["Linked", "Two"]
    scene.job(**settings, min_free=before).run()
    assert scene.has(found["Two"]), "enough is free"
    with pytest.raises(UserError, match="less than needed can be freed"):
        scene.job(**settings, min_free="1g").run()
    assert not scene.has(found["Two"])
    (disk / "of another program").write_bytes(bytes(1 << 20))
    scene.job(**settings, min_free="1g").run()  # reported, although it is another number of bytes
    assert scene.is_intact(found["Linked"])


def fill(disk: Path, name: str) -> None:
    with suppress(OSError), (disk / name).open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_is_freed_with_what_was_kept_for_that(
    rtorrent: PrivateRTorrent, short_folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_reserve, "_ROOMY", 16 << 20)
    scene = CleanupScene(rtorrent, short_folder)
    found = {name: scene.add(scene.write(name, ("a",), size=4 << 20)) for name in ("One", "Other", "Two", "Zoo")}
    settings = {"data": "delete", "sort": "name"}
    scene.job(**settings, min_free=free(disk) + 1, until_free=free(disk) + 1).run()
    assert not scene.has(found["One"])
    reserve = disk / ".pyrotorque-quarantine/reserve"
    assert reserve.stat().st_size == 1 << 20
    fill(disk, "full")
    assert free(disk) == 0
    scene.job(**settings, min_free=2 << 20, until_free=3 << 20).run()
    assert [scene.has(found[name]) for name in ("Other", "Two", "Zoo")] == [False, True, True]
    assert free(disk) >= 4 << 20
    assert not reserve.exists(), "there is not enough room for it"
    reserve.write_bytes(b"of a torrent")
    fill(disk, "full again")
    with pytest.raises(UserError, match="No space left"):
        scene.job(**settings, min_free=2 << 20, until_free=3 << 20).run()
    assert reserve.read_bytes() == b"of a torrent"
    assert scene.is_intact(found["Two"])
    (disk / "full again").unlink()
    eventually(lambda: scene.seeds(found["Two"]), 20)


def test_a_full_disk_leaves_no_quarantine_without_its_mark(
    rtorrent: PrivateRTorrent, short_folder: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    one = scene.item("One")
    folder = disk / quarantine.NAME
    folder.mkdir(0o700)
    fill(disk, "full")
    with pytest.raises(UserError, match="No space left"):
        scene.job(data="quarantine").run()
    assert scene.has(one)
    (folder / "README").write_bytes(b"")  # as an earlier version left it
    (folder / "README").chmod(0o600)
    (disk / "full").unlink()
    days_later(monkeypatch, 2)
    scene.job(data="quarantine").run()
    assert not scene.has(one)
    assert quarantine_mark.is_quarantine(bytes(folder))


def test_a_file_of_the_owner_is_not_taken_for_an_unfinished_mark(tmp_path: Path) -> None:
    mark = tmp_path / "README"
    for content, mode, is_unfinished in [(b"", 0o600, True), (quarantine_mark.TEXT[:9], 0o600, True),
                                         (b"", 0o644, False), (b"Dates", 0o600, False),
                                         (quarantine_mark.TEXT, 0o600, False)]:  # fmt: skip
        mark.write_bytes(content)
        mark.chmod(mode)
        assert quarantine_mark.is_unfinished(bytes(mark)) is is_unfinished
    assert not quarantine_mark.is_unfinished(bytes(tmp_path / "none"))


def test_a_disk_that_is_not_mounted_removes_nothing(rtorrent: PrivateRTorrent, short_folder: Path, disk: Path) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    found = [scene.item("One"), scene.item("Two", ())]
    for each in found:
        scene.client.multicall([("d.stop", (each,)), ("d.close", (each,))])
    subprocess.run(["umount", "-l", str(disk)], check=True)
    plan = scene.job(data="delete").preview().plan
    assert {each.reason for each in plan.kept.values()} == {"missing"}
    assert plan.removals == ()


def test_a_bind_mount_shows_the_same_files(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    path = scene.write("One")
    point = short_folder / "bound"
    point.mkdir()
    mounted("--bind", str(scene.downloads), str(point))
    with unmounted_later(point):
        one, other = scene.add(path), scene.add(point / "One", salt="other")
        plan = scene.job(condition=f"hash={one}", data="delete").preview().plan
        assert plan.kept[one].reason == "shared"
        scene.job(condition=f"hash={one}", data="delete", shared="keep").run()
        assert not scene.has(one)
        assert scene.is_intact(other)
        outside = scene.job(data="quarantine", below=str(short_folder / "state")).preview().plan
        assert outside.kept[other].reason == "outside"


def test_data_on_another_mount_than_the_quarantine_stays(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    point = scene.downloads / "disk"
    point.mkdir()
    mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(point))
    with unmounted_later(point):
        one = scene.add(scene.write("disk/One"))
        assert scene.job(data="delete").preview().plan.kept[one].reason == "outside"
        both = f"{scene.downloads}:{point}"
        scene.job(data="delete", below=both).run()
        assert not scene.has(one)
        assert not (point / "One").exists()


def test_max_used_counts_own_data_only_and_limits_the_queue(
    rtorrent: PrivateRTorrent, short_folder: Path, disk: Path
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    big = 4 << 20
    paths = [scene.write(name, ("a",), size=big) for name in ("One", "Two", "Three")]
    os.link(paths[1] / "a", disk / "Two/link of an own file")
    found = {path.name: scene.add(path) for path in paths}
    settings = {"data": "delete", "sort": "name", "linked": "ignore", "max_percent": 100}
    (disk / "of others").write_bytes(os.urandom(3 * big))
    scene.job(**settings, max_used=3 * big + 8192).run()
    assert all(map(scene.has, found.values())), "others fill the disk, and our data is below its limit"
    use_limits_of(scene.state / "housekeeping")
    assert disk_of(str(disk / "One"))[1] <= 8192, "the queue has as little room"
    before, job = free(disk), scene.job(**settings, max_used=2 * big)
    preview = job.preview()
    assert [each.candidate.name for each in preview.plan.removals] == ["One"]
    assert 3 * big <= preview.used <= 3 * big + 16384
    job.run()
    eventually(lambda: abs(free(disk) - before - preview.plan.frees) <= 8192, why="what was planned is free")
    assert [name for name, each in found.items() if scene.has(each)] == ["Two", "Three"]
    with pytest.raises(UserError, match="less than needed can be freed"):
        scene.job(**settings, max_used=big // 2, protect="name=Three").run()
    assert scene.is_intact(found["Three"])


def test_min_free_counts_what_max_used_leaves(rtorrent: PrivateRTorrent, short_folder: Path, disk: Path) -> None:
    """As the queue does: it would wait indefinitely for room that the clean-up does not free."""
    scene = CleanupScene(rtorrent, short_folder)
    big = 4 << 20
    found = {name: scene.add(scene.write(name, ("a",), size=big)) for name in ("One", "Two", "Zoo")}
    settings = {"data": "delete", "sort": "name", "max_percent": 100, "max_used": 3 * big + big // 2}
    scene.job(**settings, min_free=big // 4).run()
    assert all(map(scene.has, found.values())), "there is as much room"
    scene.job(**settings, min_free=big, until_free=big).run()
    assert [name for name, each in found.items() if scene.has(each)] == ["Two", "Zoo"]
    use_limits_of(scene.state / "housekeeping")
    scene.job(**settings, min_free=big).run()
    assert disk_of(str(disk / "Two"))[1] >= big, "the queue has the room"
    assert [name for name, each in found.items() if scene.has(each)] == ["Two", "Zoo"], "that was enough"


def test_a_layered_folder_and_a_full_state_are_noted(short_folder: Path) -> None:
    lower, upper, work, merged = (short_folder / name for name in ("lower", "upper", "work", "merged"))
    mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(short_folder))
    with unmounted_later(short_folder):
        for each in (lower, upper, work, merged):
            each.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mounted("-t", "overlay", "-o", options, "overlay", str(merged))
        with unmounted_later(merged):
            layered, full = disk_notes([merged], short_folder, b"")
    assert "is on overlay: files of its lower layers cannot be renamed" in layered
    assert "the state of pyrotorque cannot be saved" in full
