"""Renames and disposal of loaded metafiles lose no item, also over interruptions and with `remove_untied`."""

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from demo.metafiles import info_hash
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque import logs
from pyrotorque.linux import fstab
from pyrotorque.linux.filesystems import filesystem_type, read_mounts
from pyrotorque.rtorrent import RTorrent
from pyrotorque_watcher.settle.metafile_names import MetafileNames
from pyrotorque_watcher.settle.ties import TieChange, Ties
from tests.dropping import drop, items
from tests.programs import Program
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")

REMOVE_UNTIED = "schedule = untied, 1, 1, ((remove_untied))\n"


@pytest.fixture
def untying_rtorrent(rtorrent_program: Program, short_folder: Path) -> Iterator[PrivateRTorrent]:
    with PrivateRTorrent(short_folder / "untying", extra_rc=REMOVE_UNTIED) as rtorrent:
        yield rtorrent


def tie_of(rtorrent: PrivateRTorrent, info: str) -> str:
    return str(RTorrent(rtorrent.url).call("d.tied_to_file", info))


def test_a_metafile_renamed_by_hand_keeps_its_item_tied(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent
) -> None:
    # remove_untied runs after the watcher only: on its own schedule it could come between the rename and the new tie.
    new = root / "sub" / "b c.torrent"
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        watching.settle()
        info = watching.load(root / "a.torrent")
        new.parent.mkdir()
        watching.settle()
        (root / "a.torrent").rename(new)
        watching.until(lambda: tie_of(rtorrent, info) == str(new))
        RTorrent(rtorrent.url).call("remove_untied", "")
        assert items(rtorrent) == {info}
        assert len(watching.loaded) == 1


def test_a_tie_that_was_cut_stays_cut_when_the_file_is_renamed(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent
) -> None:
    info = watching.load(root / "a.torrent")
    RTorrent(rtorrent.url).call("d.tied_to_file.set", info, "")
    (root / "a.torrent").rename(root / "b.torrent")
    watching.until(lambda: watching.state(root / "b.torrent") == "loaded")
    watching.settle()
    assert tie_of(rtorrent, info) == ""


def test_files_renamed_while_rtorrent_is_down_are_tied_again_when_it_is_back(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent
) -> None:
    info = watching.load(root / "a.torrent")
    rtorrent.kill()
    (root / "a.torrent").rename(root / "b.torrent")
    watching.until(lambda: watching.state(root / "b.torrent") == "loaded")
    watching.again()
    rtorrent.start()
    watching.until(lambda: tie_of(rtorrent, info) == str(root / "b.torrent"), 20)


def test_the_tie_of_a_metafile_that_is_moved_where_rtorrent_does_not_see_it_is_cut(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent
) -> None:
    done = short_folder / "done"
    away = job(root, on_loaded="move", loaded_path=done, path_map=((str(done), "/data/done"),))
    with Watching(short_folder, away, url=rtorrent.url) as watching:
        watching.settle()
        info = drop(root / "a.torrent")
        watching.until((done / "a.torrent").exists)
        watching.until(lambda: watching.state(done / "a.torrent") == "loaded")
        assert tie_of(rtorrent, info) == ""
        RTorrent(rtorrent.url).call("remove_untied", "")
        assert items(rtorrent) == {info}


@pytest.mark.parametrize("grain", [1, 100, 10_000_000, 2_000_000_000], ids=["ext4", "CIFS", "exFAT", "FAT"])
def test_a_move_to_another_disk_that_has_to_wait_makes_one_copy(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, monkeypatch: pytest.MonkeyPatch, grain: int
) -> None:
    """Each attempt finds the copy of the one before, also on a disk that keeps coarse times."""
    utime, apply, attempts = os.utime, Ties.apply, 0

    def coarse(path: int, *, ns: tuple[int, int]) -> None:
        utime(path, ns=(ns[0], ns[1] - ns[1] % grain))

    def unsaved(ties: Ties, changes: Sequence[TieChange]) -> list[bool]:
        nonlocal attempts
        attempts += any(change.new for change in changes)
        return [False] * len(changes) if attempts in (1, 2) else apply(ties, changes)

    monkeypatch.setattr(os, "utime", coarse)
    monkeypatch.setattr(Ties, "apply", unsaved)
    with tempfile.TemporaryDirectory(prefix="prt-", dir="/dev/shm") as other:
        done = Path(other)
        with Watching(short_folder, job(root, on_loaded="move", loaded_path=done), url=rtorrent.url) as watching:
            watching.settle()
            info = drop(root / "a.torrent")
            watching.until(lambda: not (root / "a.torrent").exists())
            assert attempts > 2
            assert [path.name for path in done.iterdir()] == ["a.torrent"]
            assert tie_of(rtorrent, info) == str(done / "a.torrent")


