"""Items with deselected files in a real rTorrent: what is selected of them is on the disk, so no transfer is needed."""

from pathlib import Path

from demo.metafiles import info_hash, make_metafile
from pyrotorque.rtorrent import RTorrent
from tests.waiting import eventually

CHUNK = 16_384
FILES = ("a", "b", "c")
"""Each has two chunks, so that none contains parts of two files."""


def load_without(client: RTorrent, folder: Path, name: str, *missing: str, start: bool = True, **custom: str) -> str:
    """An item whose files `missing` are neither on the disk nor selected; its info-hash."""
    content = folder / name
    content.mkdir(parents=True)
    for file in FILES:
        (content / file).write_bytes(f"{name} {file}".encode().ljust(2 * CHUNK, b"."))
    metafile = make_metafile(name, content=content, announce="udp://127.0.0.1:1/announce")
    for file in missing:
        (content / file).unlink()
    made = info_hash(metafile)
    marks = [f'd.custom.set={key},"{value}"' for key, value in custom.items()]
    client.call("load.raw", "", metafile, f'd.directory.set="{folder}"', *marks)
    eventually(lambda: made in {row[0] for row in client.rows("main", ["d.hash="])})
    select(client, made, *missing, priority=0)
    if start:
        client.call("d.start", made)
        eventually(lambda: is_partial(client, made), why="what is wanted was found by the check of its data")
    return made


def select(client: RTorrent, item: str, *files: str, priority: int = 1) -> None:
    """Select (or deselect) files of an item, as a user does."""
    calls = [("f.priority.set", (f"{item}:f{FILES.index(file)}", priority)) for file in files]
    client.multicall([*calls, ("d.update_priorities", (item,))])


def is_partial(client: RTorrent, item: str) -> bool:
    """Whether all that is wanted is there, but not all."""
    states = ("d.is_partially_done", "d.complete", "d.completed_chunks", "d.hashing")
    partial, complete, chunks, hashing = client.multicall([(state, (item,)) for state in states])
    return (partial, complete, hashing) == (1, 0, 0) and chunks != 0
