"""Closes running items so that their queue can start them again: the only way in which a queue stops an item."""

from collections.abc import Callable
from dataclasses import replace

from pyrotorque.rtorrent import RTorrent
from pyrotorque_scheduler.queue.parked_items import ParkedItem, ParkedItems


class Parking:
    """Writes the row of an item before it closes it: after a kill in between, one that still runs counts as started.

    Only in the known rTorrent: in another one, nothing shows who started an item.
    """

    def __init__(self, rtorrent: RTorrent, parked: ParkedItems, is_known: Callable[[], bool]) -> None:
        self._rtorrent = rtorrent
        self._parked = parked
        self._is_known = is_known

    def close(self, row: ParkedItem) -> ParkedItem | None:
        """The row as stored, if rTorrent has stopped and closed the item; None if it still runs."""
        if not self._is_known():
            return None
        self._parked.put(row)
        item = (row.info_hash,)
        calls = [("d.stop", item), ("d.close", item), ("d.save_full_session", item)]
        *_, active, done = self._rtorrent.multicall([*calls, ("d.is_active", item), ("d.bytes_done", item)])
        if active != 0:
            self._parked.run_again(row.info_hash)
            return None
        if isinstance(done, int) and done < row.bytes_done:  # unfinished chunks are dropped
            row = replace(row, bytes_done=done)
            self._parked.put(row)
        return row
