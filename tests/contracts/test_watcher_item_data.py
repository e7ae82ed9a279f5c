"""A metafile in a watched tree that is data of an item: it is loaded, and the item keeps its data."""

import os
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from demo.metafiles import info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.linux.filesystems import Mount
from pyrotorque.rtorrent import RTorrent
from pyrotorque_watcher.load import item_data
from tests.cleaning import SILENT
from tests.dropping import drop
from tests.waiting import eventually
from tests.watching import Watching, job

PLACES = {"file": "inner.torrent", "folder": "Pack/inner.torrent", "deep": "Pack/more/ü x/inner.torrent"}


def downloaded(client: RTorrent, root: Path, inside: str, content: bytes, *, through: Path | None = None) -> str:
    """An item whose data is in the watched tree; its only file, or one of two, is at `inside` of the root."""
    path = root / inside
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    data = root / Path(inside).parts[0]
    if data != path:
        (data / "other").write_bytes(os.urandom(30_000))
    metafile = make_metafile(data.name, content=data, announce=SILENT)
    client.call("load.raw_start", "", metafile, f'd.directory.set="{through or root}"')
    info = info_hash(metafile)
    eventually(lambda: is_complete(client, info), 20)
    return info


def is_complete(client: RTorrent, info: str) -> bool:
    return client.multicall([(command, (info,)) for command in ("d.complete", "d.hashing")]) == [1, 0]


def is_intact(client: RTorrent, info: str) -> bool:
    client.call("d.check_hash", info)
    eventually(lambda: client.call("d.hashing", info) == 0, 20)
    return is_complete(client, info)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["keep", "delete", "rename", "move"])
@pytest.mark.parametrize("content", ["metafile", "no metafile"])
def test_data_of_an_item_stays_and_no_item_is_tied_to_it(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, place: str, how: str, content: str
) -> None:
    outer = short_folder / "loaded", short_folder / "failed"
    settings = job(root, on_loaded=how, on_failed=how, loaded_path=outer[0], failed_path=outer[1])
    inner = make_metafile("inner", announce=SILENT) if content == "metafile" else b"<html>not downloaded yet</html>"
    with Watching(short_folder, settings, url=rtorrent.url) as watching:
        watching.settle()
        item = downloaded(client, root, PLACES[place], inner)
        path = root / PLACES[place]
        watching.until(lambda: watching.state(path) in ("loaded", "failed"))
        drop(root / "later.torrent")  # when this one is done with, so is the other one
        later = root / "later.torrent"
        watching.until(lambda: watching.state(later) == "loaded" if how == "keep" else not later.exists())
        assert path.read_bytes() == inner
        assert is_intact(client, item)
        if content == "metafile":
            client.call("d.erase", info_hash(inner))
            assert path.exists(), "rTorrent deletes what an item is tied to"


@pytest.mark.parametrize("is_set", [True, False], ids=["new path", "old path"])
@pytest.mark.parametrize("place", PLACES)
def test_data_that_is_moved_into_the_tree_stays(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, place: str, is_set: bool
) -> None:
    """All items were read right before; a mover that is killed, or an owner, sets the new path some time later."""
    before, first = short_folder / "before", Path(PLACES[place]).parts[0]
    before.mkdir()
    with Watching(short_folder, job(root, on_loaded="delete"), url=rtorrent.url) as watching:
        watching.settle()
        inner = make_metafile("inner", announce=SILENT)
        item = downloaded(client, before, PLACES[place], inner)
        watching.load(root / "earlier.torrent")
        watching.until(lambda: not (root / "earlier.torrent").exists())
        for command in ("d.stop", "d.close"):
            client.call(command, item)
        (before / first).rename(root / first)
        if is_set:
            client.call("d.directory.set", item, str(root))
        watching.until(lambda: watching.state(root / PLACES[place]) == "loaded")
        drop(root / "later.torrent")
        watching.until(lambda: not (root / "later.torrent").exists())
        client.call("d.directory.set", item, str(root))
        assert (root / PLACES[place]).read_bytes() == inner
        assert is_intact(client, item)


