"""Session files of an item that a test relies on."""

import re

from demo.private_rtorrent import PrivateRTorrent
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.session import Session
from tests.waiting import eventually


def save_progress(rtorrent: PrivateRTorrent, client: RTorrent, item: str, *, chunks: bool = False) -> None:
    """Have rTorrent save `item` with its progress; with `chunks` some chunk must be complete (without, it is a number).

    rTorrent 0.16 may lose a save, or write an older one last: so each look asks for another.
    """
    resume = rtorrent.session / f"{item}.torrent.libtorrent_resume"
    pattern = rb"8:bitfield\d+:" if chunks else rb"8:bitfield"

    def is_saved() -> bool:
        state = client.call("d.state", item)
        assert isinstance(state, int)
        Session().save(client, item, {"state": state}, 10.0)
        return re.search(pattern, resume.read_bytes()) is not None

    eventually(is_saved, 40, interval=0.2, why="its progress is saved")
