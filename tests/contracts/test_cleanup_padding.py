"""Clean-ups of items with files that are not on the disk: padding of hybrid torrents, and deselected files."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from demo.metafiles import Bencodable, bencode, info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.errors import RemovalRefused
from pyrotorque.housekeeping import inventory, restore
from tests.cleaning import SILENT, CleanupScene, without_awaited_loads
from tests.contracts.test_cleanup import entry_of
from tests.waiting import eventually

PIECE = 16_384


@pytest.fixture(autouse=True)
def no_other_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    without_awaited_loads(monkeypatch, inventory)


def hybrid(scene: CleanupScene, name: str, sizes: Mapping[str, int]) -> str:
    """An item whose files begin at the beginning of a piece, as in hybrid torrents; 0.16 does not write the padding."""
    entries: list[Bencodable] = []
    data = b""
    for file, size in sizes.items():
        path = scene.write(name, (file,), size=size) / file
        entries.append({"length": size, "path": [file]})
        data += path.read_bytes()
        padding = -len(data) % PIECE
        entries.append({"attr": "p", "length": padding, "path": [".pad", str(padding)]})
        data += bytes(padding)
    pieces = b"".join(hashlib.sha1(data[at : at + PIECE]).digest() for at in range(0, len(data), PIECE))
    info: dict[str, Bencodable] = {"name": name, "piece length": PIECE, "files": entries, "pieces": pieces}
    metafile = bencode({"announce": SILENT, "info": {**info, "meta version": 2, "file tree": {}}})
    found = info_hash(metafile)
    scene.client.call("load.raw_start", "", metafile)
    eventually(lambda: scene.seeds(found), 20)
    return found


def with_file_of(scene: CleanupScene, name: str, file: str) -> str:
    """Another item, which has this file of the first one."""
    folder = scene.downloads / name
    metafile = make_metafile(file, content=folder / file, announce=SILENT)
    scene.client.call("load.raw_start", "", metafile, f"d.directory.set={folder}")
    found = info_hash(metafile)
    eventually(lambda: scene.seeds(found), 20)
    return found


@pytest.mark.rtorrent_version(">=0.16", reason="0.9.8 writes padding like other files")
def test_padding_of_one_length_is_not_shared(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    one = hybrid(scene, "One", {"a": 40_000, "b": 30_000})
    other = hybrid(scene, "Other", {"c": 40_000, "d": 20_000})
    scene.job(condition="name=One", data="quarantine").run()
    assert not scene.has(one)
    restore.restore(scene.client, entry_of(scene, one))
    eventually(lambda: scene.seeds(one), 20)
    assert scene.is_intact(other)


@pytest.mark.rtorrent_version(">=0.16", reason="0.9.8 writes padding like other files")
def test_an_item_with_padding_that_shared_a_file_is_restored(rtorrent: PrivateRTorrent, short_folder: Path) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    one = hybrid(scene, "One", {"a": 40_000, "b": 30_000})
    other = with_file_of(scene, "One", "a")
    scene.job(condition=f"hash={one}", data="quarantine", shared="keep").run()
    assert not scene.has(one)
    restore.restore(scene.client, entry_of(scene, one))
    eventually(lambda: scene.seeds(one), 20)
    assert scene.is_intact(other)


def test_an_item_with_a_deselected_file_that_shared_another_is_restored(
    rtorrent: PrivateRTorrent, short_folder: Path
) -> None:
    scene = CleanupScene(rtorrent, short_folder)
    path = scene.write("One", ("a", "b", "c"), size=2 * PIECE)
    metafile = make_metafile("One", content=path, announce=SILENT)
    one = info_hash(metafile)
    (path / "c").unlink()
    scene.client.call("load.raw", "", metafile)
    eventually(lambda: scene.has(one), 20)
    scene.client.call("d.open", one)
    scene.client.call("f.priority.set", f"{one}:f2", 0)
    scene.client.call("d.update_priorities", one)
    scene.client.call("d.start", one)
    eventually(lambda: scene.client.call("d.completed_chunks", one) == 4, 20)
    eventually(lambda: scene.client.call("d.is_active", one) == 1, 20)
    (path / "c").unlink(missing_ok=True)
    other = with_file_of(scene, "One", "a")
    scene.job(condition=f"hash={one}", data="quarantine", shared="keep").run()
    assert not scene.has(one)
    kept = (path / "a").rename(short_folder / "kept")
    with pytest.raises(RemovalRefused, match="a is missing: first restore the item that One shared it with"):
        restore.restore(scene.client, entry_of(scene, one))
    kept.rename(path / "a")
    restore.restore(scene.client, entry_of(scene, one))
    eventually(lambda: scene.has(one), 20)
    assert sorted(os.listdir(path))[:2] == ["a", "b"]
    assert scene.is_intact(other)
