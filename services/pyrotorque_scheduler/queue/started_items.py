"""The incomplete items that queues started: they keep their slot while rTorrent checks their data after its restart."""

from collections.abc import Callable, Sequence
from typing import Final

from pyrotorque.rtorrent import RTorrent
from pyrotorque.store import Store

_STATES: Final = ("d.state", "d.is_active", "d.hashing")


class StartedItems:
    """Written with each start; completed and erased items are deleted with their events.

    That an item is stopped counts in the known rTorrent only: another one may have the same item.
    """

    def __init__(self, store: Store, rtorrent: RTorrent, is_known: Callable[[], bool]) -> None:
        self._store = store
        self._rtorrent = rtorrent
        self._is_known = is_known

    def add(self, info_hash: str, job: str, at: float) -> None:
        """Join the caller's transaction."""
        self._store.db.execute("INSERT OR REPLACE INTO started_items VALUES (?, ?, ?)", (info_hash, job, at))

    def of(self, job: str) -> set[str]:
        """Those that a queue started and that were not seen stopped since."""
        rows = self._store.db.execute("SELECT info_hash FROM started_items WHERE job = ?", (job,))
        return {info_hash for (info_hash,) in rows}

    def all(self) -> set[str]:
        """Those that any queue, or `pyrotorque start`, started."""
        return {info_hash for (info_hash,) in self._store.db.execute("SELECT info_hash FROM started_items")}

    def running(self, hashes: Sequence[str]) -> list[str]:
        """Those of these items that are active, or whose data rTorrent checks; stopped ones are deleted."""
        answers = self._rtorrent.multicall([(state, (info_hash,)) for info_hash in hashes for state in _STATES])
        rows = dict(zip(hashes, zip(*[iter(answers)] * len(_STATES), strict=True), strict=True))
        stopped = [(info_hash,) for info_hash, (state, *_) in rows.items() if state == 0]
        if stopped and self._is_known():
            with self._store.transaction() as db:
                db.executemany("DELETE FROM started_items WHERE info_hash = ?", stopped)
        return [h for h, (state, active, hashing) in rows.items() if state == 1 and (active == 1 or hashing != 0)]
