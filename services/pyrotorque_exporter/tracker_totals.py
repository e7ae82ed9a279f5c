"""Traffic by tracker as counters that never fall: the sum over an item's growth outlives the item."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

OTHER: Final = "other"
# An item that vanished may come back (a restart of rTorrent, a broken session): its totals must not be added again.
REMEMBERED_FOR: Final = 24 * 3600.0


class ItemTraffic(NamedTuple):
    """What an item had when it was last seen; `gone_at` is 0 while it is there."""

    up: int
    down: int
    gone_at: float = 0.0


class TrackerTraffic(NamedTuple):
    """Bytes sent and received by all items that a tracker ever had."""

    up: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True)
class UnsavedTraffic:
    """What must be written so that the totals survive: items by hash (None: forget it), and trackers that changed."""

    items: dict[str, ItemTraffic | None]
    trackers: dict[str, TrackerTraffic]


class TrackerTotals:
    """Totals of up to `limit` trackers; the items of all further ones count as OTHER. Safe to use from two threads.

    The very first scrape only takes note of what items have; an item that is new later counts in full, for it was
    loaded while somebody watched.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """May grow; trackers that have a label of their own keep it."""
        self._items: dict[str, ItemTraffic] = {}
        self._totals: dict[str, TrackerTraffic] = {}
        self._begun = False
        self._exceeded = False
        self._unsaved = UnsavedTraffic({}, {})
        self._lock = threading.Lock()

    def restore(self, items: Mapping[str, ItemTraffic], totals: Mapping[str, TrackerTraffic]) -> None:
        """Go on where an earlier life stopped."""
        with self._lock:
            self._items, self._totals = dict(items), dict(totals)
            self._begun = bool(items or totals)

    def update(
        self, rows: Iterable[tuple[str, int, int]], trackers: Mapping[str, str], now: float
    ) -> dict[str, TrackerTraffic]:
        """Add the growth in `rows` (hash, up total, down total); returns all totals."""
        with self._lock:
            gone = dict(self._items)
            for info_hash, up, down in rows:
                before = gone.pop(info_hash, None)
                seen = ItemTraffic(up, down)
                if before != seen:
                    self._grow(self.label(trackers.get(info_hash, OTHER)), before, seen)
                    self._items[info_hash] = self._unsaved.items[info_hash] = seen
            self._mark_removed(gone, now)
            for tracker in set(trackers.values()):
                self._totals.setdefault(self.label(tracker), TrackerTraffic())
            self._begun = True
            return dict(self._totals)

    def label(self, tracker: str) -> str:
        """`tracker`, or OTHER when there are too many: which one it is never changes, or counters would fall."""
        if tracker in self._totals or len(self._totals) < self.limit:
            return tracker
        self._exceeded = True
        return OTHER

    @property
    def exceeded(self) -> bool:
        return self._exceeded

    def drain(self) -> UnsavedTraffic:
        """What has changed since the last drain."""
        with self._lock:
            changes, self._unsaved = self._unsaved, UnsavedTraffic({}, {})
            return changes

    def restore_unsaved(self, changes: UnsavedTraffic) -> None:
        """`changes` could not be written: drain them again next time, unless they are newer by now."""
        with self._lock:
            self._unsaved = UnsavedTraffic(
                {**changes.items, **self._unsaved.items}, {**changes.trackers, **self._unsaved.trackers}
            )

    def _grow(self, tracker: str, before: ItemTraffic | None, seen: ItemTraffic) -> None:
        total = self._totals.get(tracker, TrackerTraffic())
        if before is None:
            grown = TrackerTraffic(seen.up, seen.down) if self._begun else TrackerTraffic()
        else:
            # Totals fall when rTorrent dies before it saved its session: what comes after that is new traffic.
            grown = TrackerTraffic(max(0, seen.up - before.up), max(0, seen.down - before.down))
        self._totals[tracker] = TrackerTraffic(total.up + grown.up, total.down + grown.down)
        self._unsaved.trackers[tracker] = self._totals[tracker]

    def _mark_removed(self, gone: Mapping[str, ItemTraffic], now: float) -> None:
        for info_hash, known in gone.items():
            if not known.gone_at:
                self._items[info_hash] = self._unsaved.items[info_hash] = known._replace(gone_at=now)
            elif now - known.gone_at > REMEMBERED_FOR:
                del self._items[info_hash]
                self._unsaved.items[info_hash] = None
