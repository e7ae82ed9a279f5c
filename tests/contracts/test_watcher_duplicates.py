"""The metafile of a duplicate is disposed of only while rTorrent has its item, with its metadata, in its session."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from demo.metafiles import NOWHERE, info_hash, make_metafile
from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque_watcher.rows import IN_FLEET
from tests.dropping import drop, items, touch
from tests.waiting import eventually
from tests.watching import Watching, job

pytestmark = pytest.mark.usefixtures("rtorrent_program")

DISPOSALS = pytest.mark.parametrize("how", ["delete", "rename", "move"])


def watching_as(how: str, short_folder: Path, root: Path, rtorrent: PrivateRTorrent) -> Watching:
    loaded_path = short_folder / "done" if how == "move" else None
    return Watching(short_folder, job(root, on_loaded=how, loaded_path=loaded_path), url=rtorrent.url)


@contextmanager
def unsaved(rtorrent: PrivateRTorrent, info: str) -> Generator[None]:
    """rTorrent cannot save this item, as on a full disk: the names that it writes to are folders."""
    taken = [rtorrent.session / f"{info}.torrent{suffix}.new" for suffix in ("", ".rtorrent", ".libtorrent_resume")]
    for path in taken:
        path.mkdir()
    try:
        yield
    finally:
        for path in taken:
            path.rmdir()


def add_by_hand(rtorrent: PrivateRTorrent, content: bytes) -> str:
    """As another program does; the info-hash."""
    path = rtorrent.folder / "by-hand.torrent"
    path.write_bytes(content)
    RTorrent(rtorrent.url).call("load.normal", "", str(path))
    eventually(lambda: info_hash(content) in items(rtorrent))
    return info_hash(content)


def add_magnet(rtorrent: PrivateRTorrent, content: bytes) -> str:
    link = f"magnet:?xt=urn:btih:{info_hash(content)}&dn=x&tr={quote(NOWHERE, safe='')}"
    RTorrent(rtorrent.url).call("load.normal", "", link)
    eventually(lambda: info_hash(content) in items(rtorrent))
    return info_hash(content)


def look_again(watching: Watching) -> None:
    """All pauses are over."""
    watching.watcher.stages.disposer.attempts.all_now()  # type: ignore[union-attr]
    watching.settle()


@DISPOSALS
def test_a_duplicate_whose_item_is_saved_is_disposed_of(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, how: str
) -> None:
    add_by_hand(rtorrent, make_metafile("a"))
    with watching_as(how, short_folder, root, rtorrent) as watching:
        watching.settle()
        drop(root / "a.torrent", "a")
        watching.until(lambda: not (root / "a.torrent").exists())
        assert [each.kind for each in watching.failed] == ["duplicate"]


@DISPOSALS
def test_the_metafile_of_a_magnet_link_stays_until_its_item_has_the_metadata(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, how: str
) -> None:
    info = add_magnet(rtorrent, make_metafile("a"))
    with watching_as(how, short_folder, root, rtorrent) as watching:
        watching.settle()
        drop(root / "a.torrent", "a")
        watching.until(lambda: watching.state(root / "a.torrent") == "duplicate")
        look_again(watching)
        assert (root / "a.torrent").exists(), "rTorrent has no metadata"
        # The magnet link is erased: its metafile is all that is left.
        RTorrent(rtorrent.url).call("d.erase", info)
        look_again(watching)
        look_again(watching)
        assert (root / "a.torrent").exists()
        assert info not in items(rtorrent), "an erased item does not come back by itself"


def test_a_magnet_file_is_a_duplicate_of_its_magnet_link(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent
) -> None:
    info = add_magnet(rtorrent, make_metafile("a"))
    with watching_as("delete", short_folder, root, rtorrent) as watching:
        watching.settle()
        (root / "a.magnet").write_text(f"magnet:?xt=urn:btih:{info}&dn=x&tr={quote(NOWHERE, safe='')}\n")
        watching.until(lambda: not (root / "a.magnet").exists())


@DISPOSALS
def test_a_duplicate_that_rtorrent_lost_in_a_restart_is_loaded(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, how: str
) -> None:
    with watching_as(how, short_folder, root, rtorrent) as watching:
        watching.settle()
        with unsaved(rtorrent, info_hash(make_metafile("a"))):
            info = add_by_hand(rtorrent, make_metafile("a"))
            drop(root / "a.torrent", "a")
            watching.until(lambda: watching.state(root / "a.torrent") == "duplicate")
            look_again(watching)
            assert (root / "a.torrent").exists(), "it is not saved"
            rtorrent.kill()
        rtorrent.start()
        watching.until(lambda: info in items(rtorrent))
        watching.until(lambda: not (root / "a.torrent").exists())
        eventually(lambda: (rtorrent.session / f"{info}.torrent").stat().st_size)
        assert [event.info_hash for event in watching.loaded] == [info]


def test_a_duplicate_whose_unsaved_item_is_erased_stays(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent
) -> None:
    with watching_as("delete", short_folder, root, rtorrent) as watching:
        watching.settle()
        with unsaved(rtorrent, info_hash(make_metafile("a"))):
            info = add_by_hand(rtorrent, make_metafile("a"))
            drop(root / "a.torrent", "a")
            watching.until(lambda: watching.state(root / "a.torrent") == "duplicate")
            look_again(watching)
            RTorrent(rtorrent.url).call("d.erase", info)
        look_again(watching)
        look_again(watching)
        assert (root / "a.torrent").exists()
        assert (info in items(rtorrent), watching.state(root / "a.torrent")) == (False, "duplicate")


def restart(watching: Watching, rtorrent: PrivateRTorrent, info: str) -> None:
    """Restart rTorrent, and let the watcher see that it still has the item."""
    rtorrent.restart()
    eventually(lambda: info in items(rtorrent))
    look_again(watching)


@pytest.mark.parametrize("waits_for", ["metadata", "dry_run"])
def test_a_duplicate_whose_item_is_erased_after_a_restart_stays(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, waits_for: str
) -> None:
    content = make_metafile("a")
    info = add_magnet(rtorrent, content) if waits_for == "metadata" else add_by_hand(rtorrent, content)
    with watching_as("delete", short_folder, root, rtorrent) as watching:
        watching.settle()
        stages = watching.watcher.stages
        assert stages is not None
        if waits_for == "dry_run":
            stages.disposer.jobs = {
                name: replace(each, settings=msgspec.structs.replace(each.settings, dry_run=True))
                for name, each in stages.disposer.jobs.items()
            }
        drop(root / "a.torrent", "a")
        watching.until(lambda: watching.state(root / "a.torrent") == "duplicate")
        restart(watching, rtorrent, info)
        restart(watching, rtorrent, info)
        RTorrent(rtorrent.url).call("d.erase", info)
        look_again(watching)
        look_again(watching)
        assert (root / "a.torrent").exists()
        assert (info in items(rtorrent), watching.state(root / "a.torrent")) == (False, "duplicate")


def test_a_file_that_is_touched_before_its_item_is_saved_is_not_deleted(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent
) -> None:
    with watching_as("delete", short_folder, root, rtorrent) as watching:
        watching.settle()
        with unsaved(rtorrent, info_hash(make_metafile("a"))):
            info = drop(root / "a.torrent", "a")
            watching.until(lambda: watching.state(root / "a.torrent") == "visible")
            token = watching.row(root / "a.torrent").token
            touch(root / "a.torrent")
            watching.until(lambda: watching.row(root / "a.torrent").token != token)
            watching.until(lambda: watching.state(root / "a.torrent") in ("visible", "loaded"))
            look_again(watching)
            rtorrent.kill()
        rtorrent.start()
        look_again(watching)
        watching.until(lambda: info in items(rtorrent))
        watching.until(lambda: not (root / "a.torrent").exists(), 60)
        assert len(watching.loaded) == 1


def test_a_duplicate_of_the_fleet_needs_no_item_here(short_folder: Path, root: Path, rtorrent: PrivateRTorrent) -> None:
    with watching_as("delete", short_folder, root, rtorrent) as watching:
        watching.settle()
        add_magnet(rtorrent, make_metafile("a"))
        for name in ("a", "b"):
            drop(root / f"{name}.torrent", "a")
        watching.until(lambda: watching.states("duplicate") == 2)
        ledger = watching.watcher.ledger
        ledger.mark_duplicate(watching.row(root / "a.torrent"), "", time.time(), IN_FLEET)
        ledger.mark_duplicate(watching.row(root / "b.torrent"), "", time.time(), IN_FLEET, keeps_file=True)
        watching.watcher.stages.disposer.attempts.all_now()  # type: ignore[union-attr]
        watching.until(lambda: not (root / "a.torrent").exists())
        assert (root / "b.torrent").exists()
