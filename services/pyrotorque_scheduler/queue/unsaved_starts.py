"""Starts that were published before rTorrent had saved them: saved later, and never published a second time."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import Value
from pyrotorque.rtorrent.session import Session
from pyrotorque.store import Store

SAVE_AGAIN: Final = 10.0
_DAYS: Final = 30  # a start that was lost may be repeated as long
_NEVER: Final = float("inf")


class UnsavedStarts:
    """By info-hash, when rTorrent is requested to save it again (CLOCK_MONOTONIC seconds)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.transaction() as db:
            db.execute("DELETE FROM unsaved_starts WHERE at < ?", (time.time() - 86_400 * _DAYS,))
        self._due = {info_hash: 0.0 for (info_hash,) in store.db.execute("SELECT info_hash FROM unsaved_starts")}
        self._held_by: dict[str, str] = {}  # the rTorrent that last had the item

    def __contains__(self, info_hash: str) -> bool:
        return info_hash in self._due

    def due(self) -> float:
        """When the next one is due; infinite without one."""
        return min(self._due.values(), default=_NEVER)

    def due_at(self, now: float) -> list[str]:
        return [info_hash for info_hash, at in self._due.items() if at <= now]

    def add(self, info_hash: str, at: float, session: Session) -> None:
        """The start at `at` (Unix time) is not saved; joins the caller's transaction."""
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO unsaved_starts VALUES (?, ?)", (info_hash, at))
        self._due[info_hash] = 0.0
        self._held_by[info_hash] = session.incarnation

    def postpone(self, hashes: Sequence[str], now: float) -> None:
        """Another rTorrent answers."""
        self._due |= dict.fromkeys(hashes, now + SAVE_AGAIN)

    def update(self, states: Mapping[str, Value | RTorrentFault], session: Session, now: float) -> None:
        """The states of these items after rTorrent was requested to save them."""
        for info_hash, state in states.items():
            # Stopped since, or lost with rTorrent (the item itself, too): only another start can end it.
            self._due[info_hash] = now + SAVE_AGAIN if state == 1 else _NEVER
            if isinstance(state, RTorrentFault):
                if self._held_by.get(info_hash) == session.incarnation:  # erased
                    self.delete(info_hash)
                continue
            self._held_by[info_hash] = session.incarnation
            if session.has_start(info_hash) is not False:
                self.delete(info_hash)

    def delete(self, info_hash: str) -> None:
        """The start is saved; joins the caller's transaction."""
        self._held_by.pop(info_hash, None)
        if self._due.pop(info_hash, None) is not None:
            with self._store.transaction() as db:
                db.execute("DELETE FROM unsaved_starts WHERE info_hash = ?", (info_hash,))
