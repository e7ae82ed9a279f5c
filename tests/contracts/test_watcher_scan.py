"""Real inotify, real files: however a metafile gets into the tree, the ledger has it, and has it once."""

import errno
import json
import os
import shutil
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec
import pytest

from demo.metafiles import info_hash, make_metafile
from pyrotorque.housekeeping import quarantine, quarantine_mark
from pyrotorque_control.cli import run
from pyrotorque_watcher.rows import LoadRecord, LoadRefused
from pyrotorque_watcher.scan.files import Listing, is_metafile, list_in_parts
from pyrotorque_watcher.scan.inotify import ChangeKind, InotifyTree, WatchLimit
from tests.dropping import drop, touch
from tests.watching import Watching, job


@pytest.fixture
def watching(short_folder: Path, root: Path) -> Iterator[Watching]:
    with Watching(short_folder, job(root)) as begun:
        begun.settle()
        yield begun


def dropped(path: Path, name: str = "") -> Path:
    """The path of a new metafile with a torrent of its own."""
    drop(path, name or str(path))
    return path


def test_a_file_is_seen(watching: Watching, root: Path) -> None:
    path = dropped(root / "a.torrent")
    watching.until(lambda: watching.state(path) == "seen")


def test_watched_lists_pending_metafiles_as_status_counts_them(
    watching: Watching, root: Path, short_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [dropped(root / name) for name in ("a.torrent", "b.torrent")]
    watching.until(lambda: [watching.state(path) for path in paths] == ["seen", "seen"])
    shown = {}
    for state in ("pending", "seen", "sent", "failed"):
        assert run(["--config-dir", str(short_folder / "config"), "watched", "--json", "--state", state]) == 0
        shown[state] = [json.loads(line)["path"] for line in capsys.readouterr().out.splitlines()]
    both = list(map(str, paths))
    assert shown == {"pending": both, "seen": both, "sent": [], "failed": []}


def test_two_hundred_files_in_folders_made_just_before(watching: Watching, root: Path) -> None:
    paths = [dropped(root / f"a{n}" / "b" / "c" / "d" / "x.torrent") for n in range(200)]
    watching.until(lambda: watching.states("seen") == len(paths))
    assert {row.path for row in watching.rows} == {bytes(path) for path in paths}


def test_folders_made_while_the_watcher_walks(watching: Watching, root: Path) -> None:
    for n in range(100):
        dropped(root / f"a{n % 7}" / f"b{n % 5}" / f"c{n}" / "x.torrent")
        watching.turn()
    watching.until(lambda: watching.states("seen") == 100)


def test_a_tree_that_is_moved_in(watching: Watching, root: Path, short_folder: Path) -> None:
    for n in range(20):
        dropped(short_folder / "elsewhere" / f"a{n}" / "b" / "x.torrent")
    (short_folder / "elsewhere").rename(root / "here")
    watching.until(lambda: watching.states("seen") == 20)
    dropped(root / "here" / "a3" / "b" / "later.torrent")
    watching.until(lambda: watching.states("seen") == 21)


def test_a_folder_renamed_within_the_tree_takes_its_files_along(watching: Watching, root: Path) -> None:
    dropped(root / "a" / "b" / "x.torrent")
    watching.until(lambda: watching.states("seen") == 1)
    (root / "a").rename(root / "z")
    watching.until(lambda: watching.state(root / "z/b/x.torrent") == "seen")
    dropped(root / "z" / "b" / "y.torrent")
    watching.until(lambda: watching.state(root / "z/b/y.torrent") == "seen")
    assert len(watching.rows) == 2


def test_a_renamed_file_is_the_same_file(watching: Watching, root: Path) -> None:
    path = dropped(root / "a.torrent")
    watching.until(lambda: watching.state(path) == "seen")
    token = watching.row(path).token
    path.rename(root / "b.torrent")
    watching.until(lambda: watching.state(root / "b.torrent") == "seen")
    assert [row.token for row in watching.rows] == [token]


def test_another_file_that_looks_like_one_that_is_gone_is_loaded(watching: Watching, root: Path) -> None:
    """Inodes of deleted files are used again, and the files of an unpacked archive may have one time."""
    first, second = dropped(root / "a" / "x.torrent", "one"), root / "b" / "x.torrent"
    os.utime(first, ns=(10**18, 10**18))
    watching.until(lambda: watching.state(first) == "seen")
    ledger, loaded = watching.watcher.ledger, LoadRecord(info_hash=info_hash(first.read_bytes()))
    with ledger.transaction():
        ledger.mark_unchanged(msgspec.structs.replace(watching.row(first), load=loaded), "", time.time())
    first.unlink()
    made = root.parent / "made.torrent"
    made.write_bytes(make_metafile("two"))
    os.utime(made, ns=(10**18, 10**18))
    second.parent.mkdir()
    watching.settle()
    made.rename(second)
    watching.until(lambda: watching.state(second) == "seen")
    assert watching.state(first) == "visible"


def test_touching_a_file_makes_it_new(watching: Watching, root: Path) -> None:
    path = dropped(root / "a.torrent")
    watching.until(lambda: watching.state(path) == "seen")
    token = watching.row(path).token
    touch(path)
    watching.until(lambda: watching.row(path).token != token)


def test_a_touch_by_name_is_detected_at_once(short_folder: Path, root: Path) -> None:
    path = dropped(root / "a.torrent")
    with Watching(short_folder, job(root), group_started=time.time() + 5) as watching:
        watching.settle()
        assert watching.state(path) == "baseline"
        path.chmod(0o600)
        watching.settle()
        assert watching.state(path) == "baseline"
        os.utime(path)  # without opening it: there is no close event
        watching.until(lambda: watching.state(path) == "seen", 1)


def test_a_file_made_readable_is_tried_again_at_once(watching: Watching, root: Path) -> None:
    path = dropped(root / "a.torrent")
    watching.until(lambda: watching.state(path) == "seen")
    with watching.watcher.ledger.transaction():
        watching.watcher.ledger.mark_failed(watching.row(path), LoadRefused("io", "as root never"), time.time())
    path.chmod(0o640)
    watching.until(lambda: watching.state(path) == "seen", 1)


def test_links_into_the_tree(watching: Watching, root: Path, short_folder: Path) -> None:
    outside = dropped(short_folder / "outside.torrent")
    os.link(outside, root / "hard.torrent")
    (root / "soft.torrent").symlink_to(dropped(short_folder / "other.torrent"))
    watching.until(lambda: watching.states("seen") == 2)


def test_a_file_that_has_no_writer_is_found_after_a_moment(watching: Watching, root: Path) -> None:
    fd = os.open(root, os.O_TMPFILE | os.O_WRONLY)
    os.write(fd, make_metafile("no writer"))
    folder = os.open(root, os.O_RDONLY)
    os.link(f"/proc/self/fd/{fd}", "x.torrent", src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
    os.close(fd)
    os.close(folder)
    watching.until(lambda: watching.states("seen") == 1)


@pytest.mark.parametrize(
    "name", [b"a\nb.torrent", b"\xff\xfe.torrent", b"-rf *.torrent", b"\x1b[31m.torrent", b'";execute=x.torrent']
)
def test_any_name(watching: Watching, root: Path, name: bytes) -> None:
    path = os.path.join(bytes(root), b"in \xff here", name)
    os.mkdir(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(make_metafile("any"))
    watching.until(lambda: [row.path for row in watching.rows] == [path])


def test_what_is_no_file_is_no_metafile(watching: Watching, root: Path) -> None:
    (root / "folder.torrent").mkdir()
    os.mkfifo(root / "fifo.torrent")
    (root / "nowhere.torrent").symlink_to("/nowhere/at/all")
    (root / "x.txt").write_text("x")
    inside = dropped(root / "folder.torrent" / "x.torrent")
    watching.until(lambda: watching.state(inside) == "seen")
    assert len(watching.rows) == 1


def test_companions_are_not_recorded(watching: Watching, root: Path) -> None:
    (root / "._a.torrent").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    dropped(root / ".stversions" / "a~20260101-120000.torrent")
    inside = dropped(root / "a.torrent")
    watching.until(lambda: watching.state(inside) == "seen")
    watching.rescan()
    watching.settle()
    assert len(watching.rows) == 1


@pytest.mark.parametrize("name", [quarantine.NAME, "trash", "tv/removed"])
@pytest.mark.parametrize("is_first", [True, False])
def test_nothing_in_a_quarantine_is_recorded(watching: Watching, root: Path, name: str, is_first: bool) -> None:
    """Removed items are not loaded again: of any job or group, made before or while the tree is watched."""
    place = root / name
    if not is_first:
        watching.settle()
    place.mkdir(parents=True)
    (place / "README").write_bytes(quarantine_mark.TEXT)
    (place / "README").chmod(0o600)
    dropped(place / "20261127T200000Z-AB" / "item.torrent", "removed")
    dropped(place / "20261127T200000Z-AB" / "data" / "extras" / "b.torrent", "content")
    kept = root / "elsewhere"
    shutil.copytree(place, kept / "moved in")
    (kept / "moved in").rename(root / "arrived")
    inside = dropped(root / "README" / "a.torrent")
    watching.until(lambda: watching.state(inside) == "seen")
    late = dropped(place / "20261127T200001Z-CD" / "item.torrent", "later")
    beside = dropped(root / "beside.torrent", "beside")
    watching.until(lambda: watching.state(beside) == "seen")
    watching.rescan()
    watching.settle()
    assert watching.state(late) == ""
    assert len(watching.rows) == 2


def test_a_file_that_a_torrent_stored_makes_no_quarantine(watching: Watching, root: Path) -> None:
    """rTorrent may download into the tree: a torrent with such a file must not stop the watch."""
    for folder in (root, root / "tv"):
        folder.mkdir(exist_ok=True)
        (folder / "README").write_bytes(quarantine_mark.TEXT)
    (root / "README").chmod(0o600)
    paths = [dropped(root / "a.torrent"), dropped(root / "tv" / "b.torrent")]
    watching.until(lambda: all(watching.state(path) == "seen" for path in paths))
    watching.rescan()
    watching.settle()
    assert len(watching.rows) == 2


def test_files_are_found_after_the_kernel_dropped_events(watching: Watching, root: Path) -> None:
    data = make_metafile("same for all")
    for n in range(9000):  # two events each, and the kernel keeps 16,384
        (root / f"{n}.torrent").write_bytes(data)
    watching.until(lambda: watching.states("seen") == 9000, 60)
    overflows = next(f for f in watching.watcher.totals.families() if f.name.endswith("queue_overflows_total"))
    assert overflows.samples[0].value >= 1


def test_a_root_that_is_removed_and_comes_back(watching: Watching, root: Path) -> None:
    path = dropped(root / "a.torrent")
    watching.until(lambda: watching.state(path) == "seen")
    kept = root.with_name("kept")
    shutil.copytree(root, kept)
    shutil.rmtree(root)
    watching.until(lambda: watching.watcher.scanners[0].missing)
    kept.rename(root)
    dropped(root / "b" / "new.torrent")
    watching.until(lambda: watching.state(root / "b/new.torrent") == "seen")
    assert len(watching.rows) == 2
    assert not watching.watcher.scanners[0].missing


def test_a_root_that_comes_after_the_start_begins_with_its_baseline(short_folder: Path, root: Path) -> None:
    disk = short_folder / "disk"
    old = dropped(root / "deep" / "old.torrent").relative_to(root)
    root.rename(disk)
    with Watching(short_folder, job(root), group_started=time.time() + 0.1) as watching:
        watching.until(lambda: watching.watcher.scanners[0].missing and time.time() > watching.group_started)
        dropped(disk / "deep" / "new.torrent")
        disk.rename(root)
        watching.until(lambda: watching.state(root / "deep/new.torrent") == "seen")
        assert watching.state(root / old) == "baseline"
        dropped(root / "deep" / "newer.torrent")
        watching.until(lambda: watching.state(root / "deep/newer.torrent") == "seen", 1)


def test_a_known_root_that_comes_after_the_start_is_compared_with_the_ledger(watching: Watching, root: Path) -> None:
    known, disk = dropped(root / "deep" / "known.torrent"), root.with_name("disk")
    watching.until(lambda: watching.state(known) == "seen")
    token = watching.row(known).token
    watching.watcher.close()
    root.rename(disk)
    dropped(disk / "deep" / "new.torrent")
    watching.group_started = time.time() + 100
    watching.again()
    watching.until(lambda: watching.watcher.scanners[0].missing)
    disk.rename(root)
    watching.until(lambda: watching.state(root / "deep/new.torrent") == "seen")
    assert watching.row(known).token == token


def test_the_baseline_of_a_root_that_cannot_be_read_yet_is_made_when_it_can(
    short_folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may be mounted a moment before its user gets access to it."""
    old = dropped(root / "old.torrent")

    def refused(folder: bytes, *, follow: bool) -> Generator[None, None, Listing]:
        yield
        return Listing([], [], PermissionError(errno.EACCES, "Permission denied"))

    with Watching(short_folder, job(root), group_started=time.time() + 1) as watching:
        with monkeypatch.context() as patch:
            patch.setattr("pyrotorque_watcher.scan.walk.list_in_parts", refused)
            watching.settle()
        watching.rescan()
        watching.until(lambda: watching.state(old) == "baseline")


def test_what_was_written_while_the_watcher_was_down_is_seen_at_the_next_start(watching: Watching, root: Path) -> None:
    path = dropped(root / "deep" / "er" / "a.torrent")
    watching.until(lambda: watching.state(path) == "seen")
    watching.again()
    watching.settle()
    later = dropped(root / "deep" / "er" / "b.torrent")
    watching.watcher.close()
    path.rename(root / "moved.torrent")
    watching.again()
    watching.until(lambda: watching.state(later) == "seen" and watching.state(root / "moved.torrent") == "seen")
    assert len(watching.rows) == 2


def test_old_files_of_a_first_start_are_not_loaded(short_folder: Path, root: Path) -> None:
    for n in range(30):
        dropped(root / f"old{n % 3}" / f"{n}.torrent")
    with Watching(short_folder, job(root), group_started=time.time() + 1) as watching:
        watching.settle()
        assert watching.states("baseline") == 30
        assert not watching.watcher.ledger.rows("seen", time.time(), 10)
        watching.again()
        watching.settle()
        (root / "old1").rename(root / "renamed")
        watching.until(lambda: watching.state(root / "renamed/1.torrent") == "baseline")
        assert watching.states("baseline") == 30


def test_five_thousand_old_files_are_not_loaded_also_when_the_state_is_deleted(
    short_folder: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(5_000):
        path = root / f"old{n % 50}" / f"{n}.torrent"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"any")
    for _ in range(2):
        with Watching(short_folder, job(root), group_started=time.time() + 1) as watching:
            watching.settle()
            assert watching.states("baseline") == len(watching.rows) == 5_000
            shutil.rmtree(watching.layout.config_dir / "state")
    warnings = [record.message for record in caplog.records if "pyrotorque retry --all" in record.message]
    assert len(warnings) == 2
    assert all("5000 metafiles" in text for text in warnings)


def test_a_tree_moved_in_as_the_first_look_ends_is_no_baseline(
    short_folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped(short_folder / "elsewhere" / "a" / "x.torrent")

    def slow(folder: bytes, *, follow: bool) -> Generator[None, None, Listing]:
        if folder == bytes(root):
            (short_folder / "elsewhere").rename(root / "here")  # watched already, not yet listed
        return list_in_parts(folder, follow=follow)

    monkeypatch.setattr("pyrotorque_watcher.scan.walk.list_in_parts", slow)
    with Watching(short_folder, job(root), group_started=time.time() + 5) as watching:
        watching.turn()
        monkeypatch.undo()
        watching.until(lambda: watching.state(root / "here/a/x.torrent") == "seen", 2)


def test_a_crash_before_the_first_look_was_over_makes_nothing_baseline(short_folder: Path, root: Path) -> None:
    began = time.time() - 1
    with Watching(short_folder, job(root), group_started=began) as watching:
        watching.watcher.close()  # before any turn
        path = dropped(root / "a.torrent")
        watching.group_started = time.time() + 100  # of a later process
        watching.again()
        watching.until(lambda: watching.state(path) == "seen")


def test_a_root_that_is_new_in_an_old_ledger_begins_with_its_baseline(short_folder: Path, root: Path) -> None:
    other = short_folder / "other"
    dropped(other / "old.torrent")
    with Watching(short_folder, job(root)) as watching:
        watching.settle()
        torque = watching.layout.config_dir / "torque.ini"
        torque.write_text("[TORQUE]\n")
        os.utime(torque, (time.time() + 1, time.time() + 1))
        watching.again(job(root, other))
        watching.until(lambda: watching.state(other / "old.torrent") == "baseline")


def test_retry_loads_baseline_files(short_folder: Path, root: Path) -> None:
    path = dropped(root / "old.torrent")
    with Watching(short_folder, job(root), group_started=time.time() + 1) as watching:
        watching.settle()
        assert watching.watcher.ledger.retry([watching.row(path).turn], time.time()) == 1
        assert watching.state(path) == "seen"


def test_nested_roots_and_jobs_see_a_file_once(short_folder: Path, root: Path) -> None:
    (root / "tv").mkdir()
    with Watching(short_folder, job(root, root / "tv"), job(root / "tv", name="equal")) as watching:
        watching.settle()
        path = dropped(root / "tv" / "start" / "x.torrent")
        watching.until(lambda: watching.states("seen"))
        watching.settle()
        assert [(row.job, row.root, row.path) for row in watching.rows] == [
            ("treewatch", bytes(root / "tv"), bytes(path))
        ]


def test_linked_folders_are_followed_only_when_wanted_and_never_in_circles(short_folder: Path, root: Path) -> None:
    outside = short_folder / "outside"
    dropped(outside / "x.torrent")
    (outside / "circle").symlink_to(outside)
    (root / "link").symlink_to(outside)
    with Watching(short_folder, job(root)) as watching:
        watching.settle()
        assert not watching.rows
        watching.again(job(root, follow_symlinks=True))
        watching.until(lambda: watching.state(root / "link/x.torrent") == "seen")
        dropped(outside / "later.torrent")
        watching.until(lambda: watching.state(root / "link/later.torrent") == "seen")
        assert len(watching.rows) == 2


@pytest.mark.parametrize(("lacks", "limit"), [("watch", "max_user_watches"), ("open", "max_user_instances")])
def test_a_tree_is_polled_until_inotify_is_available_again(
    short_folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch, lacks: str, limit: str
) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise WatchLimit(f"the kernel gives no more: raise fs.inotify.{limit}")

    monkeypatch.setattr(InotifyTree, lacks, none_left)
    with Watching(short_folder, job(root)) as watching:
        watching.settle()
        path = dropped(root / "a" / "b.torrent")
        watching.until(lambda: watching.state(path) == "seen")
        (treewatch,) = watching.watcher.scanners
        watched = treewatch.roots[bytes(root)]
        assert limit in watched.polled
        monkeypatch.undo()
        watching.until(lambda: treewatch.fileno() >= 0 and not watched.polled)
        path = dropped(root / "a" / "c.torrent")
        watching.until(lambda: watching.state(path) == "seen", 1)


def test_inotify_that_was_never_opened_reports_nothing_and_detects_missing_folders(root: Path) -> None:
    tree = InotifyTree(is_metafile)
    assert tree.read() == []
    assert tree.watch(bytes(root))
    assert not tree.watch(bytes(root / "absent"))


def test_descriptors_are_not_inherited(root: Path) -> None:
    tree = InotifyTree(is_metafile)
    tree.open()
    assert not os.get_inheritable(tree.fileno())
    assert not os.get_blocking(tree.fileno())
    tree.watch(bytes(root))
    dropped(root / "x.torrent")
    assert [change.kind for change in tree.read()] == [ChangeKind.CREATED, ChangeKind.WRITTEN]
    tree.close()


def test_a_new_file_does_not_wait_until_thousands_of_others_are_recorded(short_folder: Path, root: Path) -> None:
    """Not timed: how many are recorded when the last one is."""
    for number in range(3_000):
        (root / f"{number}.torrent").write_bytes(b"<html>")
    (root / "last.torrent").write_bytes(b"<html>")
    os.utime(root / "last.torrent")  # the newest by its ctime, also where the clock of files is coarse
    with Watching(short_folder, job(root)) as watching:
        ends = (root / "last.torrent", root / "0.torrent")  # the oldest does not wait, either
        watching.until(lambda: all(watching.state(path) != "" for path in ends))
        assert len(watching.rows) < 1_000
        watching.until(lambda: len(watching.rows) == 3_001, 60)