def test_a_copy_that_does_not_fit_leaves_nothing_behind_and_the_metafile_where_it_is(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = short_folder / "done"

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def elsewhere(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", elsewhere)
    with Watching(short_folder, job(root, on_loaded="move", loaded_path=done), url=rtorrent.url) as watching:
        watching.settle()
        with monkeypatch.context() as disk:
            disk.setattr(os, "write", full)
            watching.load(root / "a.torrent")
            assert (list(done.iterdir()), (root / "a.torrent").exists()) == ([], True)
        info = drop(root / "b.torrent")
        watching.until(lambda: watching.state(done / "b.torrent") == "loaded")
        watching.until(lambda: watching.state(done / "a.torrent") == "loaded")  # it is tried again
        assert sorted(path.name for path in done.iterdir()) == ["a.torrent", "b.torrent"]
        assert tie_of(rtorrent, info) == str(done / "b.torrent")


def test_an_interrupted_disposal_is_done_at_the_next_start(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    afterwards = job(root, on_loaded="delete", on_failed="rename")
    with Watching(short_folder, afterwards, url=rtorrent.url) as watching:
        watching.settle()
        monkeypatch.setattr(watching.watcher, "_settle", float)  # as if it were killed before that
        drop(root / "a.torrent")
        (root / "bad.torrent").write_bytes(b"no metafile")
        watching.until(lambda: watching.states("visible") == 1 and watching.states("failed") == 1)
        drop(root / "same.torrent", "a.torrent")
        watching.until(lambda: watching.states("duplicate") == 1)
        assert len(list(root.iterdir())) == 3
        watching.again()
        watching.until(lambda: [path.name for path in root.iterdir()] == ["bad.torrent.failed"])


def test_no_item_is_lost_to_remove_untied_every_second(
    short_folder: Path, root: Path, untying_rtorrent: PrivateRTorrent
) -> None:
    jobs = [
        job(root / "rename", name="rename", on_loaded="rename"),
        job(root / "move", name="move", on_loaded="move", loaded_path=short_folder / "done"),
        job(root / "delete", name="delete", on_loaded="delete"),
        job(root / "keep", name="keep"),
    ]
    for each in jobs:
        (root / each.name).mkdir()
    with Watching(short_folder, *jobs, url=untying_rtorrent.url) as watching:
        watching.settle()
        infos: set[str] = set()
        for number in range(15):
            infos |= {drop(root / each.name / f"{number}.torrent", f"{each.name} {number}") for each in jobs}
            before = len(watching.loaded)
            watching.until(lambda before=before: len(watching.loaded) > before)  # type: ignore[misc]
        watching.until(lambda: watching.states("loaded") == len(infos), 30)
        stray = root / "keep" / "0.torrent"
        gone = info_hash(stray.read_bytes())
        stray.unlink()  # proves that remove_untied runs
        watching.until(lambda: gone not in items(untying_rtorrent), 15)
        assert items(untying_rtorrent) == infos - {gone}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_tree_that_is_mounted_again_with_another_device_number_loads_nothing_twice(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent
) -> None:
    def mount() -> None:
        done = subprocess.run(["mount", "-t", "tmpfs", "none", str(root)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no mounts here: {done.stderr.decode()}")

    mount()
    kept = short_folder / "kept"
    try:
        assert filesystem_type(bytes(root), read_mounts()) == "tmpfs"
        with Watching(short_folder, job(root, tie="no"), url=rtorrent.url) as watching:
            watching.settle()
            infos = [drop(root / "a" / f"{number}.torrent") for number in range(5)]
            watching.until(lambda: watching.states("loaded") == 5)
            RTorrent(rtorrent.url).call("d.erase", infos[0])
            before = root.stat().st_dev
            shutil.copytree(root, kept)
            # The first one stays mounted elsewhere, so that its number is not used again.
            other = short_folder / "other"
            other.mkdir()
            subprocess.run(["mount", "--bind", str(root), str(other)], check=True)
            subprocess.run(["umount", str(root)], check=True)
            watching.settle()
            mount()
            shutil.copytree(kept, root, dirs_exist_ok=True)
            assert root.stat().st_dev != before
            for _ in range(2):
                watching.rescan()
                watching.settle()
                watching.again()
                watching.settle()
            assert len(watching.loaded) == 5
            assert items(rtorrent) == set(infos[1:])
            infos.append(watching.load(root / "a" / "new.torrent"))
            assert items(rtorrent) == set(infos[1:])
    finally:
        for point in (root, short_folder / "other"):
            with suppress(OSError):
                subprocess.run(["umount", "-l", str(point)], check=False, capture_output=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("how", ["delete", "keep"])
def test_a_metafile_whose_item_rtorrent_cannot_save_is_not_deleted(short_folder: Path, root: Path, how: str) -> None:
    """With a full disk below its session, rTorrent shows the item, reports nothing, and has lost it after a restart;
    0.16 leaves empty or truncated session files."""
    rtorrent = PrivateRTorrent(short_folder / "full")
    rtorrent.session.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(rtorrent.session)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no mounts here: {done.stderr.decode()}")
    try:
        rtorrent.start()
        filling = rtorrent.session / "filling"
        with suppress(OSError), filling.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with Watching(short_folder, job(root, on_loaded=how), url=rtorrent.url) as watching:
            watching.settle()
            path = root / "a.torrent"
            info = drop(path)
            watching.until(lambda: any("not saved it" in row.progress.reason for row in watching.rows), 15)
            assert items(rtorrent) == {info}
            assert path.exists()
            assert watching.state(path) == "visible"
            rtorrent.kill()
            rtorrent.start()
            watching.until(lambda: items(rtorrent) == {info}, 20)
            assert path.exists()
            filling.unlink()
            watching.until(lambda: watching.state(path) == "loaded" and path.exists() is (how == "keep"), 30)
            assert (rtorrent.session / f"{info}.torrent.rtorrent").exists()
            assert len(watching.loaded) == 1
    finally:
        rtorrent.kill()
        subprocess.run(["umount", "-l", str(rtorrent.session)], check=False, capture_output=True)


@pytest.mark.parametrize("how", ["delete", "move", "rename"])
def test_a_metafile_renamed_over_a_loaded_one_during_its_disposal_is_loaded(
    short_folder: Path, root: Path, untying_rtorrent: PrivateRTorrent, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """With the same name, size and time: only the inode and the event of the kernel differ."""
    path, apply = root / "a.torrent", Ties.apply
    infos: set[str] = set()

    def late(self: Ties, changes: Sequence[TieChange]) -> list[bool]:
        done = apply(self, changes)
        if changes and len(infos) == 1:
            fresh, before = short_folder / "fresh", path.stat()
            infos.add(drop(fresh, "two"))
            os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert fresh.stat().st_size == before.st_size
            fresh.rename(path)
        return done

    monkeypatch.setattr(Ties, "apply", late)
    disposing = job(root, on_loaded=how, loaded_path=short_folder / "done" if how == "move" else None)
    with Watching(short_folder, disposing, url=untying_rtorrent.url) as watching:
        watching.settle()
        infos.add(drop(path, "one"))
        watching.until(lambda: items(untying_rtorrent) == infos and len(infos) == 2, 20)
        watching.until(lambda: not path.exists(), 20)
        RTorrent(untying_rtorrent.url).call("remove_untied", "")
        assert items(untying_rtorrent) == infos
        kept = {"delete": root, "move": short_folder / "done", "rename": root}[how]
        assert len(list(kept.iterdir())) == (0 if how == "delete" else 2)


def test_names_that_are_too_long_are_reported_in_the_owners_log(
    watching: Watching, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def owner_event(event: str, *texts: str, subject: str = "") -> None:
        lines.extend(texts)

    monkeypatch.setattr(logs, "owner_event", owner_event)
    watching.again(job(root, on_loaded="rename"))
    path = root / ("x" * 247 + ".torrent")
    watching.load(path, "x")
    watching.settle()
    assert path.exists()
    assert any("File name too long" in line for line in lines)


@pytest.mark.parametrize("how", ["delete", "rename", "move"])
@pytest.mark.parametrize("is_of_group", [False, True])
def test_a_dry_run_disposes_of_nothing_and_its_end_of_all(
    short_folder: Path,
    root: Path,
    rtorrent: PrivateRTorrent,
    caplog: pytest.LogCaptureFixture,
    how: str,
    is_of_group: bool,
) -> None:
    folders = {"loaded_path": short_folder / "loaded", "failed_path": short_folder / "failed"}
    settings: dict[str, Any] = {"on_failed": how, "on_loaded": how, **folders}
    dry = job(root, dry_run=not is_of_group, **settings)
    with Watching(short_folder, dry, url=rtorrent.url, dry_run=is_of_group) as watching, caplog.at_level("INFO"):
        watching.settle()
        (root / "page.torrent").write_bytes(b"<html>log in</html>")
        watching.until(lambda: watching.state(root / "page.torrent") == "failed")
        watching.until(lambda: f"WOULD {how} {root / 'page.torrent'}" in caplog.text)
        assert (root / "page.torrent").exists()
        watching.settings = msgspec.structs.replace(watching.settings, dry_run=False)
        watching.again(job(root, **settings))
        watching.until(lambda: not (root / "page.torrent").exists())


def test_a_dry_run_leaves_what_was_loaded_before_it(
    short_folder: Path,
    root: Path,
    rtorrent: PrivateRTorrent,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(_: object) -> None:
        raise OSError(errno.EIO, "disk error")

    with Watching(short_folder, job(root, on_loaded="delete"), url=rtorrent.url) as watching, caplog.at_level("INFO"):
        watching.settle()
        with monkeypatch.context() as patched:
            patched.setattr(MetafileNames, "remove", failing)
            watching.load(root / "a.torrent")
            watching.until(lambda: "disk error; trying again" in caplog.text)
        watching.again(job(root, on_loaded="delete", dry_run=True))
        watching.until(lambda: f"WOULD delete {root / 'a.torrent'}" in caplog.text)
        assert (root / "a.torrent").exists()
        watching.again(job(root, on_loaded="delete"))
        watching.until(lambda: not (root / "a.torrent").exists())


@pytest.mark.parametrize("outcome", ["loaded", "failed"])
def test_no_metafile_is_moved_to_a_disk_that_is_not_mounted(
    short_folder: Path,
    root: Path,
    rtorrent: PrivateRTorrent,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    outcome: str,
) -> None:
    """It would be hidden when the disk is back, and `remove_untied` would erase the item that is tied to it."""
    disk, table = short_folder / "disk", short_folder / "fstab"
    table.write_text(f"UUID=1 {disk} ext4 defaults,nofail 0 2\n")
    monkeypatch.setattr(fstab, "FSTAB", table)
    settings = job(root, on_loaded="move", loaded_path=disk / "done", on_failed="move", failed_path=disk / "done")
    with Watching(short_folder, settings, url=rtorrent.url) as watching:
        watching.settle()
        path = root / "a.torrent"
        if outcome == "loaded":
            drop(path)
        else:
            path.write_bytes(b"<html>no metafile</html>")
        watching.until(lambda: f"/etc/fstab has a disk for {disk}, which is not mounted" in caplog.text)
        assert (path.exists(), disk.exists()) == (True, False)
        if outcome == "loaded":
            (info,) = items(rtorrent)
            assert tie_of(rtorrent, info) == str(path)
        table.write_text("")  # as after it was mounted
        stages = watching.watcher.stages
        assert stages is not None
        stages.disposer.attempts.all_now()
        watching.until(lambda: (disk / "done/a.torrent").exists() and not path.exists())
