"""Awaits transfers between real rTorrents: a lost announce or handshake is repeated instead of waited for.

rTorrent announces again after five minutes at the earliest, and connects to the same peer again after ten, so on a
busy machine one answer that comes too late would stop a transfer for longer than any test waits.
"""

import time
from collections.abc import Callable
from typing import Final

from pyrotorque.errors import RTorrentError
from pyrotorque.rtorrent import RTorrent
from tests.waiting import eventually

_ANNOUNCE_EVERY: Final = 10.0
_PEER: Final = ("p.address=", "p.completed_percent=", "p.is_incoming=")


def announced(client: RTorrent) -> bool:
    """Whether each item has been announced: its tracker gives its address to others."""
    answers = client.multicall(
        [("t.multicall", (item, "", "t.success_counter=")) for (item,) in client.rows("main", ["d.hash="])]
    )
    return all(
        isinstance(trackers, list) and any(isinstance(each, list) and each[0] for each in trackers)
        for trackers in answers
    )


def transferred(predicate: Callable[[], bool], *clients: RTorrent, timeout: float = 90, why: str = "") -> None:
    """Wait for the end of a transfer between these rTorrents; they announce again while it does not end."""
    again = time.monotonic() + _ANNOUNCE_EVERY

    def look() -> bool:
        nonlocal again
        if predicate():
            return True
        if time.monotonic() >= again:
            again = time.monotonic() + _ANNOUNCE_EVERY
            for client in clients:
                _announce(client)
        return False

    try:
        eventually(look, timeout, why=why)
    except AssertionError as error:
        error.add_note("\n".join(map(_shown, clients)))
        raise


def _announce(client: RTorrent) -> None:
    active = [row[0] for row in client.rows("main", ["d.hash=", "d.is_active="]) if row[1] == "1"]
    client.multicall([("d.tracker_announce", (item,)) for item in active])


def _shown(client: RTorrent) -> str:
    """The items of an rTorrent, their peers and their trackers."""
    try:
        rows = client.rows("main", ["d.hash=", "d.name=", "d.state=", "d.is_active=", "d.left_bytes=", "d.message="])
        peers = client.multicall([("p.multicall", (row[0], "", *_PEER)) for row in rows])
        trackers = client.multicall([("t.multicall", (row[0], "", "t.success_counter=")) for row in rows])
    except RTorrentError as error:
        return str(error)
    shown = zip(rows, peers, trackers, strict=True)
    return "\n".join(f"{row!r} peers {peer!r} announces {tracker!r}" for row, peer, tracker in shown)
