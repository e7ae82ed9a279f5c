"""The mover and items with deselected files: moved when all that is wanted is there, but not those of long ago."""

from pathlib import Path
from typing import Any

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.events import TorrentCompleted
from pyrotorque.jobs import JobConfig, context, mover
from pyrotorque.rtorrent import RTorrent
from tests.partial_items import load_without, select


def job(rtorrent: PrivateRTorrent, folder: Path, **more: Any) -> mover.Mover:
    context.set_context(context.JobContext(state_dir=folder / "state", url=rtorrent.url))
    return mover.Mover(JobConfig({"job_name": "move", "schedule": "minute=*", **more}))


def moved(target: Path) -> set[str]:
    return {path.name for path in target.iterdir()} if target.exists() else set()


def test_a_partial_item_is_moved_and_seeds_from_its_target(
    rtorrent: PrivateRTorrent, client: RTorrent, tmp_path: Path
) -> None:
    target = tmp_path / "done"
    job(rtorrent, tmp_path).run()
    item = load_without(client, rtorrent.downloads, "new", "b", targetdir=str(target))
    job(rtorrent, tmp_path).run()
    assert {path.name for path in (target / "new").iterdir()} >= {"a", "c"}
    assert client.call("d.is_active", item) == 1
    assert client.call("d.directory", item) == str(target / "new")


def test_items_that_were_partial_before_the_job_knew_of_it_are_left_until_published(
    rtorrent: PrivateRTorrent, client: RTorrent, tmp_path: Path
) -> None:
    target = tmp_path / "done"
    old, again = (load_without(client, rtorrent.downloads, n, "b", targetdir=str(target)) for n in ("old", "again"))
    for _ in range(2):
        job(rtorrent, tmp_path).run()
        assert moved(target) == set()
    select(client, again, "b")
    job(rtorrent, tmp_path).run()
    select(client, again, "b", priority=0)
    job(rtorrent, tmp_path).run()
    assert moved(target) == {"again"}, "it was selected again since"
    job(rtorrent, tmp_path, on=("TorrentCompleted",)).run(TorrentCompleted(at=1.0, info_hash=old, name="old"))
    assert moved(target) == {"again", "old"}


def test_a_condition_of_before_does_not_move_partial_items_of_before(
    rtorrent: PrivateRTorrent, client: RTorrent, tmp_path: Path
) -> None:
    load_without(client, rtorrent.downloads, "old", "b", label="tv")
    target = tmp_path / "done"
    job(rtorrent, tmp_path, condition="custom_label=tv", target=str(target)).run()
    assert moved(target) == set()
    job(rtorrent, tmp_path, condition="custom_label=tv is_complete=yes", target=str(target)).run()
    assert moved(target) == set()
    job(rtorrent, tmp_path, condition="custom_label=tv is_wanted_done=yes", target=str(target)).run()
    assert moved(target) == {"old"}, "its condition names them"


def test_an_item_of_which_nothing_is_wanted_is_not_moved(
    rtorrent: PrivateRTorrent, client: RTorrent, tmp_path: Path
) -> None:
    target = tmp_path / "done"
    job(rtorrent, tmp_path).run()
    load_without(client, rtorrent.downloads, "nothing", "a", "b", "c", start=False, targetdir=str(target))
    job(rtorrent, tmp_path).run()
    assert moved(target) == set()


def test_a_damaged_list_of_earlier_items_is_written_again(
    rtorrent: PrivateRTorrent, client: RTorrent, tmp_path: Path
) -> None:
    target = tmp_path / "done"
    load_without(client, rtorrent.downloads, "old", "b", targetdir=str(target))
    made = job(rtorrent, tmp_path)
    (made.state_dir / "earlier-partial").write_bytes(b"[")
    made.run()
    assert moved(target) == set()
