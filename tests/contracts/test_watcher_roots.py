"""A real rTorrent: with overlapping trees each metafile is loaded once, by the job of the innermost root."""

from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque.settings.schema import WatchSettings
from tests.dropping import drop
from tests.watching import Watching, job


def labels(watching: Watching, client: RTorrent) -> dict[str, str]:
    """The label of each item, which its job has set."""
    return {str(name): str(label) for name, label in client.rows("main", ["d.name=", "d.custom1="])}


def labelled(name: str, *roots: Path, follow_symlinks: bool = False) -> WatchSettings:
    commands = (("label", f"d.custom1.set={name}"),)
    return job(*roots, name=name, commands=commands, follow_symlinks=follow_symlinks)


@pytest.mark.parametrize("inner_first", [False, True])
def test_a_tree_inside_another_one_has_its_own_job(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent, inner_first: bool
) -> None:
    (root / "films").mkdir()
    jobs = [labelled("all", root), labelled("films", root / "films")]
    with Watching(short_folder, *(jobs[::-1] if inner_first else jobs), url=rtorrent.url) as watching:
        drop(root / "before" / "0.torrent")
        watching.settle()
        for path in ("1.torrent", "films/2.torrent", "films/new/3.torrent", "other/4.torrent"):
            drop(root / path)
        watching.until(lambda: len(labels(watching, client)) == 5)
        watching.settle()
        assert labels(watching, client) == {
            "0.torrent": "all", "1.torrent": "all", "2.torrent": "films", "3.torrent": "films", "4.torrent": "all",
        }  # fmt: skip
        assert not watching.failed
        assert len(watching.rows) == 5


def test_a_root_created_later_and_one_behind_a_link_own_their_files(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    outside = short_folder / "outside"
    outside.mkdir()
    (root / "link").symlink_to(outside)
    jobs = [labelled("all", root, follow_symlinks=True), labelled("later", root / "later"), labelled("out", outside)]
    with Watching(short_folder, *jobs, url=rtorrent.url) as watching:
        watching.settle()
        drop(root / "later" / "1.torrent")
        drop(root / "link" / "2.torrent")
        drop(root / "3.torrent")
        watching.until(lambda: len(labels(watching, client)) == 3)
        watching.settle()
        assert labels(watching, client) == {"1.torrent": "later", "2.torrent": "out", "3.torrent": "all"}
        assert len(watching.rows) == 3


def test_a_new_job_takes_over_the_files_of_its_tree(
    short_folder: Path, root: Path, rtorrent: PrivateRTorrent, client: RTorrent
) -> None:
    (root / "films").mkdir()
    both = (labelled("all", root), labelled("films", root / "films"))
    with Watching(short_folder, both[0], url=rtorrent.url) as watching:
        watching.load(root / "films" / "1.torrent")
        (root / "films" / "bad.torrent").write_bytes(b"<html>")
        watching.until(lambda: watching.failed)
        watching.again(*both)
        watching.settle()
        assert {(row.job, row.progress.state) for row in watching.rows} == {("films", "loaded"), ("films", "failed")}
        drop(root / "films" / "bad.torrent")
        watching.until(lambda: watching.state(root / "films" / "bad.torrent") == "loaded")
        assert labels(watching, client) == {"1.torrent": "all", "bad.torrent": "films"}
