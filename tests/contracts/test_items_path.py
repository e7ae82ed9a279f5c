"""Where the data of an item lies: rTorrent shows the path of before until it has opened a moved item again."""

from pathlib import Path

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.items import ItemReader
from pyrotorque.jobs.item_path import exact_path
from pyrotorque.rtorrent import RTorrent
from tests.waiting import eventually


@pytest.mark.parametrize("multi", [True, False], ids=["folder", "file"])
def test_the_path_of_a_stopped_item_follows_its_new_directory(
    rtorrent: PrivateRTorrent, short_folder: Path, client: RTorrent, multi: bool
) -> None:
    data = rtorrent.downloads / "Some Name"
    files = [data / "a", data / "b"] if multi else [data]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"data " * 10_000)
    metafile = make_metafile("Some Name", content=data)
    item = info_hash(metafile)
    client.call("load.raw_start", "", metafile)
    eventually(lambda: client.rows("main", ["d.hash=", "d.complete=", "d.hashing="]) == [(item, "1", "0")])
    for command in ("d.stop", "d.close"):
        client.call(command, item)
    moved = short_folder / "moved" / "Some Name"
    moved.parent.mkdir()
    data.rename(moved)
    command = "d.directory_base.set" if multi else "d.directory.set"
    client.call(command, item, str(moved if multi else moved.parent))
    (found,) = ItemReader(client).read("main", None, {"path", "is_ghost"}, 0.0)
    assert (found["path"], found["is_ghost"]) == (str(moved), False)
    assert exact_path(client, item, multi) == moved
