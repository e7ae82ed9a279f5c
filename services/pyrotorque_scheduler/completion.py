"""Detects completed and erased items, also after a downtime, by comparing rTorrent with the stored items."""

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

_FIELDS: Final = ("d.hash=", "d.name=", "d.complete=", "d.timestamp.finished=")
_VIEW: Final = "main"
# Compare all items even if the counts are equal: one item may have replaced another.
_COMPARE_ALL_EVERY: Final = 300.0
# The same for incomplete items; these are compared at once when rTorrent counts more or fewer than before.
_COMPARE_INCOMPLETE_EVERY: Final = 60.0
# An owner does not erase so many items at once: this is another rTorrent, or one that is still loading its session.
MASS_ERASURE: Final = 20
# rTorrent stores the time of completion in whole seconds, from a clock that it reads once per iteration of its loop.
_FINISHED_PRECISION: Final = 2.0


class CompletionDetector:
    """Publishes TorrentCompleted and TorrentErased once each; the very first comparison only stores the items."""

    def __init__(self, store: Store, router: EventRouter, rtorrent: RTorrent) -> None:
        self._store = store
        self._router = router
        self._rtorrent = rtorrent
        self._incomplete = parse("is_complete=0")
        self._sizes: Sequence[object] = ()
        self._incomplete_compared_at = float("-inf")
        self._all_compared_at = float("-inf")

    def detect(self, now: float) -> None:
        """Store the events of what changed since the last call: one cheap call to rTorrent if nothing did.

        Raises RTorrentError.
        """
        # Read before the items: the next call detects what changes in between.
        sizes = self._rtorrent.multicall([("view.size", ("", view)) for view in (_VIEW, "incomplete")])
        if sizes != self._sizes or not 0 <= now - self._incomplete_compared_at < _COMPARE_INCOMPLETE_EVERY:
            rows = read_items(self._rtorrent, _VIEW, self._incomplete, {"hash", "name"}, now)
            self._compare_incomplete({str(item["hash"]): str(item["name"]) for item in rows}, now)
            self._sizes, self._incomplete_compared_at = sizes, now
        (known,) = self._store.db.execute("SELECT count(*) FROM known_items").fetchone()
        if sizes[0] != known or not 0 <= now - self._all_compared_at < _COMPARE_ALL_EVERY:
            self._compare_all(now)
            self._all_compared_at = now

    def _compare_incomplete(self, incomplete: dict[str, str], now: float) -> None:
        query = "SELECT info_hash, name FROM known_items WHERE complete = 0"
        known: dict[str, str] = dict(self._store.db.execute(query).fetchall())
        gone = sorted(known.keys() - incomplete.keys())
        answers = self._rtorrent.multicall([("d.complete", (info_hash,)) for info_hash in gone])
        completed = [h for h, a in zip(gone, answers, strict=True) if a == 1]
        erased = [h for h, a in zip(gone, answers, strict=True) if isinstance(a, RTorrentFault)]
        self._insert((h, incomplete[h], False) for h in incomplete.keys() - known.keys())
        self._publish(completed, erased, known, now)

    def _compare_all(self, now: float) -> None:
        rows = {row[0]: row for row in self._rtorrent.rows(_VIEW, _FIELDS)}
        known: dict[str, str] = dict(self._store.db.execute("SELECT info_hash, name FROM known_items").fetchall())
        new = [rows[info_hash] for info_hash in rows.keys() - known.keys()]
        erased = sorted(known.keys() - rows.keys())
        # An item that was added and completed between two comparisons: only its time of completion shows that.
        since = self._compared_at() - _FINISHED_PRECISION
        completed = [h for h, _, complete, finished in new if complete == "1" and float(finished or 0) >= since]
        if len(erased) > max(MASS_ERASURE, len(known) // 2):
            log.warning(
                "%d of %d items disappeared at once: storing rTorrent's items without publishing events",
                len(erased),
                len(known),
            )
            self._delete(erased)
            erased, completed = [], []
        # A completed item is stored as complete with its event only: the process may be killed in between.
        self._insert((h, name, complete == "1" and h not in completed) for h, name, complete, _ in new)
        self._publish(completed, erased, known | {h: name for h, name, _, _ in new}, now)
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO compared VALUES (1, ?)", (now,))

    def _compared_at(self) -> float:
        """When all items were last compared, also before a restart; infinite before the very first comparison."""
        found = self._store.db.execute("SELECT at FROM compared").fetchone()
        return float(found[0]) if found else float("inf")

    def _insert(self, items: Iterable[tuple[str, str, bool]]) -> None:
        rows = [(info_hash, printable(name), int(complete)) for info_hash, name, complete in items]
        if rows:
            with self._store.transaction() as db:
                db.executemany("INSERT OR REPLACE INTO known_items VALUES (?, ?, ?)", rows)

    def _delete(self, erased: Iterable[str]) -> None:
        with self._store.transaction() as db:
            db.executemany("DELETE FROM known_items WHERE info_hash = ?", [(info_hash,) for info_hash in erased])

    def _publish(self, completed: list[str], erased: list[str], names: dict[str, str], now: float) -> None:
        if not completed and not erased:
            return
        with self._store.transaction() as db:
            for info_hash in completed:
                self._router.add(TorrentCompleted(at=now, info_hash=info_hash, name=printable(names[info_hash])))
                db.execute("UPDATE known_items SET complete = 1 WHERE info_hash = ?", (info_hash,))
            for info_hash in erased:
                self._router.add(TorrentErased(at=now, info_hash=info_hash, name=printable(names[info_hash])))
            self._delete(erased)
        for info_hash in completed:
            log.info("completed: %s (%s)", printable(names[info_hash]), info_hash)
