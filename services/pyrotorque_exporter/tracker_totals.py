"""Traffic by tracker as counters that never decrease: an item's traffic stays counted after the item is erased."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

OTHER: Final = "other"
# An erased item may come back (restart of rTorrent, damaged session): its totals must not be added again.
REMEMBERED_FOR: Final = 24 * 3600.0


class ItemTraffic(NamedTuple):
    """The totals of an item at the last scrape; `gone_at` is 0 while rTorrent has it."""

    up: int
    down: int
    gone_at: float = 0.0


class TrackerTraffic(NamedTuple):
    """Bytes sent and received by all present and past items of a tracker."""

    up: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True)
class UnsavedTraffic:
    """Changes since the last write: items by hash (None: delete), and totals of trackers."""

    items: dict[str, ItemTraffic | None]
    trackers: dict[str, TrackerTraffic]


class TrackerTotals:
    """Totals of up to `limit` trackers; the items of all further ones count as OTHER. Safe to use from two threads.

    The very first scrape only records the totals of the items; an item that appears later counts in full, because it
    was loaded since.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """May be raised; trackers that have their own label keep it."""
        self._items: dict[str, ItemTraffic] = {}
        self._totals: dict[str, TrackerTraffic] = {}
        self._begun = False
        self._exceeded = False
        self._era: int | None = None
        self._unsaved = UnsavedTraffic({}, {})
        self._lock = threading.Lock()

    def restore(self, items: Mapping[str, ItemTraffic], totals: Mapping[str, TrackerTraffic]) -> None:
        """Continue from stored totals."""
        with self._lock:
            self._items, self._totals = dict(items), dict(totals)
            self._begun = bool(items or totals)

    def update(
        self, rows: Iterable[tuple[str, int, int]], trackers: Mapping[str, str], now: float, *, era: int = 0
    ) -> dict[str, TrackerTraffic]:
        """Add the growth in `rows` (hash, up total, down total); returns all totals.

        In another `era` of the session (see SessionGate), items that were never seen count from now on only.
        """
        with self._lock:
            self._begun = self._begun and era == (self._era if self._era is not None else era)
            self._era = era
            gone = dict(self._items)
            for info_hash, up, down in rows:
                before = gone.pop(info_hash, None)
                current = ItemTraffic(up, down)
                if before != current:
                    self._grow(self.label(trackers.get(info_hash, OTHER)), before, current)
                    self._items[info_hash] = self._unsaved.items[info_hash] = current
            self._mark_removed(gone, now)
            for label in map(self.label, sorted(set(trackers.values()))):
                if label not in self._totals:
                    # Stored without traffic, too: after a restart another tracker could take its label.
                    self._totals[label] = self._unsaved.trackers[label] = TrackerTraffic()
            self._begun = True
            return dict(self._totals)

    def current(self) -> dict[str, TrackerTraffic]:
        """All totals, without new readings: another rTorrent answers."""
        with self._lock:
            return dict(self._totals)

    def label(self, tracker: str) -> str:
        """`tracker`, or OTHER beyond the limit; the choice is permanent, or counters would decrease."""
        if tracker in self._totals or len(self._totals) < self.limit:
            return tracker
        self._exceeded = True
        return OTHER

    @property
    def exceeded(self) -> bool:
        return self._exceeded

    def drain(self) -> UnsavedTraffic:
        """The changes since the last call, to be written."""
        with self._lock:
            changes, self._unsaved = self._unsaved, UnsavedTraffic({}, {})
            return changes

    def restore_unsaved(self, changes: UnsavedTraffic) -> None:
        """Return `changes` that could not be written; the next `drain` has them, or newer ones."""
        with self._lock:
            self._unsaved = UnsavedTraffic(
                {**changes.items, **self._unsaved.items}, {**changes.trackers, **self._unsaved.trackers}
            )

    def _grow(self, tracker: str, before: ItemTraffic | None, current: ItemTraffic) -> None:
        total = self._totals.get(tracker, TrackerTraffic())
        if before is None:
            grown = TrackerTraffic(current.up, current.down) if self._begun else TrackerTraffic()
        else:
            # Totals decrease when rTorrent dies before it saves its session; traffic after that is new.
            grown = TrackerTraffic(max(0, current.up - before.up), max(0, current.down - before.down))
        self._totals[tracker] = TrackerTraffic(total.up + grown.up, total.down + grown.down)
        self._unsaved.trackers[tracker] = self._totals[tracker]

    def _mark_removed(self, gone: Mapping[str, ItemTraffic], now: float) -> None:
        for info_hash, item in gone.items():
            if not item.gone_at:
                self._items[info_hash] = self._unsaved.items[info_hash] = item._replace(gone_at=now)
            elif now - item.gone_at > REMEMBERED_FOR:
                del self._items[info_hash]
                self._unsaved.items[info_hash] = None
