"""Which file is new: decided by the kernel's event, its ctime and content, and whether rTorrent still has the item."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.requests import Answer, RetryMetafiles
from pyrotorque.rtorrent import RTorrent
from pyrotorque_watcher.requests import answer
from tests.dropping import drop, items
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")

OLD = 1_600_000_000 * 10**9


@pytest.fixture
def watching(short_folder: Path, root: Path, rtorrent: PrivateRTorrent) -> Iterator[Watching]:
    """Files stay when their items are erased."""
    with Watching(short_folder, job(root, tie="no"), url=rtorrent.url) as begun:
        begun.settle()
        yield begun


@pytest.fixture
def path(root: Path) -> Path:
    return root / "a.torrent"


def dated(path: Path, name: str = "one") -> str:
    """A metafile with an old time, written elsewhere on this filesystem and renamed, as rsync does it."""
    made = path.parent.parent / "made"
    info = drop(made, name)
    os.utime(made, ns=(OLD, OLD))
    made.rename(path)
    return info


def loaded(watching: Watching, path: Path) -> Callable[[], bool]:
    return lambda: watching.state(path) == "loaded"


def begin(watching: Watching, path: Path, client: RTorrent) -> str:
    """A loaded metafile with an old time, whose item was erased."""
    info = dated(path)
    watching.until(loaded(watching, path))
    client.call("d.erase", info)
    return info


def waits(watching: Watching, seconds: float = 1.0) -> None:
    end = time.monotonic() + seconds
    watching.until(lambda: time.monotonic() > end)


def by_rename(path: Path) -> None:
    dated(path)


def in_place(path: Path) -> None:
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(OLD, OLD))


def removed_and_copied(path: Path) -> None:
    kept = shutil.copy2(path, path.parent.parent / "kept")
    path.unlink()
    shutil.copy2(kept, path)


def out_and_in(path: Path) -> None:
    path.rename(path.parent.parent / "out")
    (path.parent.parent / "out").rename(path)


def renamed_and_back(path: Path) -> None:
    path.rename(path.with_suffix(".bak"))
    path.with_suffix(".bak").rename(path)


def removed_and_linked(path: Path) -> None:
    os.link(path, path.parent.parent / "archive")
    path.unlink()
    os.link(path.parent.parent / "archive", path)


def removed_and_linked_by_name(path: Path) -> None:
    path.rename(path.parent.parent / "archive")
    path.symlink_to(path.parent.parent / "archive")


def rsync(path: Path) -> None:
    """As `rsync -t --ignore-times`."""
    copy = shutil.copy2(path, path.parent / f".{path.name}.XyZ123")
    Path(copy).rename(path)


AGAIN = [by_rename, in_place, removed_and_copied, out_and_in, renamed_and_back, removed_and_linked, rsync]


@pytest.mark.parametrize("fetch", [*AGAIN, removed_and_linked_by_name])
def test_a_file_that_comes_again_with_its_old_time_is_loaded_if_its_item_was_erased(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent, fetch: Callable[[Path], None]
) -> None:
    info = begin(watching, path, client)
    fetch(path)
    assert path.stat().st_mtime_ns == OLD
    watching.until(lambda: items(rtorrent) == {info})
    watching.until(loaded(watching, path))
    assert len(watching.loaded) == 2
    assert not watching.failed


@pytest.mark.parametrize("fetch", AGAIN)
def test_a_file_that_comes_again_while_its_item_is_there_changes_nothing(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, fetch: Callable[[Path], None]
) -> None:
    info = dated(path)
    watching.until(loaded(watching, path))
    fetch(path)
    waits(watching)
    watching.until(loaded(watching, path))
    assert items(rtorrent) == {info}
    assert len(watching.loaded) == 1
    assert not watching.failed


def test_another_name_for_a_file_whose_item_was_erased(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    info = begin(watching, path, client)
    os.link(path, path.with_name("b.torrent"))
    watching.until(lambda: items(rtorrent) == {info})


def test_another_name_for_a_file_whose_item_is_there_is_no_failure(watching: Watching, path: Path) -> None:
    dated(path)
    watching.until(loaded(watching, path))
    os.link(path, path.with_name("b.torrent"))
    watching.until(lambda: watching.state(path.with_name("b.torrent")) == "duplicate")
    assert not watching.failed


def test_a_file_moved_out_and_in_under_another_name(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    info = begin(watching, path, client)
    path.rename(path.parent.parent / "out")
    (path.parent.parent / "out").rename(path.with_name("b.torrent"))
    watching.until(lambda: items(rtorrent) == {info})


def test_a_tied_file_moved_out_and_in_under_another_name_is_followed(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    with Watching(short_folder, job(root), url=rtorrent.url) as watching:
        info = watching.load(root / "a.torrent")
        (root / "a.torrent").rename(short_folder / "out")
        (short_folder / "out").rename(root / "b.torrent")
        watching.until(lambda: client.call("d.tied_to_file", info) == str(root / "b.torrent"))
        assert not watching.failed
        assert len(watching.loaded) == 1


def test_a_folder_moved_out_and_in(watching: Watching, root: Path, rtorrent: PrivateRTorrent, client: RTorrent) -> None:
    (root / "deep/er").mkdir(parents=True)
    watching.settle()
    info = begin(watching, root / "deep/er/a.torrent", client)
    (root / "deep").rename(root.parent / "out")
    (root.parent / "out").rename(root / "deep")
    watching.until(lambda: items(rtorrent) == {info})


def test_a_rename_in_the_tree_loads_nothing(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    begin(watching, path, client)
    (path.parent / "sub").mkdir()
    watching.settle()
    path.rename(path.parent / "sub/b.torrent")
    waits(watching)
    (path.parent / "sub").rename(path.parent / "other")
    waits(watching)
    watching.rescan()
    waits(watching)
    assert items(rtorrent) == set()
    assert watching.state(path.parent / "other/b.torrent") == "loaded"


@pytest.mark.parametrize("running", [True, False], ids=["event", "walk"])
@pytest.mark.parametrize("replace", ["rename", "in place"])
def test_another_torrent_of_equal_name_size_and_time(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, running: bool, replace: str
) -> None:
    one = dated(path)
    watching.until(loaded(watching, path))
    if not running:
        watching.watcher.close()
    size = path.stat().st_size
    if replace == "rename":
        two = dated(path, "two")
    else:
        two = drop(path, "two")
        os.utime(path, ns=(OLD, OLD))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (size, OLD)
    if not running:
        watching.again()
    watching.until(lambda: items(rtorrent) == {one, two})


def test_one_that_was_wrong_and_is_right_now(watching: Watching, path: Path, rtorrent: PrivateRTorrent) -> None:
    data = make_metafile("one")
    path.write_bytes(b"x" * len(data))
    os.utime(path, ns=(OLD, OLD))
    watching.until(lambda: watching.state(path) == "failed")
    watching.watcher.close()
    path.write_bytes(data)
    os.utime(path, ns=(OLD, OLD))
    watching.again()
    watching.until(lambda: items(rtorrent) == {info_hash(data)})


@pytest.mark.parametrize("running", [True, False], ids=["event", "walk"])
def test_changed_permissions_owners_and_links_load_nothing(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent, running: bool
) -> None:
    begin(watching, path, client)
    if not running:
        watching.watcher.close()
    path.chmod(0o600)
    os.chown(path, os.getuid(), os.getgid())
    os.link(path, path.parent.parent / "backup")
    if running:
        waits(watching, 0.3)
        watching.rescan()
    else:
        watching.again()
    waits(watching)
    assert items(rtorrent) == set()
    found = path.stat()
    assert watching.row(path).file.ctime_ns == found.st_ctime_ns


def test_a_restored_backup_loads_nothing(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    """The same files with new inodes and ctimes, put there while the watcher was down."""
    begin(watching, path, client)
    watching.watcher.close()
    shutil.copytree(path.parent, path.parent.parent / "backup", copy_function=shutil.copy2)
    shutil.rmtree(path.parent)
    shutil.copytree(path.parent.parent / "backup", path.parent, copy_function=shutil.copy2)
    watching.again()
    waits(watching)
    assert items(rtorrent) == set()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
def test_another_mount_loads_nothing(
    watching: Watching, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    held = root.parent / "held"
    held.mkdir()
    for place in (root, held):
        subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    try:
        watching.rescan()
        watching.settle()
        info = drop(root / "a.torrent")
        watching.rescan()
        watching.until(loaded(watching, root / "a.torrent"))
        client.call("d.erase", info)
        watching.watcher.close()
        kept = root.parent / "kept"
        shutil.copytree(root, kept)
        subprocess.run(["umount", str(root)], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", str(root)], check=True)
        shutil.copytree(kept, root, dirs_exist_ok=True)
        watching.again()
        waits(watching)
        assert items(rtorrent) == set()
        assert watching.row(root / "a.torrent").file.device == (root / "a.torrent").stat().st_dev
    finally:
        for place in (root, held):
            subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_touched_file_is_loaded(watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent) -> None:
    info = begin(watching, path, client)
    os.utime(path)
    watching.until(lambda: items(rtorrent) == {info})


def test_a_restart_loads_nothing(watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent) -> None:
    begin(watching, path, client)
    for _ in range(2):
        watching.again()
        waits(watching, 0.3)
        watching.rescan()
        waits(watching, 0.3)
    assert items(rtorrent) == set()


# -- pyrotorque retry PATH


def ask(watching: Watching, *paths: Path) -> Answer:
    request = RetryMetafiles(paths=tuple(map(str, paths)))
    return answer(request, watching.watcher.ledger, watching.watcher.scanners, watching.watcher.loader)


def test_retry_loads_a_file_whose_item_was_erased(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    info = begin(watching, path, client)
    assert ask(watching, path).ok
    watching.until(lambda: items(rtorrent) == {info})


def test_retry_of_a_file_whose_item_is_there(watching: Watching, path: Path) -> None:
    dated(path)
    watching.until(loaded(watching, path))
    assert ask(watching, path).ok
    watching.until(loaded(watching, path))
    assert not watching.failed


def test_retry_of_a_file_that_is_in_no_ledger(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, root: Path
) -> None:
    info = dated(path)
    (root.parent / "link").symlink_to(root)
    assert not watching.rows
    assert ask(watching, root.parent / "link" / path.name).ok
    watching.until(lambda: items(rtorrent) == {info})
    assert watching.state(path)


def test_retry_of_an_old_file_that_was_there_before(short_folder: Path, path: Path, rtorrent: PrivateRTorrent) -> None:
    info = dated(path)
    with Watching(short_folder, job(path.parent), url=rtorrent.url, group_started=time.time() + 5) as watching:
        watching.settle()
        assert watching.state(path) == "baseline"
        assert ask(watching, path).data == {"count": 1}
        watching.until(lambda: items(rtorrent) == {info})


def test_retry_of_a_folder_finds_new_files_and_loads_no_erased_item(
    watching: Watching, path: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    begin(watching, path, client)
    assert ask(watching, path.parent).ok
    waits(watching)
    assert items(rtorrent) == set()


def test_retry_says_why_there_is_nothing_to_load(watching: Watching, root: Path) -> None:
    (root / "x.txt").write_text("x")
    outside = root.parent / "outside.torrent"
    drop(outside)
    for path, reason in (
        (root / "absent.torrent", "no file"),
        (root / "x.txt", "must end in .torrent"),
        (outside, "not a file or folder below a watched folder"),
    ):
        answered = ask(watching, path)
        assert not answered.ok
        assert reason in answered.text
