"""Starts that were published before rTorrent had saved them: saved later, and never published a second time.

A record belongs to one load of its item. rTorrent may lose the item with the start, so that it is loaded again: the
start of that is a repetition. If the rTorrent that had the item has it with another load time, its owner erased it and
added it again: the next start is a new one.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import Call, Value
from pyrotorque.rtorrent.session import Session
from pyrotorque.store import Store

SAVE_AGAIN: Final = 10.0
_DAYS: Final = 30  # a start that was lost may be repeated as long
_NEVER: Final = float("inf")


class ItemNow(NamedTuple):
    """What rTorrent has of an item: its state (an error without the item), and when it was loaded (0: not known)."""

    state: Value | RTorrentFault
    loaded: float


def load_times(info_hash: str) -> tuple[Call, Call]:
    """The calls whose answers `load_time` takes."""
    return ("d.custom", (info_hash, "tm_loaded")), ("d.load_date", (info_hash,))


def load_time(stamped: Value | RTorrentFault, loaded: Value | RTorrentFault) -> float:
    """When an item was loaded (Unix seconds); 0 without an item."""
    return next((float(str(at)) for at in (stamped, loaded) if str(at).isdecimal()), 0.0)


def item_calls(hashes: Sequence[str]) -> list[Call]:
    """The calls whose answers `items_now` takes."""
    return [call for info_hash in hashes for call in (("d.state", (info_hash,)), *load_times(info_hash))]


def items_now(hashes: Sequence[str], answers: Sequence[Value | RTorrentFault]) -> dict[str, ItemNow]:
    """What rTorrent has of these items."""
    facts = zip(*[iter(answers)] * 3, strict=True)
    return {h: ItemNow(state, load_time(*times)) for h, (state, *times) in zip(hashes, facts, strict=True)}


class UnsavedStarts:
    """By info-hash, when rTorrent is requested to save it again (CLOCK_MONOTONIC seconds)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.transaction() as db:
            db.execute("DELETE FROM unsaved_starts WHERE at < ?", (time.time() - 86_400 * _DAYS,))
        self._due = {info_hash: 0.0 for (info_hash,) in store.db.execute("SELECT info_hash FROM unsaved_starts")}

    def has(self, info_hash: str, loaded: float, session: Session) -> bool:
        """Whether a start of this load of the item, which the rTorrent of `session` has, was published."""
        query = "SELECT loaded, incarnation FROM unsaved_starts WHERE info_hash = ?"
        row = self._store.db.execute(query, (info_hash,)).fetchone()
        return row is not None and _is_same_load(row[0], row[1], loaded, session.incarnation)

    def due(self) -> float:
        """When the next one is due; infinite without one."""
        return min(self._due.values(), default=_NEVER)

    def due_at(self, now: float) -> list[str]:
        return [info_hash for info_hash, at in self._due.items() if at <= now]

    def add(self, info_hash: str, at: float, loaded: float, session: Session) -> None:
        """The start at `at` (Unix time) is not saved; joins the caller's transaction."""
        self._store_row(info_hash, at, loaded, session.incarnation)
        self._due[info_hash] = 0.0

    def postpone(self, hashes: Sequence[str], now: float) -> None:
        """Another rTorrent answers."""
        self._due |= dict.fromkeys(hashes, now + SAVE_AGAIN)

    def update(self, items: Mapping[str, ItemNow], session: Session, saved_at: float, now: float) -> None:
        """What rTorrent has of these items after it was requested to save them, which was before `saved_at`."""
        for info_hash, item in items.items():
            # Stopped since, or lost with rTorrent (the item itself, too): only another start can end it.
            self._due[info_hash] = now + SAVE_AGAIN if item.state == 1 else _NEVER
            query = "SELECT at, loaded, incarnation FROM unsaved_starts WHERE info_hash = ?"
            row = self._store.db.execute(query, (info_hash,)).fetchone()
            if row is None:
                self.delete(info_hash)
                continue
            at, loaded, incarnation = row
            if isinstance(item.state, RTorrentFault):
                if incarnation == session.incarnation:  # erased
                    self.delete(info_hash)
            elif not _is_same_load(loaded, incarnation, item.loaded, session.incarnation):
                self.delete(info_hash)  # erased and added again
            elif session.has_start(info_hash, saved_at) is not False:
                self.delete(info_hash)
            elif (loaded, incarnation) != (item.loaded, session.incarnation):
                self._store_row(info_hash, at, item.loaded, session.incarnation)

    def _store_row(self, info_hash: str, at: float, loaded: float, incarnation: str) -> None:
        with self._store.transaction() as db:
            row = (info_hash, at, loaded, incarnation)
            db.execute(
                "INSERT OR REPLACE INTO unsaved_starts (info_hash, at, loaded, incarnation) VALUES (?, ?, ?, ?)", row
            )

    def delete(self, info_hash: str) -> None:
        """The start is saved, or of no more use; joins the caller's transaction."""
        if self._due.pop(info_hash, None) is not None:
            with self._store.transaction() as db:
                db.execute("DELETE FROM unsaved_starts WHERE info_hash = ?", (info_hash,))


def _is_same_load(loaded: float, incarnation: str, loaded_now: float, incarnation_now: str) -> bool:
    """Whether an item that the rTorrent `incarnation` had, loaded at `loaded`, was not erased and added again since.

    The load time may change with a restart of rTorrent. A record of an earlier version has none.
    """
    return loaded_now == loaded or not loaded or not loaded_now or incarnation != incarnation_now
