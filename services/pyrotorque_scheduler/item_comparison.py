"""Compares rTorrent's items with the known ones, and stores the events of what changed.

Only for an rTorrent that is recognized: see `pyrotorque_scheduler.completion`.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from pyrotorque.errors import RTorrentFault
from pyrotorque.events import TorrentCompleted, TorrentErased
from pyrotorque.logs import owner_event
from pyrotorque.rtorrent import Call, RTorrent, Value
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque.totals import Counter
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.known_items import ALL, COMPLETE, INCOMPLETE, KnownItems, Row, parts

log = logging.getLogger(__name__)

VIEW: Final = "main"
STATES: Final = ("d.hash=", "d.name=", "d.complete=", "d.is_partially_done=", "d.completed_chunks=")
_TRANSFERRED: Final = ("d.completed_chunks=", "d.down.total=")
_PARTIAL_FILTER: Final = "d.is_partially_done="
_INCOMPLETE_FILTER: Final = "not=$d.complete="
# At the first comparison of a version that recognizes sessions: more is not taken for erased.
MASS_ERASURE: Final = 20
# rTorrent stores the time of completion in whole seconds, from a clock that it reads once per iteration of its loop.
_FINISHED_PRECISION: Final = 2.0


class PartialItem(NamedTuple):
    """What of an item with deselected files is there, and how much was downloaded of it, as rTorrent prints it."""

    name: str
    chunks: str
    downloaded: str

    def follows(self, before: "PartialItem") -> bool:
        """Whether more of it was downloaded since: a check finds chunks without a transfer, and the last blocks of a
        transfer may come when their chunk is complete."""
        return int(self.chunks) > int(before.chunks) and self.downloaded != before.downloaded


class SameRTorrent(Protocol):
    """Answers of the rTorrent that was recognized, and of no other: raises SessionNotKnown if it was replaced."""

    def answers(self, calls: list[Call]) -> list[Value | RTorrentFault]: ...


class ItemComparison:
    """`changed` is set when items were stored or deleted."""

    def __init__(
        self, store: Store, router: EventRouter, rtorrent: RTorrent, same: SameRTorrent, counter: Counter | None = None
    ) -> None:
        self._store = store
        self._router = router
        self._rtorrent = rtorrent
        self._same = same
        self._completed = counter
        self._items = KnownItems(store)
        self.changed = False

    def partial(self, size: object) -> dict[str, PartialItem]:
        """The incomplete items of which all that is wanted is there: rTorrent has no event for these."""
        if not isinstance(size, int) or not self._rtorrent.known("d.multicall.filtered"):
            return {}
        rows = self._rtorrent.scan_rows("incomplete", ("d.hash=", "d.name=", *_TRANSFERRED), where=_PARTIAL_FILTER)
        return {row[0]: PartialItem(*row[1:]) for row in rows}

    def compare_partial(self, before: Mapping[str, PartialItem], now: Mapping[str, PartialItem], at: float) -> None:
        """Items that were partial at the last look, and of which a file was selected and downloaded since."""
        left = [info_hash for info_hash in before if info_hash not in now]
        calls: list[Call] = [
            (method, (h,)) for h in left for method in ("d.complete", *(name[:-1] for name in _TRANSFERRED))
        ]
        answers = list(map(str, self._same.answers(calls))) if left else []
        complete = {
            info_hash: PartialItem(before[info_hash].name, *answers[place + 1 : place + 3])
            for place, info_hash in zip(range(0, len(answers), 3), left, strict=True)
            if answers[place] == "1"
        }
        loaded = {h: item.name for h, item in {**now, **complete}.items() if h in before and item.follows(before[h])}
        known = {h for part in parts((h,) for h in loaded) for h in self._items.among(part, COMPLETE)}
        self.publish({info_hash: loaded[info_hash] for info_hash in known}, {}, at)

    def compare_incomplete(self, now: float) -> None:
        where = _INCOMPLETE_FILTER if self._rtorrent.known("d.multicall.filtered") else ""
        rows = [row for row in self._rtorrent.scan_rows(VIEW, STATES, where=where) if row[2] != "1"]
        done = {row[0]: row[1] for row in rows if is_wanted_done(row)}
        self._name_magnet_links({row[0]: row[1] for row in rows})
        stored, found, fresh = self._items.count(INCOMPLETE), 0, dict[str, str]()
        for part in parts(row for row in rows if row[0] not in done):
            known = self._items.among(part, INCOMPLETE)
            found += len(known)
            fresh |= {h: name for h, name, *_ in part if h not in known}
        checked = self._checked(fresh) if fresh else frozenset()
        self._insert((h, name, False) for h, name in fresh.items() if h not in checked)
        finished = self._insert_partial(done)
        if found == stored and not finished:
            return
        missing = self._items.without({row[0] for row in rows if row[0] not in done}, INCOMPLETE)
        has_partial = self._items.has_partial()
        gone = {h: name for h, name in missing.items() if h not in done}
        answers = self._same.answers([("d.complete", (info_hash,)) for info_hash in gone])
        if not has_partial:
            self._insert((h, name, True) for h, name in missing.items() if h in done)
        completed = {h: gone[h] for h, a in zip(gone, answers, strict=True) if a == 1}
        completed |= {h: name for h, name in missing.items() if h in done and has_partial}
        erased = {h: gone[h] for h, a in zip(gone, answers, strict=True) if isinstance(a, RTorrentFault)}
        self.publish(completed, erased, now)

    def _name_magnet_links(self, incomplete: Mapping[str, str]) -> None:
        """Store the names of items that have got their metadata: under the same info-hash, and perhaps complete."""
        waiting = self._items.without_metadata()
        others = sorted(waiting - incomplete.keys())
        answers = self._same.answers([("d.name", (info_hash,)) for info_hash in others]) if others else []
        names = {
            h: str(answer) for h, answer in zip(others, answers, strict=True) if not isinstance(answer, RTorrentFault)
        }
        names |= {info_hash: incomplete[info_hash] for info_hash in waiting & incomplete.keys()}
        if found := {info_hash: name for info_hash, name in names.items() if name != f"{info_hash}.meta"}:
            self._items.rename(found)

    def compare_all(self, now: float, *, is_first: bool) -> None:
        """`is_first`: no version that recognizes sessions compared before."""
        rows = self._rtorrent.scan_rows(VIEW, ("d.hash=", "d.name=", "d.complete=", "d.timestamp.finished="))
        self._same.answers([])
        # An item that was added and completed between two comparisons: only its time of completion shows that.
        since = self._items.compared_at() - _FINISHED_PRECISION
        stored, found = self._items.count(ALL), 0
        completed: dict[str, str] = {}
        for part in parts(rows):
            known = self._items.among(part, ALL)
            found += len(known)
            new = [row for row in part if row[0] not in known]
            finished = {h: name for h, name, complete, at in new if complete == "1" and float(at or 0) >= since}
            # Incomplete ones are stored by the other comparison, which reads what is wanted of them.
            self._insert((h, name, True) for h, name, complete, _ in new if complete == "1" and h not in finished)
            completed |= finished
        missing = self._items.without({row[0] for row in rows}, ALL) if found < stored else {}
        answers = self._same.answers([("d.hash", (info_hash,)) for info_hash in missing])
        erased = {h: missing[h] for h, a in zip(missing, answers, strict=True) if isinstance(a, RTorrentFault)}
        is_mass_erasure = is_first and len(erased) > max(MASS_ERASURE, stored // 2)
        # A completed item is stored as complete with its event only: the process may be killed in between.
        self._insert((h, name, is_mass_erasure) for h, name in completed.items())
        if is_mass_erasure:
            log.warning(
                "%d of %d items disappeared at once: storing rTorrent's items without publishing events",
                len(erased),
                stored,
            )
            self._items.delete(erased)
        else:
            self.publish(completed, erased, now)
        self._items.set_compared(now)

    def publish(self, completed: Mapping[str, str], erased: Mapping[str, str], now: float) -> None:
        """Store the events of these items, given as names by info-hash; joins the caller's transaction."""
        if not completed and not erased:
            return
        self.changed = True
        with self._store.transaction() as db:
            ended = [(info_hash,) for info_hash in (*completed, *erased)]
            db.executemany("DELETE FROM started_items WHERE info_hash = ?", ended)
            db.executemany("DELETE FROM parked WHERE info_hash = ?", ended)
            if self._completed is not None:
                self._completed.inc(by=len(completed))
            for info_hash, name in completed.items():
                self._router.add(TorrentCompleted(at=now, info_hash=info_hash, name=printable(name)))
                self._items.complete(info_hash)
            db.executemany("DELETE FROM unsaved_starts WHERE info_hash = ?", [(info_hash,) for info_hash in erased])
            for info_hash, name in erased.items():
                self._router.add(TorrentErased(at=now, info_hash=info_hash, name=printable(name)))
            self._items.delete(erased)
        for info_hash, name in completed.items():
            log.info("completed: %s (%s)", printable(name), info_hash)
        owner_event("item completed", *(f"completed {name} ({info_hash})" for info_hash, name in completed.items()))
        owner_event("item erased", *(f"erased {name} ({info_hash})" for info_hash, name in erased.items()))

    def _checked(self, names: Mapping[str, str]) -> frozenset[str]:
        """The items that are stored as complete and whose data rTorrent checks, or has checked since they were read."""
        complete = [h for part in parts((h,) for h in names) for h in self._items.among(part, COMPLETE)]
        states = [state.removesuffix("=") for state in (*STATES, "d.hashing=")]
        answers = self._same.answers([(state, (info_hash,)) for info_hash in complete for state in states])
        rows = zip(*[map(str, answers)] * len(states), strict=True)
        return frozenset(h for h, row in zip(complete, rows, strict=True) if row[-1] != "0" or is_wanted_done(row))

    def _insert_partial(self, done: Mapping[str, str]) -> bool:
        """Store the partial items that are not stored yet; whether one of them was downloaded since the last look."""
        hashes = parts((h,) for h in done)
        unknown = {h: done[h] for part in hashes for h in {h for (h,) in part} - self._items.among(part, ALL)}
        if not unknown:
            return False
        answers = self._same.answers([("d.down.total", (info_hash,)) for info_hash in unknown])
        is_first = not self._items.has_partial()
        finished = {h for h, answer in zip(unknown, answers, strict=True) if not is_first and answer not in (0, "0")}
        self._insert((h, name, h not in finished) for h, name in unknown.items())
        return bool(finished)

    def _insert(self, items: Iterable[tuple[str, str, bool]]) -> None:
        if self._items.insert(items):
            self.changed = True


def is_wanted_done(row: Row) -> bool:
    """Whether all that is wanted of the item (a row of STATES) is there, and anything at all."""
    return row[2] == "1" or (row[3] == "1" and row[4] != "0")
