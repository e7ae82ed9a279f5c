"""Follows visible items until rTorrent has written them down: it may die just after a load, and forget."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import Identity, RTorrent
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger, Row
from pyrotorque_watcher.plan import MARK

log = logging.getLogger(__name__)

_LOOK_AGAIN: Final = 1.0
# Where the session cannot be seen (a container, another host): far longer than rTorrent takes to write it.
_SURELY_WRITTEN: Final = 5.0
_BATCH: Final = 500
_PAUSE: Final = 0.5

Fate = Literal["loaded", "wait", "same", "lost"]


def fate(*, same_rtorrent: bool, there: bool, saved: bool, age: float) -> Fate:
    """What a visible item is to us: `there` says that rTorrent has it now, asked only of another rTorrent."""
    if same_rtorrent:
        # If it is gone from the rTorrent that showed it, its owner erased it: that is not ours to undo.
        return "loaded" if saved or age >= _SURELY_WRITTEN else "wait"
    return "same" if there else "lost"


@dataclass
class Durability:
    """`done` is called for each row that is written down, before the ledger says so."""

    ledger: Ledger
    rtorrent: RTorrent
    done: Callable[[Row], None]
    _session: bytes = b""
    _of: str = ""
    _next: float = 0.0

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
        self._find_session(identity)
        others = [row for row in rows if row.incarnation != identity.incarnation]
        there = dict(zip((row.turn for row in others), self._there(others), strict=True))
        fates: list[tuple[Row, Fate]] = [(row, self._fate(row, identity, there, now)) for row in rows]
        for row, what in fates:
            if what == "loaded":
                self.done(row)
        with self.ledger.transaction():
            self.ledger.all_loaded([row for row, what in fates if what == "loaded"], now)
            for row, what in fates:
                self._record(row, what, identity, now)

    def _fate(self, row: Row, identity: Identity, there: dict[int, bool], now: float) -> Fate:
        same = row.incarnation == identity.incarnation
        saved = same and self._is_saved(row.info_hash)
        return fate(same_rtorrent=same, there=there.get(row.turn, False), saved=saved, age=now - row.changed)

    def _record(self, row: Row, what: Fate, identity: Identity, now: float) -> None:
        match what:
            case "loaded":
                pass
            case "wait":
                # `changed` stays: it is since when the item is visible.
                self.ledger.set(row, row.changed, next_try=now + _LOOK_AGAIN)
            case "same":
                self.ledger.set(row, now, incarnation=identity.incarnation, next_try=now + _LOOK_AGAIN)
            case "lost":
                log.warning(
                    "%s: rTorrent was restarted before it had saved %s: loading it again",
                    *(row.job, printable(row.path)),
                )
                self.ledger.set(row, now, state="seen", next_try=0.0)

    def _there(self, rows: Sequence[Row]) -> list[bool]:
        answers = self.rtorrent.multicall([("d.custom", (row.info_hash, MARK)) for row in rows])
        return [not isinstance(answer, RTorrentFault) for answer in answers]

    def _find_session(self, identity: Identity) -> None:
        if self._of != identity.incarnation:
            path = os.fsencode(str(self.rtorrent.call("session.path", "")))
            self._session = path if path.startswith(b"/") and os.path.isdir(path) else b""
            self._of = identity.incarnation

    def _is_saved(self, info_hash: str) -> bool:
        """All three files of a session; names as rTorrent writes them."""
        if not self._session:
            return False
        base = os.path.join(self._session, info_hash.encode("ascii") + b".torrent")
        return all(os.path.exists(base + suffix) for suffix in (b"", b".rtorrent", b".libtorrent_resume"))
