"""Follows visible items until rTorrent's session has them: rTorrent may end just after a load and lose the item."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import Identity, RTorrent
from pyrotorque.rtorrent.session import Session
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.cut_off import erase_cut_off, find_cut_off
from pyrotorque_watcher.rows import Row

log = logging.getLogger(__name__)

_NEXT_CHECK: Final = 1.0
# Much longer than rTorrent takes to save an item, if it can.
_SAVED_AFTER: Final = 5.0
_NEXT_CHECK_UNSAVED: Final = 10.0
_ROWS: Final = 500  # checked in one step
_PAUSE: Final = 0.5


class Fate(Enum):
    """What became of a visible item."""

    SAVED = "it is in the session, or its owner erased it"
    PENDING = "it may still be saved"
    UNSAVED = "rTorrent did not save it"
    KEPT = "rTorrent was restarted and still has it"
    LOST = "rTorrent was restarted and does not have it"
    CUT_OFF = "rTorrent was restarted and has it without its load commands"


# The fate of a metafile with several items is the first of these that one of them has.
_ORDER: Final = (Fate.LOST, Fate.CUT_OFF, Fate.PENDING, Fate.UNSAVED, Fate.KEPT, Fate.SAVED)


def fate(*, same_rtorrent: bool, there: bool, saved: bool | None, age: float) -> Fate:
    """`there`: whether rTorrent has the item now, checked only if that decides. `saved` is None if the session folder
    cannot be read: then it is sufficient that much time has passed."""
    if not same_rtorrent:
        return Fate.KEPT if there else Fate.LOST
    if saved:
        return Fate.SAVED
    if age < _SAVED_AFTER:
        return Fate.PENDING
    # If it is gone from the rTorrent that showed it, its owner erased it: it must not be loaded again.
    return Fate.UNSAVED if there and saved is False else Fate.SAVED


@dataclass
class Durability:
    """`disposes` says whether something is to be done about the file of a row whose item is saved; `cut_off` has a row
    sent again whose item was saved without its load commands."""

    ledger: Ledger
    rtorrent: RTorrent
    disposes: Callable[[Row], bool]
    cut_off: Callable[[Row, float], None]
    session: Session = field(default_factory=Session)
    recognize: Callable[[Identity], None] = lambda _: None
    """Raises SessionNotKnown for another rTorrent than the known one: it has lost no item."""
    _next: float = 0.0
    _warned: bool = False

    def due(self) -> float | None:
        """When (Unix time) there is something to check."""
        due = self.ledger.next_try("visible")
        return None if due is None else max(due, self._next)

    def check_now(self) -> None:
        """End the pause between two checks."""
        self._next = 0.0

    def step(self, now: float) -> bool:
        """Check some of the visible items that are due; whether there are more."""
        self._next = now + _PAUSE
        rows = self.ledger.rows("visible", now, _ROWS)
        if not rows:
            return False
        identity = self.rtorrent.identity()
        self.recognize(identity)
        self.session.locate(self.rtorrent, identity)
        fates = self._save_unsaved(self._fates(rows, identity, now))
        saved = [row for row, what in fates if what is Fate.SAVED]
        dispose = {row.turn for row in saved if self.disposes(row)}
        with self.ledger.transaction():
            self.ledger.mark_loaded(saved, now, dispose)
            for row, what in fates:
                self._record(row, what, identity, now)
        if len(rows) < _ROWS:
            return False
        self._next = now
        return True

    def _fates(self, rows: Sequence[Row], identity: Identity, now: float) -> list[tuple[Row, Fate]]:
        same = {row.turn for row in rows if row.progress.incarnation == identity.incarnation}
        items = [(row, info_hash) for row in rows for info_hash in row.load.info_hashes]
        saved = {info_hash: self.session.holds(info_hash) for row, info_hash in items if row.turn in same}
        unclear = [
            info_hash
            for row, info_hash in items
            if row.turn not in same or (saved[info_hash] is False and now - row.progress.changed >= _SAVED_AFTER)
        ]
        there = self._there(unclear)
        found: dict[int, set[Fate]] = {row.turn: set() for row in rows}
        for row, info_hash in items:
            what = fate(
                same_rtorrent=row.turn in same,
                there=info_hash in there,
                saved=saved.get(info_hash),
                age=now - row.progress.changed,
            )
            found[row.turn].add(what)
        kept = [row for row in rows if found[row.turn] == {Fate.KEPT}]
        for turn, hashes in find_cut_off(self.rtorrent, kept).items():
            found[turn].add(Fate.CUT_OFF)
            erase_cut_off(self.rtorrent, hashes)
        return [(row, next(what for what in _ORDER if what in found[row.turn])) for row in rows]

    def _record(self, row: Row, what: Fate, identity: Identity, now: float) -> None:
        match what:
            case Fate.SAVED:
                pass
            case Fate.PENDING:
                self.ledger.check_again(row, now + _NEXT_CHECK)
            case Fate.UNSAVED:
                reason = "rTorrent has not saved it to its session yet"
                self.ledger.check_again(row, now + _NEXT_CHECK_UNSAVED, reason)
            case Fate.KEPT:
                self.ledger.found_after_restart(row, identity.incarnation, now + _NEXT_CHECK, now)
            case Fate.LOST:
                log.warning(
                    "%s: rTorrent was restarted before it saved %s; loading it again",
                    *(row.job, printable(row.path)),
                )
                self.ledger.send_again(row, now)
            case Fate.CUT_OFF:
                self.cut_off(row, now)

    def _there(self, hashes: Sequence[str]) -> set[str]:
        answers = self.rtorrent.multicall([("d.state", (info_hash,)) for info_hash in hashes])
        pairs = zip(hashes, answers, strict=True)
        return {info_hash for info_hash, answer in pairs if not isinstance(answer, RTorrentFault)}

    def _save_unsaved(self, fates: list[tuple[Row, Fate]]) -> list[tuple[Row, Fate]]:
        """Request another save: rTorrent saves a new item once, and reports no failure (a full disk)."""
        unsaved = [row for row, what in fates if what is Fate.UNSAVED]
        if not unsaved:
            return fates
        items = [info_hash for row in unsaved for info_hash in row.load.info_hashes]
        self.rtorrent.multicall([("d.save_full_session", (info_hash,)) for info_hash in items])
        saved = {row.turn for row in unsaved if all(map(self.session.holds, row.load.info_hashes))}
        if len(saved) == len(unsaved):
            self._warned = False
        elif not self._warned:
            self._warned = True
            log.warning(
                "%s: rTorrent does not save %s to its session %s (%d such items): is the disk full? Trying again; "
                "their metafiles stay where they are",
                *(unsaved[0].job, printable(unsaved[0].path), printable(self.session.folder), len(unsaved)),
            )
        return [(row, Fate.SAVED if row.turn in saved else what) for row, what in fates]
