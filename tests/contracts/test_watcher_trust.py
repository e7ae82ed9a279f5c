"""A real rTorrent: a folder of another user that is moved into a watched tree stores nothing where it must not."""

import os
from pathlib import Path

import pytest

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from tests.dropping import drop
from tests.watching import Watching


def foreign_folder(parent: Path, ini: str, **metafile: object) -> Path:
    folder = parent / "films"
    folder.mkdir(mode=0o755)
    drop(folder / "x.torrent", "config.py", **metafile)
    (folder / "watch.ini").write_text(ini)
    (folder / "watch.ini").chmod(0o644)
    return folder


@pytest.mark.parametrize("command", ["target", "cmd.a", "base"])
def test_a_folder_moved_into_the_tree_does_not_replace_the_configuration(
    watching: Watching, root: Path, short_folder: Path, rtorrent: PrivateRTorrent, command: str
) -> None:
    """It was unpacked by the owner, so its files are the owner's."""
    config = watching.layout.config_dir
    text = {
        "target": f"target = {config}",
        "cmd.a": f"load_mode = start\ncmd.a = d.directory.set={config}",
        "base": f"load_mode = start\ncmd.a = d.directory_base.set={short_folder}/watch/../config",
    }[command]
    (config / "config.py").write_text("# mine\n")
    foreign_folder(short_folder, text).rename(root / "films")
    watching.until(lambda: watching.failed)
    assert "no content of torrents" in watching.failed[0].reason or "leaves its folder" in watching.failed[0].reason
    assert (config / "config.py").read_text() == "# mine\n"
    (root / "films" / "watch.ini").write_text("custom1 = films\n")
    watching.until(lambda: watching.state(root / "films" / "x.torrent") == "loaded")


def test_the_session_of_rtorrent_is_private(watching: Watching, root: Path, rtorrent: PrivateRTorrent) -> None:
    (root / "watch.ini").write_text(f"target = {rtorrent.session}\n")
    drop(root / "x.torrent")
    watching.until(lambda: watching.failed)
    assert "no content of torrents may be stored" in watching.failed[0].reason


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_user_chooses_the_label_and_no_path(
    watching: Watching, root: Path, short_folder: Path, rtorrent: PrivateRTorrent
) -> None:
    folder = foreign_folder(short_folder, "custom1 = films\npriority = high\n")
    os.chown(folder / "watch.ini", 12345, 12345)
    os.chown(folder, 12345, 12345)
    folder.rename(root / "films")
    path = root / "films" / "x.torrent"
    watching.until(lambda: watching.state(path) == "loaded")
    client, info = RTorrent(rtorrent.url), watching.row(path).load.info_hash
    assert (client.call("d.custom1", info), client.call("d.priority", info)) == ("films", 3)
    (root / "films" / "watch.ini").write_text("target = /srv/films\n")
    drop(root / "films" / "y.torrent")
    watching.until(lambda: watching.failed)
    assert "not allowed in this file, as it belongs to user 12345" in watching.failed[0].reason
