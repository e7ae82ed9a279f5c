"""Detects items that have all wanted data, and erased ones, also after a downtime: compares rTorrent with the store.

Differences are events only within one known session: see `pyrotorque.rtorrent.recognition`. An item that was there in
this rTorrent process and is gone now was erased. After a restart of rTorrent, an item is erased if its session files
are gone; otherwise rTorrent has not loaded it (yet).
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pyrotorque.errors import RTorrentFault, SessionNotKnown
from pyrotorque.rtorrent import Call, RTorrent, Value
from pyrotorque.rtorrent.identity import INCARNATION
from pyrotorque.rtorrent.recognition import ItemCounts, Recognition, SessionFacts
from pyrotorque.store import Store
from pyrotorque.text import counted
from pyrotorque.totals import Counter
from pyrotorque_scheduler.due_jobs import NEVER, TokenBucket
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.item_comparison import STATES, VIEW, ItemComparison, PartialItem, is_wanted_done
from pyrotorque_scheduler.known_items import ALL, KnownItems, Row, parts
from pyrotorque_scheduler.session_judge import SessionJudge

log = logging.getLogger(__name__)

# Compare all items even if the counts are equal: one item may have replaced another.
_COMPARE_ALL_EVERY: Final = 300.0
# The same for incomplete items; these are compared at once when rTorrent counts more or fewer than before.
_COMPARE_INCOMPLETE_EVERY: Final = 60.0
# Another rTorrent is compared again when its number of items changes, and after as many seconds.
_RECOGNIZE_EVERY: Final = 60.0


# Without a hint, it is looked for completed items after so many seconds.
_LOOK_EVERY: Final = 15.0


class CompletionLooks:
    """When to look for completed items: every 15 seconds, and after hints at a limited rate (CLOCK_MONOTONIC)."""

    def __init__(self) -> None:
        self._rate = TokenBucket()
        self._due = 0.0
        self._hinted = False

    def hint(self) -> None:
        """An event may have completed an item."""
        self._hinted = True

    def wait(self, now: float) -> float:
        """Seconds until a hint leads to a look; infinite without one."""
        return self._rate.wait(now) if self._hinted else NEVER

    def take(self, now: float) -> bool:
        """Whether to look now; counts as done then."""
        if now < self._due and not (self._hinted and self._rate.wait(now) <= 0):
            return False
        self._due, self._hinted = now + _LOOK_EVERY, False
        self._rate.take(now)
        return True


class CompletionDetector:
    """Publishes TorrentCompleted and TorrentErased once each; the very first comparison only stores the items."""

    def __init__(
        self,
        store: Store,
        router: EventRouter,
        rtorrent: RTorrent,
        judge: SessionJudge,
        completed: Counter | None = None,
    ) -> None:
        self._store = store
        self._rtorrent = rtorrent
        self._judge = judge
        self._items = KnownItems(store)
        self._comparison = ItemComparison(store, router, rtorrent, self, completed)
        self._incarnation = ""
        self._sizes: Sequence[object] = ()
        self._partial_items: Mapping[str, PartialItem] = {}
        self._incomplete_compared_at = float("-inf")
        self._all_compared_at = float("-inf")
        self._recognized: tuple[Sequence[object], float] = ((), float("-inf"))

    def detect(self, now: float) -> None:
        """Store the events of what changed since the last call: one cheap call to rTorrent if nothing did.

        Raises RTorrentError.
        """
        # Read before the items: the next call detects what changes in between.
        sizes: list[Call] = [("view.size", ("", view)) for view in (VIEW, "incomplete")]
        *counts, token = self._rtorrent.multicall([*sizes, (INCARNATION, ())])
        self._incarnation = self._rtorrent.identity().incarnation if isinstance(token, RTorrentFault) else str(token)
        is_first = False
        if self._judge.is_confirmed(self._incarnation):
            self._judge.returned()
        elif self._is_due([*counts, self._incarnation], now):
            is_first = self._recognize(now) is Recognition.FIRST
        if not self._judge.is_confirmed(self._incarnation):
            return
        try:
            self._compare(counts, now, is_first=is_first)
        except SessionNotKnown:
            return  # it was replaced during the comparison: the next call recognizes it
        finally:
            self._judge.items_changed |= self._comparison.changed
            self._comparison.changed = False
        self._judge.update_mark(now)

    def has_compared(self) -> bool:
        """Whether the items were compared before, also by an earlier service."""
        return self._items.has_partial()

    def accept(self, now: float) -> str:
        """Take the rTorrent that answers as the known one; returns what was done. Raises RTorrentError."""
        facts = self._judge.facts()
        if self._judge.is_confirmed(facts.incarnation):
            return f"this rTorrent is the known one already ({facts.description})"
        self._incarnation = facts.incarnation
        self._recognize(now, accepted=True)
        if not self._judge.is_confirmed(facts.incarnation):
            return "rTorrent was restarted meanwhile: try again"
        return f"accepted this rTorrent ({facts.description}): recorded its items, without events"

    def answers(self, calls: list[Call]) -> list[Value | RTorrentFault]:
        """Answers of the rTorrent that was recognized last; raises SessionNotKnown if another one answers."""
        *found, token = self._rtorrent.multicall([*calls, (INCARNATION, ())])
        incarnation = self._rtorrent.identity().incarnation if isinstance(token, RTorrentFault) else token
        if incarnation != self._incarnation:
            raise SessionNotKnown("rTorrent was replaced during the comparison")
        return found

    def _compare(self, sizes: Sequence[Value | RTorrentFault], now: float, *, is_first: bool) -> None:
        partial = self._comparison.partial(sizes[1])
        is_changed = sizes != self._sizes or partial.keys() != self._partial_items.keys()
        self._check_absent(now, is_changed=is_changed)
        if is_changed or not 0 <= now - self._incomplete_compared_at < _COMPARE_INCOMPLETE_EVERY:
            self._comparison.compare_incomplete(now)
            self._sizes, self._incomplete_compared_at = sizes, now
        if sizes[0] != self._items.count(ALL) or not 0 <= now - self._all_compared_at < _COMPARE_ALL_EVERY:
            self._comparison.compare_all(now, is_first=is_first)
            self._all_compared_at = now
        self._comparison.compare_partial(self._partial_items, partial, now)
        self._partial_items = partial

    def _check_absent(self, now: float, *, is_changed: bool) -> None:
        """Absent items that rTorrent has again are known; those whose session files were removed since are erased."""
        absent = self._items.absent()
        if not absent:
            return
        if is_changed:
            answers = self.answers([("d.hash", (info_hash,)) for info_hash in absent])
            found = {h for h, answer in zip(absent, answers, strict=True) if not isinstance(answer, RTorrentFault)}
            self._items.set_present(found)
            absent = {h: name for h, name in absent.items() if h not in found}
        if self._judge.session.incarnation != self._incarnation:
            self._judge.locate()
        if gone := self._judge.without_files(absent):
            self.answers([])
            with self._store.transaction():
                self._comparison.publish({}, {info_hash: absent[info_hash] for info_hash in gone}, now)
                self._items.delete_absent(gone)

    # -- which rTorrent

    def _is_due(self, state: Sequence[object], now: float) -> bool:
        """Whether an rTorrent that is not confirmed is to be compared (again)."""
        before, at = self._recognized
        if before == state and 0 <= now - at < _RECOGNIZE_EVERY:
            return False
        self._recognized = (state, now)
        return True

    def _recognize(self, now: float, *, accepted: bool = False) -> Recognition | None:
        """Decide about the rTorrent that answers, and record what follows; None if it was replaced meanwhile."""
        facts = self._judge.facts()
        rows = self._rtorrent.scan_rows(VIEW, STATES)
        if facts.incarnation != self._incarnation or self._rtorrent.identity().incarnation != self._incarnation:
            return None
        present = {row[0] for row in rows}
        absent = self._items.absent()
        missing = self._items.without(present, ALL)
        missing |= {info_hash: name for info_hash, name in absent.items() if info_hash not in present}
        items = ItemCounts(self._items.count(ALL) + len(absent), len(missing))
        what = self._judge.recognize(facts, items, now, accepted=accepted)
        match what:
            case Recognition.OTHER | Recognition.LOADING:
                self._judge.hold(facts, what, items, now)
            case Recognition.CHANGED:
                self._replace_items(rows, facts, items, now)
            case Recognition.FIRST:
                with self._store.transaction():
                    self._judge.take(facts, what, items)
                self._judge.publish()
            case Recognition.RESTARTED | Recognition.SAME:
                self._continue(facts, items, missing, absent.keys() & present, now)
        return what

    def _replace_items(self, rows: Iterable[Row], facts: SessionFacts, items: ItemCounts, now: float) -> None:
        with self._store.transaction():
            self._items.clear()
            for part in parts(rows):
                self._items.insert((row[0], row[1], is_wanted_done(row)) for row in part)
            self._items.set_compared(now)
            self._judge.take(facts, Recognition.CHANGED, items)
        self._judge.publish()

    def _continue(
        self,
        facts: SessionFacts,
        items: ItemCounts,
        missing: Mapping[str, str],
        returned: Iterable[str],
        now: float,
    ) -> None:
        """rTorrent was restarted: the items that it has again, those that were erased meanwhile, and the others."""
        with self._store.transaction():
            self._judge.take(facts, Recognition.RESTARTED, items)
            self._items.set_present(returned)
            gone = self._judge.without_files(missing) if facts.visible else missing.keys()
            self._comparison.publish({}, {info_hash: missing[info_hash] for info_hash in gone}, now)
            self._items.delete_absent(gone)
            self._items.set_absent(missing.keys() - gone)
        self._judge.publish()
        if left := len(missing) - len(gone):
            log.warning(
                "rTorrent was restarted and does not have %s that its session folder has: not loaded (yet)",
                counted(left, "item"),
            )
