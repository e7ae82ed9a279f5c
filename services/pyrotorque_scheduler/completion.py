"""Notices that items completed or were erased, also while we were away, by comparing rTorrent with what was known."""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from pyrotorque.conditions import parse
from pyrotorque.errors import RTorrentFault
from pyrotorque.events import TorrentCompleted, TorrentErased
from pyrotorque.items import read_items
from pyrotorque.rtorrent import RTorrent
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque_scheduler.event_routing import EventRouter

log = logging.getLogger(__name__)

_ALL: Final = ("d.hash=", "d.name=", "d.complete=", "d.timestamp.finished=")
_VIEW: Final = "main"
# A whole comparison even where the numbers agree: one item may have come for another that went.
_WHOLE_EVERY: Final = 300.0
# The same for incomplete items; these are looked through at once when rTorrent counts others than before.
_INCOMPLETE_EVERY: Final = 60.0
# So many items do not vanish at once by their owner's hand: it is another rTorrent, or one that is still loading.
SUSPICIOUS: Final = 20
# rTorrent notes in whole seconds when an item finished, by a clock that it reads once in each of its turns.
_COARSE: Final = 2.0


class Completion:
    """Compares, and tells what changed; the first look only learns what is there."""

    def __init__(self, store: Store, router: EventRouter, rtorrent: RTorrent) -> None:
        self._store = store
        self._router = router
        self._rtorrent = rtorrent
        self._incomplete = parse("is_complete=0")
        self._sizes: Sequence[object] = ()
        self._incomplete_at = float("-inf")
        self._whole_at = float("-inf")

    def look(self, now: float) -> int:
        """Tell what completed or went since the last look; returns how many events that were.

        One cheap call as long as nothing changes. Raises RTorrentError.
        """
        # Asked before the items: what changes in between is seen the next time.
        sizes = self._rtorrent.multicall([("view.size", ("", view)) for view in (_VIEW, "incomplete")])
        told = 0
        if sizes != self._sizes or not 0 <= now - self._incomplete_at < _INCOMPLETE_EVERY:
            rows = read_items(self._rtorrent, _VIEW, self._incomplete, {"hash", "name"}, now)
            told = self._compare_incomplete({str(item["hash"]): str(item["name"]) for item in rows}, now)
            self._sizes, self._incomplete_at = sizes, now
        (known,) = self._store.db.execute("SELECT count(*) FROM known_items").fetchone()
        if sizes[0] != known or not 0 <= now - self._whole_at < _WHOLE_EVERY:
            told += self._compare_all(now)
            self._whole_at = now
        return told

    def _compare_incomplete(self, incomplete: dict[str, str], now: float) -> int:
        query = "SELECT info_hash, name FROM known_items WHERE complete = 0"
        known: dict[str, str] = dict(self._store.db.execute(query).fetchall())
        gone = sorted(known.keys() - incomplete.keys())
        answers = self._rtorrent.multicall([("d.complete", (info_hash,)) for info_hash in gone])
        completed = [h for h, a in zip(gone, answers, strict=True) if a == 1]
        erased = [h for h, a in zip(gone, answers, strict=True) if isinstance(a, RTorrentFault)]
        self._learn((h, incomplete[h], False) for h in incomplete.keys() - known.keys())
        return self._tell(completed, erased, known, now)

    def _compare_all(self, now: float) -> int:
        rows = {row[0]: row for row in self._rtorrent.rows(_VIEW, _ALL)}
        known: dict[str, str] = dict(self._store.db.execute("SELECT info_hash, name FROM known_items").fetchall())
        fresh = [rows[info_hash] for info_hash in rows.keys() - known.keys()]
        erased = sorted(known.keys() - rows.keys())
        # Came and completed between two comparisons: only the time tells it from what was complete when it came.
        since = self._compared_at() - _COARSE
        quick = [h for h, _, complete, finished in fresh if complete == "1" and float(finished or 0) >= since]
        if len(erased) > max(SUSPICIOUS, len(known) // 2):
            log.warning(
                "%d of %d items are gone at once: taking rTorrent as it is now, without events", len(erased), len(known)
            )
            self._forget(erased)
            erased, quick = [], []
        # What is to be told is complete only once it was: we may be killed in between.
        self._learn((h, name, complete == "1" and h not in quick) for h, name, complete, _ in fresh)
        told = self._tell(quick, erased, known | {h: name for h, name, _, _ in fresh}, now)
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO compared VALUES (1, ?)", (now,))
        return told

    def _compared_at(self) -> float:
        """When all items were looked at last, also by a scheduler before this one; the very first look only learns."""
        found = self._store.db.execute("SELECT at FROM compared").fetchone()
        return float(found[0]) if found else float("inf")

    def _learn(self, items: Iterable[tuple[str, str, bool]]) -> None:
        rows = [(info_hash, printable(name), int(complete)) for info_hash, name, complete in items]
        if rows:
            with self._store.transaction() as db:
                db.executemany("INSERT OR REPLACE INTO known_items VALUES (?, ?, ?)", rows)

    def _forget(self, erased: Iterable[str]) -> None:
        with self._store.transaction() as db:
            db.executemany("DELETE FROM known_items WHERE info_hash = ?", [(info_hash,) for info_hash in erased])

    def _tell(self, completed: list[str], erased: list[str], names: dict[str, str], now: float) -> int:
        if not completed and not erased:
            return 0
        with self._store.transaction() as db:
            for info_hash in completed:
                self._router.add(TorrentCompleted(at=now, info_hash=info_hash, name=printable(names[info_hash])))
                db.execute("UPDATE known_items SET complete = 1 WHERE info_hash = ?", (info_hash,))
            for info_hash in erased:
                self._router.add(TorrentErased(at=now, info_hash=info_hash, name=printable(names[info_hash])))
            self._forget(erased)
        for info_hash in completed:
            log.info("completed: %s (%s)", printable(names[info_hash]), info_hash)
        return len(completed) + len(erased)
