"""Closes items so that their queue can start them again, or their owner: the only way in which an item is stopped."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pyrotorque.rtorrent import Call, RTorrent
from pyrotorque_scheduler.queue.parked_items import ParkedItem, ParkedItems

# rTorrent tests this itself, at the moment at which it closes the item: its owner may have paused it, or have given it
# high priority, after it was read.
_CLOSE_IF: Final = 'and={d.is_active=,not=$d.ignore_commands=,"less=d.priority=,value=3"}'
_CLOSE: Final = ("d.stop", "d.close", "d.save_full_session")


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

    def close(self, row: ParkedItem, *, by_owner: bool = False) -> ParkedItem | None:
        """The row as stored, if rTorrent has stopped and closed the item; None, and the row as before, if it has not.

        For a queue, it closes only what is active, is not ignored, and has no high priority.
        """
        if not self._is_known():
            return None
        before = self._parked.of(row.job).get(row.info_hash)
        self._parked.put(row)
        item = (row.info_hash,)
        calls: list[Call] = [("branch", (row.info_hash, _CLOSE_IF, [f"{call}=" for call in _CLOSE]))]
        if by_owner:
            calls = [(call, item) for call in _CLOSE]
        was_active, *_, active, done = self._rtorrent.multicall(
            [("d.is_active", item), *calls, ("d.is_active", item), ("d.bytes_done", item)]
        )
        if active != 0 or (was_active != 1 and not by_owner):
            self._parked.delete(row.info_hash)
            if before is not None:
                self._parked.put(replace(before, is_parked=False))
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
            return self.close(row, by_owner=True) is not None
        *_, active = self._rtorrent.multicall([(call, (info_hash,)) for call in (*_CLOSE, "d.is_active")])
        return active == 0
