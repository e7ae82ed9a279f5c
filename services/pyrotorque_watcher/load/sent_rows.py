"""Follows rows that were sent until rTorrent shows their items: from `sent` to `visible`, or back to be sent again."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.outcomes import LoadOutcomes
from pyrotorque_watcher.load.renames import follow_rename, linked_path
from pyrotorque_watcher.load.rtorrent_items import ItemState, RTorrentItems
from pyrotorque_watcher.load.visibility import RTorrentInstance
from pyrotorque_watcher.rows import LoadRefused, Row
from pyrotorque_watcher.scan.content import names_no_tracker
from pyrotorque_watcher.scan.open_file import FileReader

_CHECKS: Final = (0.005, 0.02, 0.1, 0.4)  # seconds until an item that is not visible is checked again
_SENDS_MAX: Final = 5
_LATE_SENDS_MAX: Final = 5  # more, if nothing is wrong with the metafile
_LATE_PAUSE: Final = 60.0  # seconds until the first of them, doubled each time: half an hour in all
_NO_TRACKER: Final = "it names no tracker, and rTorrent accepts such a torrent only with DHT on (dht.mode.set = auto)"


@dataclass
class LoadAttempts:
    """What this process attempted for each row (by its turn) that is not finished."""

    checks: dict[int, int] = field(default_factory=dict[int, int])
    """How often its item was looked up since it was sent last."""
    sends: dict[int, int] = field(default_factory=dict[int, int])
    sent_at: dict[int, float] = field(default_factory=dict[int, float])
    """When it was sent last (Unix time)."""
    unanswered: Counter[int] = field(default_factory=Counter[int])
    """How many requests with it got no answer."""

    def sent(self, row: Row) -> None:
        """rTorrent accepted it."""
        self.sends[row.turn] = self.sends.get(row.turn, 0) + 1
        self.checks[row.turn] = 0
        self.sent_at[row.turn] = time.time()

    def sent_after(self, rows: Sequence[Row]) -> float | None:
        """When the first of these was sent; None if one of them was not sent by this process."""
        times = [self.sent_at.get(row.turn) for row in rows]
        return None if None in times else min((at for at in times if at is not None), default=None)

    def forget(self, row: Row) -> None:
        """Its load is finished."""
        self.checks.pop(row.turn, None)
        self.sends.pop(row.turn, None)
        self.sent_at.pop(row.turn, None)
        self.unanswered.pop(row.turn, None)


@dataclass
class SentRows:
    """Checks the items of rows, and records what it finds at once or, where that is deferred, later."""

    ledger: Ledger
    outcomes: LoadOutcomes
    instance: RTorrentInstance
    items: RTorrentItems
    attempts: LoadAttempts
    _unrecorded: set[int] = field(default_factory=set[int])
    """Rows that were checked and are not recorded yet: they may become due again meanwhile."""
    _deferred: "deque[Callable[[], None]]" = field(default_factory=deque["Callable[[], None]"])

    def due(self, now: float, limit: int) -> list[Row]:
        """The rows to check now."""
        return [row for row in self.ledger.rows("sent", now, limit) if row.turn not in self._unrecorded]

    def record_some(self) -> None:
        """Record one check that was deferred."""
        if self._deferred:
            self._deferred.popleft()()

    def finish(self) -> None:
        """Record all checks that were deferred."""
        while self._deferred:
            self._deferred.popleft()()

    def check(self, rows: Sequence[Row], *, defer: bool) -> None:
        """Check the items of `rows`; what is found is recorded now, or while rTorrent works on what follows."""
        if not rows:
            return
        states = self.items.states(rows, self.attempts.sent_after(rows))
        self.items.erase_cut_off([row for row, state in zip(rows, states, strict=True) if state is ItemState.CUT_OFF])
        broken = [row for row, state in zip(rows, states, strict=True) if state is ItemState.BROKEN]
        reasons = dict(zip((row.turn for row in broken), self.items.disable(broken), strict=True))
        self._unrecorded.update(row.turn for row in rows)
        self._deferred.append(partial(self._record, rows, states, reasons, time.time()))
        if not defer:
            self.finish()

    def _record(self, rows: Sequence[Row], states: Sequence[ItemState], broken: Mapping[int, str], now: float) -> None:
        loaded = [row for row, state in zip(rows, states, strict=True) if state is ItemState.LOADED]
        with self.ledger.transaction():
            self.outcomes.visible(loaded, self.instance.incarnation, now)
            for row, state in zip(rows, states, strict=True):
                match state:
                    case ItemState.LOADED:
                        pass
                    case ItemState.ABSENT:
                        self._absent(row, now)
                    case ItemState.CUT_OFF:
                        self.outcomes.cut_off(row, now)
                    case ItemState.BROKEN:
                        self.outcomes.failed(row, LoadRefused("rpc", broken[row.turn]), now)
                    case ItemState.FOREIGN | ItemState.UNPROVEN:
                        self._foreign(row, state, now)
        self._unrecorded.difference_update(row.turn for row in rows)
        for row, state in zip(rows, states, strict=True):
            # Whether rTorrent ends each time it gets this metafile is still counted after a load that was cut off.
            if state not in (ItemState.ABSENT, ItemState.CUT_OFF):
                self.attempts.forget(row)

    def _foreign(self, row: Row, state: ItemState, now: float) -> None:
        if row.earlier.info_hash == row.load.info_hash:
            self.outcomes.unchanged(row, self.instance.incarnation, now)
        elif follow_rename(self.ledger, row):
            pass
        elif name := linked_path(self.ledger, row):
            self.ledger.mark_duplicate(row, f"another name of {printable(name)}", now, self.instance.incarnation)
        elif state is ItemState.UNPROVEN:
            self.outcomes.unproven(row, self.instance.incarnation, now)
        else:
            self.outcomes.duplicate(row, self.instance.incarnation, now)

    def _absent(self, row: Row, now: float) -> None:
        checks, sends = self.attempts.checks.get(row.turn, len(_CHECKS)), self.attempts.sends.get(row.turn, 0)
        self.attempts.checks[row.turn] = checks + 1
        if checks < len(_CHECKS):
            self.ledger.await_visible(row, now + _CHECKS[checks], now)
        elif sends < _SENDS_MAX:
            self.ledger.send_again(row, now)
        elif names_no_tracker(row.path, FileReader()):
            self._refused(row, sends, _NO_TRACKER, now)
        elif sends < _SENDS_MAX + _LATE_SENDS_MAX:
            # Nothing is wrong with the metafile: rTorrent may lack descriptors, memory or space.
            reason = f"rTorrent accepted it {sends} times and shows no item (see rTorrent's own log)"
            self.ledger.postpone(row, now + _LATE_PAUSE * 2 ** (sends - _SENDS_MAX), reason, now)
            self.outcomes.no_item(row, reason, now)
        else:
            self._refused(row, sends, "see rTorrent's own log", now)

    def _refused(self, row: Row, sends: int, why: str, now: float) -> None:
        reason = f"rTorrent accepted it {sends} times and shows no item: {why}"
        self.outcomes.failed(row, LoadRefused("refused", reason), now)
