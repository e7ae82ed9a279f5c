"""Which of the items that rTorrent closed, or could not check, the queue starts again."""

import os
import shutil
from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from tests.saving import save_progress
from tests.scheduling import QueueScene, queue_job, queue_scene, without_trackers
from tests.waiting import eventually

FAST = queue_job(schedule="second=*", startable="is_ignored=no message= prio>0")


def obstructed(d: QueueScene, folder: Path, name: str = "one") -> tuple[str, Path]:
    """An item with a file at the place of its folder, so that rTorrent cannot check its data."""
    disk = folder / "disk"
    disk.write_text("not mounted")
    return d.load(name, f'd.directory.set="{disk}"'), disk


def wait_for_failed_check(d: QueueScene) -> None:
    eventually(lambda: d.rtorrent.rows("main", ["d.hashing_failed="]) == [("1",)], why="rTorrent cannot check the data")


def started_later(d: QueueScene) -> int:
    return sum(d.check(at=at).started for at in (60, 120))


def test_an_item_whose_load_command_failed_is_not_started(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(schedule="second=*")) as d:
        item = d.load("one", "d.directory.set=$no.such.command=")
        assert str(d.rtorrent.call("d.message", item)).startswith("Command on torrent creation failed")
        assert started_later(d) == 0


def test_an_item_that_its_owner_stopped_after_low_disk_space_stays_stopped(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = d.load("one")
        without_trackers(d)
        d.rtorrent.call("d.start", item)
        eventually(lambda: d.rtorrent.rows("active", ["d.is_active="]) == [("1",)])
        d.rtorrent.call("close_low_diskspace", "", 10**15)
        assert d.rtorrent.call("d.message", item) == "Low diskspace."
        d.rtorrent.call("d.stop", item)
        d.rtorrent.call("d.close", item)
        assert started_later(d) == 0


@pytest.mark.parametrize("message", ["Tracker: [Unregistered torrent]", "Set by a script"])
def test_a_message_of_a_tracker_excludes_an_item_whose_check_failed(
    rtorrent: PrivateRTorrent, tmp_path: Path, message: str
) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item, disk = obstructed(d, tmp_path)
        d.rtorrent.call("d.start", item)
        wait_for_failed_check(d)
        d.rtorrent.call("d.message.set", item, message)
        disk.unlink()
        assert started_later(d) == 0


def test_a_new_item_whose_check_failed_is_started(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    with queue_scene(rtorrent, tmp_path, queue_job(schedule="second=*")) as d:
        item, disk = obstructed(d, tmp_path)
        d.rtorrent.call("d.check_hash", item)
        wait_for_failed_check(d)
        disk.unlink()
        assert started_later(d) == 1


def test_an_item_whose_files_are_missing_after_its_check_is_started(rtorrent: PrivateRTorrent, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        item = d.load("one", f'd.directory.set="{disk}"')
        assert d.check(at=0).started == 1
        eventually(lambda: d.rtorrent.call("d.is_active", item) == 1)
        save_progress(rtorrent, d.rtorrent, item)
        rtorrent.kill()
        shutil.rmtree(disk)
        disk.write_text("not mounted")
        rtorrent.start()
        wait_for_failed_check(d)
        disk.unlink()
        disk.mkdir()
        # rTorrent does not create the file that its session has, reports nothing, and leaves the item open. The start
        # counts where its check is read before it is over, and is repeated then.
        assert started_later(d) in (1, 2)
        eventually(lambda: d.rtorrent.call("d.is_active", item) == 1)


def test_an_item_whose_files_vanished_while_rtorrent_was_down_is_left_to_its_owner(
    rtorrent: PrivateRTorrent, tmp_path: Path
) -> None:
    with queue_scene(rtorrent, tmp_path, FAST) as d:
        data = rtorrent.downloads / "partial"
        data.write_bytes(os.urandom(400_000))
        metafile = make_metafile("partial", content=data, announce="udp://127.0.0.1:1/announce")
        with data.open("r+b") as file:
            file.write(b"other")
        item, client = info_hash(metafile), d.rtorrent
        client.call("load.raw_start", "", metafile)
        columns = ["d.is_active=", "d.completed_chunks="]
        eventually(lambda: client.rows("main", columns) == [("1", "24")], 20)
        save_progress(rtorrent, client, item, chunks=True)
        rtorrent.kill()
        data.rename(tmp_path / "kept")
        rtorrent.start()
        open_but_inactive = ["d.is_open=", "d.is_active=", "d.hashing=", "d.completed_chunks=", "d.message="]
        eventually(lambda: client.rows("main", open_but_inactive) == [("1", "0", "0", "0", "")], 20)
        other = d.load("other")
        assert started_later(d) == 1
        assert (client.call("d.is_active", other), client.call("d.is_active", item)) == (1, 0)
        assert not data.exists()
        (tmp_path / "kept").rename(data)
        for command in ("d.stop", "d.close", "d.start"):
            client.call(command, item)
        eventually(lambda: (item, "1", "24") in client.rows("main", ["d.hash=", *columns]), 20)
