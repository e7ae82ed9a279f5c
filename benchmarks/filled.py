"""A private rTorrent with many stopped items, filled as fast as it takes them."""

import contextlib
import tempfile
from collections.abc import Generator
from pathlib import Path

from demo.metafiles import make_metafile
from demo.private_rtorrent import PrivateRTorrent
from demo.waiting import wait_until
from pyrotorque.rtorrent import RTorrent

# rTorrent takes requests of 512 KiB by default; a sample metafile with its base64 and XML is about 700 bytes.
_CHUNK = 200


@contextlib.contextmanager
def scratch() -> Generator[Path]:
    """A folder in memory where there is one, so that a slow disk does not stand between the figures."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="bench-", dir=memory if memory.is_dir() else None, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def fill(
    rtorrent: PrivateRTorrent,
    count: int,
    *,
    prefix: str = "item",
    load: str = "load.raw",
    files: int = 0,
    last_first: bool = False,
) -> None:
    """Load `count` items of `files` files (0: one), stopped unless `load` starts them; wait until all are there.

    `last_first`: in the reverse order of their names, which rTorrent inserts five times faster into its sorted view.
    """
    inside = [(f"file {number}", 16_384) for number in range(files)] or None
    client = RTorrent(rtorrent.url, read_timeout=60)

    def size() -> int:
        return int(str(client.call("view.size", "", "main")))

    before = size()
    numbers = range(count)[::-1] if last_first else range(count)
    for start in range(0, count, _CHUNK):
        names = [f"{prefix} {number:06d}" for number in numbers[start : start + _CHUNK]]
        client.multicall([(load, ["", make_metafile(name, files=inside)]) for name in names])
    # A load returns before its item is there.
    wait_until(lambda: size() - before >= count, 30, lambda: f"rTorrent took {size() - before} of {count} items")


def fill_complete(rtorrent: PrivateRTorrent, count: int) -> None:
    """Load `count` small items whose data is there, and wait until rTorrent has seen it; they end seeding.

    Their tracker is no address: rTorrent would announce each of them for seconds, and be queried in between. (Without
    that key it takes bytes for no metafile.)
    """
    client = RTorrent(rtorrent.url, read_timeout=60)
    names = [f"whole {number:06d}" for number in range(count)]
    for start in range(0, count, _CHUNK):
        made: list[bytes] = []
        for name in names[start : start + _CHUNK]:
            content = rtorrent.downloads / name
            content.write_bytes(name.encode())
            # As rTorrent's own session has it: then it need not read the data.
            there = {"completed": 1, "mtime": int(content.stat().st_mtime), "priority": 1}
            made.append(
                make_metafile(name, content=content, announce="", libtorrent_resume={"bitfield": 1, "files": [there]})
            )
        client.multicall([("load.raw_start", ["", metafile]) for metafile in made])
    wait_until(lambda: int(str(client.call("view.size", "", "complete"))) >= count, 120, lambda: "still checking")


def filled(folder: Path, count: int, *, extra_rc: str = "") -> PrivateRTorrent:
    """A started rTorrent with `count` stopped items; the caller stops it."""
    rtorrent = PrivateRTorrent(folder, extra_rc=extra_rc).start()
    fill(rtorrent, count)
    return rtorrent
