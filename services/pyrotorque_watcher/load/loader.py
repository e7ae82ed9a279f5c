"""Brings metafiles into rTorrent: seen, sent, visible, loaded. Each step is in the ledger before the next begins.

rTorrent's answer to a load says nothing, so an item counts when it is seen there with our mark; and it may still be
lost if rTorrent dies within milliseconds, so the metafile counts as loaded only when its session file is written.
Every step may be repeated: a hash that rTorrent has is not loaded again.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec

from pyrotorque.errors import RTorrentError
from pyrotorque.events import LoadFailure
from pyrotorque.rtorrent import ExchangeFailed, RTorrent
from pyrotorque.rtorrent.availability import Availability
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger, Row, Seen
from pyrotorque_watcher.load.marks import disarm, marks_of
from pyrotorque_watcher.load.outcomes import Outcomes
from pyrotorque_watcher.load.plan import Plan
from pyrotorque_watcher.load.prepare import Client, Gone, NotYet, Prepared, Ready, Refused, Written, prepare, why_unseen
from pyrotorque_watcher.load.rtorrent_items import PARCEL, UNANSWERED_MAX, Sender, enough, parcel, why_given_up
from pyrotorque_watcher.load.visibility import Sight
from pyrotorque_watcher.scan.files import look

log = logging.getLogger(__name__)

BATCH: Final = 128  # loads between two looks for their items: 60 to 250 ms of rTorrent's time
_AGAIN: Final = (0.005, 0.02, 0.1, 0.4)  # seconds between looks for an item that is not visible yet
_SENDS: Final = 5
_STEP: Final = 2.0  # seconds after which a step sends no more: what is left is looked for, and sent again, later
_NEVER: Final = 1e15


@dataclass
class Loader:
    """The state machine; all of its state that matters is in the ledger."""

    ledger: Ledger
    outcomes: Outcomes
    rtorrent: RTorrent
    clients: Mapping[str, Client]
    sight: Sight = field(default_factory=Sight)
    stopping: Callable[[], bool] = lambda: False
    availability: Availability = field(
        default_factory=lambda: Availability("metafiles written meanwhile are loaded when it is back")
    )
    incarnation: str = ""
    idle: Callable[[], object] = lambda: None
    """Called while rTorrent works and nothing else is to be done; short."""
    _looks: dict[int, int] = field(default_factory=dict[int, int])
    _sends: dict[int, int] = field(default_factory=dict[int, int])
    _unanswered: Counter[int] = field(default_factory=Counter[int])
    """How many requests with this row in it rTorrent left without an answer."""
    _unrecorded: set[int] = field(default_factory=set[int])
    """Rows that were looked for, and the ledger does not have it yet: their time may come again meanwhile."""
    _later: "deque[Callable[[], None]]" = field(default_factory=deque["Callable[[], None]"])

    def step(self, now: float) -> bool:
        """Send some of what was seen and look for what was sent; whether there may be more to do at once."""
        if now < self.availability.retry_at:
            return False
        more = False
        try:
            if not self.incarnation:
                self.meet()
            sent = self.ledger.rows("sent", now, 4 * BATCH)
            self._verify([row for row in sent if row.turn not in self._unrecorded], defer=False)
            rows = self.ledger.rows("seen", now, BATCH)
            more = len(rows) == BATCH
            self._verify(self._send_all(rows), defer=more)
        except RTorrentError as error:
            more = False
            self.lost(error, time.time())
        else:
            self.availability.answered(now)
        finally:
            if not more:
                self.finish()
        return more

    def finish(self) -> None:
        """Record what was put off."""
        while self._later:
            self._later.popleft()()

    def lost(self, error: RTorrentError, now: float) -> None:
        """rTorrent did not answer; whoever answers next may be another."""
        self.incarnation = ""
        self.availability.lost(error, now)

    def meet(self) -> None:
        """Learn which rTorrent this is."""
        identity = self.rtorrent.identity()
        self.incarnation = identity.incarnation
        self.sight.of(identity.pid, identity.hostname)

    def sees(self, ours: bytes, theirs: bytes) -> bool:
        """Whether `theirs` is, for rTorrent, the very file that we know as `ours`."""
        if self.sight.is_over:
            self.meet()  # it was restarted, and nothing was asked of it meanwhile
        return self.sight.sees(ours, theirs)

    def known(self, command: str) -> bool:
        return self.rtorrent.known(command)

    def due(self) -> float:
        """When (Unix time) there is something to do next."""
        times = (self.ledger.next_try("seen"), self.ledger.next_try("sent"))
        return max(min((due for due in times if due is not None), default=_NEVER), self.availability.retry_at)

    # -- seen → sent

    def _send_all(self, rows: Sequence[Row]) -> list[Row]:
        """Load `rows` in their order; while rTorrent works on one, the next is made ready."""
        if not rows:
            return []
        with self.ledger.transaction():
            self.ledger.claim(rows, time.time())
        waiting, sent = deque(rows), list[Row]()
        until = time.monotonic() + _STEP
        ready: deque[Ready] = deque()

        def make_ready(count: int) -> None:
            while waiting and not enough(ready, count) and not self.stopping() and time.monotonic() < until:
                made = self._made_ready(waiting.popleft())
                if made is not None:
                    ready.append(made)

        def meanwhile() -> None:
            if self._later:
                self._later.popleft()()
            make_ready(PARCEL)
            if waiting:
                self.idle()

        make_ready(1)
        while ready:
            for taken in self._ask_to_load(parcel(ready), meanwhile):
                self._sends[taken.turn] = self._sends.get(taken.turn, 0) + 1
                self._looks[taken.turn] = 0
                sent.append(taken)
            make_ready(1)
        return sent

    def _made_ready(self, row: Row) -> Ready | None:
        """`row`, which is in the ledger as sent, with all that is needed to send it; None when it will not be."""
        client = self.clients.get(row.job)
        now = time.time()
        if client is None:
            self._wait(row, now, _NEVER, "its job is not active")
            return None
        if self._unanswered[row.turn] >= UNANSWERED_MAX:
            self._fail(row, "timeout", why_given_up(self._unanswered.pop(row.turn)))
            return None
        plan = prepare(row, client.settings, client.recipes, self, now)
        if not isinstance(plan, Plan):
            self._not_sent(row, plan, now)
            return None
        if client.settings.dry_run:
            log.info("%s: WOULD load %s as %s", row.job, printable(row.path), plan.load.value)
            self._wait(row, now, _NEVER, "dry run")
            return None
        if self._moved(row, plan):
            return None
        first, *others = plan.torrents
        planned = msgspec.structs.replace(
            row,
            info_hash=first.info_hash,
            others=" ".join(torrent.info_hash for torrent in others),
            name=printable(first.name),
            mode=plan.load.mode,
            tied=int(plan.tied),
            attempts=row.attempts + 1,
        )
        return Ready(planned, plan, client.settings, suspect=self._unanswered[row.turn] > 0)

    def _ask_to_load(self, together: Sequence[Ready], meanwhile: Callable[[], None]) -> list[Row]:
        """Those that rTorrent took; what it did with them is another question."""
        sender, taken = Sender(self.rtorrent, self.sight), list[Row]()
        for _ in together:
            self.outcomes.metrics.accepted()
        try:
            answers = sender.send(together, meanwhile)
        except ExchangeFailed as error:
            if error.reason != "connect":
                self._unanswered.update(ready.row.turn for ready in together)
            raise
        for ready, refused in zip(together, answers, strict=True):
            if refused is None:
                taken.append(ready.row)
            else:
                self._fail(ready.row, refused.kind, refused.reason)
        return taken

    def _moved(self, row: Row, plan: Plan) -> bool:
        """A file that was loaded under a path where it is no more was renamed while nobody looked."""
        for known in self.ledger.same_content(row, plan.torrents[0].info_hash):
            there = look(known.path)
            if there is None or there.identity != known.identity:
                log.info("%s: %s is now %s", row.job, printable(known.path), printable(row.path))
                found = look(row.path)
                if found is not None:
                    with self.ledger.transaction():
                        self.ledger.move(row.job, known.path, row.root, found)
                    return True
        return False

    def _not_sent(self, row: Row, outcome: Prepared, now: float) -> None:
        match outcome:
            case Refused(kind, reason):
                self._fail(row, kind, reason)
            case NotYet(reason):
                if not row.attempts:
                    log.info("%s: waiting for %s: %s", row.job, printable(row.path), reason)
                pause = min(30.0, 0.5 * 2**row.attempts)
                self._wait(row, now, now + pause, reason, attempts=row.attempts + 1)
            case Gone():
                log.info("%s: %s is gone before it was loaded", row.job, printable(row.path))
                with self.ledger.transaction():
                    self.ledger.drop(row)
            case Written():
                self._see_again(row, now)
            case Plan():
                pass

    def _see_again(self, row: Row, now: float) -> None:
        found = look(row.path)
        if found is not None:
            with self.ledger.transaction():
                self.ledger.see(row.job, row.root, found, now, Seen(found.ctime_ns / 1e9, settled=bool(row.settled)))

    def _wait(self, row: Row, now: float, until: float, reason: str, attempts: int = 0) -> None:
        with self.ledger.transaction():
            self.ledger.set(row, now, state="seen", next_try=until, reason=reason, attempts=attempts)

    # -- sent → visible

    def _verify(self, rows: Sequence[Row], *, defer: bool) -> None:
        """Look for the items of `rows`; what is found is recorded now, or while rTorrent works on what follows."""
        if not rows:
            return
        marks = marks_of(self.rtorrent, rows)
        broken = [row for row, mark in zip(rows, marks, strict=True) if mark == f"{row.token}."]
        reasons = dict(zip((row.turn for row in broken), disarm(self.rtorrent, broken), strict=True))
        self._unrecorded.update(row.turn for row in rows)
        self._later.append(partial(self._record, rows, marks, reasons, time.time()))
        if not defer:
            self.finish()

    def _record(self, rows: Sequence[Row], marks: Sequence[str | None], broken: Mapping[int, str], now: float) -> None:
        """There with our mark, there with another's, there and broken, or not there (yet)."""
        ours = [row for row, mark in zip(rows, marks, strict=True) if mark == row.token]
        with self.ledger.transaction():
            self.outcomes.visible(ours, self.incarnation, now)
            for row, mark in zip(rows, marks, strict=True):
                if mark == row.token:
                    continue
                if mark is None:
                    self._invisible(row, now)
                elif row.turn in broken:
                    self.outcomes.failed(row, "rpc", broken[row.turn], now)
                elif row.was == row.info_hash:
                    self.outcomes.still_there(row, now)
                else:
                    self.outcomes.failed(row, "duplicate", "rTorrent has this torrent already", now)
        self._unrecorded.difference_update(row.turn for row in rows)
        for row, mark in zip(rows, marks, strict=True):
            if mark is not None:
                self._looks.pop(row.turn, None)
                self._sends.pop(row.turn, None)
                self._unanswered.pop(row.turn, None)

    def _invisible(self, row: Row, now: float) -> None:
        looks, sends = self._looks.get(row.turn, len(_AGAIN)), self._sends.get(row.turn, 0)
        self._looks[row.turn] = looks + 1
        if looks < len(_AGAIN):
            self.outcomes.sent(row, now, now + _AGAIN[looks])
        elif sends < _SENDS:
            self.ledger.set(row, now, state="seen", next_try=0.0)
        else:
            reason = f"rTorrent took it {sends} times and shows no item: {why_unseen(row, now)}"
            self.outcomes.failed(row, "refused", reason, now)

    # -- failures

    def _fail(self, row: Row, kind: LoadFailure, reason: str) -> None:
        with self.ledger.transaction():
            self.outcomes.failed(row, kind, reason, time.time())
