"""Follows visible items until rTorrent has written them down: it may die just after a load, and forget."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import Identity, RTorrent
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger, Row
from pyrotorque_watcher.load.plan import MARK
from pyrotorque_watcher.settle.session import Session

log = logging.getLogger(__name__)

_LOOK_AGAIN: Final = 1.0
# Far longer than rTorrent takes to write an item down, where it can.
_SURELY_WRITTEN: Final = 5.0
_UNSAVED_AGAIN: Final = 10.0
_BATCH: Final = 500
_PAUSE: Final = 0.5

Fate = Literal["loaded", "wait", "unsaved", "same", "lost"]


def fate(*, same_rtorrent: bool, there: bool, saved: bool | None, age: float) -> Fate:
    """What a visible item is to us. `there` says that rTorrent has it now; it is asked only where that decides.
    `saved` is None where the session cannot be seen: then it is enough that much time has passed."""
    if not same_rtorrent:
        return "same" if there else "lost"
    if saved:
        return "loaded"
    if age < _SURELY_WRITTEN:
        return "wait"
    # If it is gone from the rTorrent that showed it, its owner erased it: that is not ours to undo.
    return "unsaved" if there and saved is False else "loaded"


@dataclass
class Durability:
    """`done` is called for each row that is written down, before the ledger says so."""

    ledger: Ledger
    rtorrent: RTorrent
    done: Callable[[Row], None]
    session: Session = field(default_factory=Session)
    _next: float = 0.0
    _warned: bool = False

    def due(self) -> float | None:
        """When (Unix time) there is something to look at."""
        due = self.ledger.next_try("visible")
        return None if due is None else max(due, self._next)

    def hurry(self) -> None:
        """Look again as soon as something is due."""
        self._next = 0.0

    def step(self, now: float) -> None:
        """Look at the visible items whose time has come."""
        self._next = now + _PAUSE
        rows = self.ledger.rows("visible", now, _BATCH)
        if not rows:
            return
        identity = self.rtorrent.identity()
        self.session.find(self.rtorrent, identity)
        fates = self._saved_at_last(self._fates(rows, identity, now))
        for row, what in fates:
            if what == "loaded":
                self.done(row)
        with self.ledger.transaction():
            self.ledger.all_loaded([row for row, what in fates if what == "loaded"], now)
            for row, what in fates:
                self._record(row, what, identity, now)

    def _fates(self, rows: Sequence[Row], identity: Identity, now: float) -> list[tuple[Row, Fate]]:
        saved = {row.turn: self.session.has(row.info_hash) for row in rows if row.incarnation == identity.incarnation}
        there = self._there([row for row in rows if _is_unclear(row, saved, now)])
        return [
            (
                row,
                fate(
                    same_rtorrent=row.turn in saved,
                    there=there.get(row.turn, False),
                    saved=saved.get(row.turn),
                    age=now - row.changed,
                ),
            )
            for row in rows
        ]

    def _record(self, row: Row, what: Fate, identity: Identity, now: float) -> None:
        # Where `changed` stays, it is since when the item is visible.
        match what:
            case "loaded":
                pass
            case "wait":
                self.ledger.set(row, row.changed, next_try=now + _LOOK_AGAIN)
            case "unsaved":
                reason = "rTorrent has not saved it to its session yet"
                self.ledger.set(row, row.changed, next_try=now + _UNSAVED_AGAIN, reason=reason)
            case "same":
                self.ledger.set(row, now, incarnation=identity.incarnation, next_try=now + _LOOK_AGAIN)
            case "lost":
                log.warning(
                    "%s: rTorrent was restarted before it had saved %s: loading it again",
                    *(row.job, printable(row.path)),
                )
                self.ledger.set(row, now, state="seen", next_try=0.0)

    def _there(self, rows: Sequence[Row]) -> dict[int, bool]:
        answers = self.rtorrent.multicall([("d.custom", (row.info_hash, MARK)) for row in rows])
        return {row.turn: not isinstance(answer, RTorrentFault) for row, answer in zip(rows, answers, strict=True)}

    def _saved_at_last(self, fates: list[tuple[Row, Fate]]) -> list[tuple[Row, Fate]]:
        """rTorrent saves a new item once, and tells nobody when it could not (a full disk): it is asked to again."""
        unsaved = [row for row, what in fates if what == "unsaved"]
        if not unsaved:
            return fates
        self.rtorrent.multicall([("d.save_full_session", (row.info_hash,)) for row in unsaved])
        done = {row.turn for row in unsaved if self.session.has(row.info_hash)}
        if len(done) == len(unsaved):
            self._warned = False
        elif not self._warned:
            self._warned = True
            log.warning(
                "%s: rTorrent does not save %s to its session %s (%d items so): is the disk full? It is asked again, "
                "and their metafiles stay where they are",
                *(unsaved[0].job, printable(unsaved[0].path), printable(self.session.folder), len(unsaved)),
            )
        return [(row, "loaded" if row.turn in done else what) for row, what in fates]


def _is_unclear(row: Row, saved: Mapping[int, bool | None], now: float) -> bool:
    """Whether what becomes of it hangs on rTorrent having it now."""
    return row.turn not in saved or (saved[row.turn] is False and now - row.changed >= _SURELY_WRITTEN)