def test_data_by_a_linked_folder_stays(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    (short_folder / "downloads").symlink_to(root)
    with Watching(short_folder, job(root, on_loaded="delete"), url=rtorrent.url) as watching:
        watching.settle()
        inner = make_metafile("inner", announce=SILENT)
        item = downloaded(client, root, PLACES["folder"], inner, through=short_folder / "downloads")
        watching.until(lambda: watching.state(root / PLACES["folder"]) == "loaded")
        drop(root / "later.torrent")
        watching.until(lambda: not (root / "later.torrent").exists())
        assert is_intact(client, item)


def test_a_metafile_beside_data_is_disposed_of(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, caplog: pytest.LogCaptureFixture
) -> None:
    """In the folder of an item, but none of its files; and with the name of data elsewhere."""
    with Watching(short_folder, job(root, on_loaded="delete"), url=rtorrent.url) as watching:
        watching.settle()
        (root / "elsewhere").mkdir()
        (root / "elsewhere/Pack").write_bytes(b"x" * 30_000)
        metafile = make_metafile("x.torrent", content=root / "elsewhere/Pack", announce=SILENT)
        client.call("load.raw", "", metafile, f"d.directory.set={short_folder}")
        downloaded(client, root, PLACES["folder"], make_metafile("inner", announce=SILENT))
        for name in ("Pack/added.torrent", "x.torrent"):
            drop(root / name)
        watching.until(lambda: not (root / "Pack/added.torrent").exists() and not (root / "x.torrent").exists())
        assert (root / PLACES["folder"]).exists()
        assert caplog.text.count("it is data of the item Pack") == 1


def test_an_item_whose_path_is_printed_altered_has_only_what_may_be_its_data(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    """Their names begin with what rTorrent puts in the place of other characters."""
    with Watching(short_folder, job(root, on_loaded="delete"), url=rtorrent.url) as watching:
        watching.settle()
        for place in ("?film.mkv", "?Pack/?file"):
            downloaded(client, root, place, os.urandom(30_000))
        inner = make_metafile("inner", announce=SILENT)
        item = downloaded(client, root, "?Inner/inner.torrent", inner)
        drop(root / "a.torrent")
        watching.until(lambda: not (root / "a.torrent").exists())
        watching.until(lambda: watching.state(root / "?Inner/inner.torrent") == "loaded")
        drop(root / "later.torrent")
        watching.until(lambda: not (root / "later.torrent").exists())
        assert is_intact(client, item)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each time that all items are read."""
    found: list[object] = []
    reading = item_data.ItemData._read  # pyright: ignore[reportPrivateUsage]

    def counted(data: item_data.ItemData) -> None:
        found.append(data)
        reading(data)

    monkeypatch.setattr(item_data.ItemData, "_read", counted)
    return found


def test_items_are_not_read_for_each_metafile(
    watching: Watching, root: Path, readings: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_data, "_FRESH", 3600.0)
    for number in range(20):
        drop(root / f"{number}.torrent")
    watching.until(lambda: watching.states("loaded") == 20)
    assert len(readings) == 1


def test_a_metafile_far_from_all_data_needs_no_further_reading(
    watching: Watching, root: Path, client: RTorrent, readings: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session of 10,000 would make each load wait."""
    monkeypatch.setattr(item_data, "_FRESH", -1.0)
    client.call("directory.default.set", "", str(root.parent / "downloads"))
    for count in range(1, 6):
        drop(root / f"{count}.torrent")
        watching.until(partial(has_loaded, watching, count))
    assert len(readings) == 1


def has_loaded(watching: Watching, count: int) -> bool:
    return watching.states("loaded") == count


@pytest.mark.parametrize(
    ("path", "is_near"),
    [
        ("/data/x.torrent", True),
        ("/data/Pack/sub/x.torrent", True),
        ("/data/deeper/x.torrent", True),
        ("/elsewhere/Pack/x.torrent", True),  # perhaps the same folder, through a link
        ("/x.torrent", False),
        ("/elsewhere/x.torrent", False),
        ("/database/x.torrent", False),
    ],
)
def test_what_is_near_data(path: str, is_near: bool) -> None:
    bases = ["/data/Pack", "/other/100% ?"]
    assert near_data_of(bases, path) is is_near


def near_data_of(bases: list[str], path: str) -> bool:
    class Items:
        def rows(self, *_: object) -> list[list[str]]:
            return [["A" * 40, base, base, os.path.basename(base), "1", "1"] for base in bases]

    data = item_data.ItemData(cast("RTorrent", Items()))
    data._read()  # pyright: ignore[reportPrivateUsage]
    return data._is_near_data(path.encode())  # pyright: ignore[reportPrivateUsage]


def test_each_place_is_near_data_in_a_folder_that_is_not_known() -> None:
    assert near_data_of(["/data/Pack", "/d%3Fta/Pack"], "/elsewhere/x.torrent")


@pytest.mark.parametrize(("kind", "looked"), [("nfs4", 0), ("fuse.mergerfs", 0), ("ext4", 1)])
def test_a_folder_of_data_that_may_hang_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, kind: str, looked: int
) -> None:
    seen: list[tuple[str, str]] = []

    def mounts() -> list[Mount]:
        return [Mount(1, 0, b"/", "ext4"), Mount(2, 1, b"/far", kind)]

    def same(folder: str, other: str) -> bool:
        seen.append((folder, other))
        return False

    monkeypatch.setattr(item_data, "read_mounts", mounts)
    monkeypatch.setattr(os.path, "samefile", same)
    assert not item_data._may_be_at("/far/Pack", b"/watch/Pack")  # pyright: ignore[reportPrivateUsage]
    assert len(seen) == looked
