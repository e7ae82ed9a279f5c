"""Closes items so that their queue can start them again, or their owner: the only way in which an item is stopped."""

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

    def is_known(self) -> bool:
        """Whether the known rTorrent answers now: what another one runs says nothing about the rows."""
        return self._is_known()

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

    def close_for_owner(self, info_hash: str, name: str, job: str, retry_at: float, now: float) -> bool:
        """Whether rTorrent has stopped the item; a queue, if given, starts it after `retry_at`, if it is incomplete."""
        done, complete = self._rtorrent.multicall([("d.bytes_done", (info_hash,)), ("d.complete", (info_hash,))])
        size = done if isinstance(done, int) else 0
        row = ParkedItem(info_hash, job, name, 0, size, now, retry_at)
        if job and complete != 1:
            return self.close(row) is not None
        calls = ("d.stop", "d.close", "d.save_full_session", "d.is_active")
        *_, active = self._rtorrent.multicall([(call, (info_hash,)) for call in calls])
        return active == 0
