"""A real rTorrent: a ledger that was put back loads nothing again that was erased, and misses nothing that is new."""

import shutil
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.dropping import drop, items
from tests.watching import Watching, job


def copy_files(source: Path, target: Path, suffixes: tuple[str, ...]) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{target}{suffix}").unlink(missing_ok=True)
        if suffix in suffixes and Path(f"{source}{suffix}").exists():
            shutil.copy(f"{source}{suffix}", f"{target}{suffix}")


@pytest.mark.parametrize("suffixes", [("", "-wal"), ("",)], ids=["older files", "without the write-ahead log"])
def test_an_older_ledger_loads_new_metafiles_and_nothing_that_was_erased(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, suffixes: tuple[str, ...]
) -> None:
    copy = short_folder / "copy"
    with Watching(short_folder, job(root, tie="no"), url=rtorrent.url) as watching:
        database = watching.layout.database("watcher")
        first = watching.load(root / "first.torrent")
        watching.watcher.store.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if "-wal" in suffixes:
            copy_files(database, copy, suffixes)
        kept = watching.load(root / "kept.torrent")
        erased = watching.load(root / "erased.torrent")
        client.call("d.erase", erased)
        watching.watcher.bus.publish()
        if "-wal" not in suffixes:
            copy_files(database, copy, suffixes)
        watching.__exit__()
        written = drop(root / "while down.torrent")
        copy_files(copy, database, suffixes)
        watching.__enter__()
        watching.until(lambda: watching.state(root / "while down.torrent") == "loaded")
        watching.settle()
        assert items(rtorrent) == {first, kept, written}
        assert watching.state(root / "erased.torrent") == "baseline"
        # The watcher was restarted again: nothing changes.
        watching.again()
        watching.settle()
        watching.rescan()
        watching.settle()
        assert items(rtorrent) == {first, kept, written}
        assert watching.load(root / "new.torrent") in items(rtorrent)
