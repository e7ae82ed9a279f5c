"""The load stage: takes rows from `seen` over `sent` to `visible`; the ledger has each step before the next begins.

rTorrent's answer to a load proves nothing, so a metafile counts as visible when rTorrent shows its item with our mark.
The item may still be lost if rTorrent ends within milliseconds: the settle stage follows it until it is in the session.
Every step may be repeated: rTorrent does not load an info-hash twice.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from pyrotorque.errors import RTorrentError
from pyrotorque.rtorrent import ExchangeFailed
from pyrotorque.rtorrent.availability import Availability
from pyrotorque.text import printable
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.cut_off import Absences
from pyrotorque_watcher.load.outcomes import LoadOutcomes
from pyrotorque_watcher.load.plan import InitialState, LoadPlan
from pyrotorque_watcher.load.prepare import ForFleet, LoadJob, ReadyLoad, prepare, record_of
from pyrotorque_watcher.load.renames import follow_rename
from pyrotorque_watcher.load.rtorrent_items import BATCH_LOADS, RTorrentItems, is_full, take_batch
from pyrotorque_watcher.load.sent_rows import LoadAttempts, SentRows
from pyrotorque_watcher.load.visibility import RTorrentInstance, mapped
from pyrotorque_watcher.rows import LoadRefused, Row, Sighting
from pyrotorque_watcher.scan.content import (
    FileGone,
    FileRewritten,
    NotLoadable,
    NotReadable,
    NotSettled,
)
from pyrotorque_watcher.scan.files import look

log = logging.getLogger(__name__)

_ROWS: Final = 512  # loads at most between two checks for their items
# Requests with one metafile in them that got no answer, all but the first with nothing else in them. After one
# more, rTorrent might crash again, and no other metafile would ever be loaded.
_UNANSWERED_MAX: Final = 3
_STEP: Final = 0.25  # seconds after which a step sends no more: new files are first in the next one
# A check for their items passes over all items of rTorrent: so many loads share one, if that takes less than _STEP_MAX.
_STEP_ROWS: Final = 128
_STEP_MAX: Final = 2.0
_SETTLE_PAUSE: Final = 0.5  # seconds until an unsettled file is read again, doubled each time
_SETTLE_PAUSE_MAX: Final = 10.0
_READ_PAUSE: Final = 1.0  # seconds until a file that could not be read is read again, doubled each time
_READ_PAUSE_MAX: Final = 300.0
_ABSENCE_AGE: Final = 1.0  # seconds until it is read again that rTorrent does not have an item
_NEVER: Final = 1e15
_STARTABLE: Final = (InitialState.QUEUE, InitialState.STOP)


@dataclass
class Loader:
    """The state machine; all state that matters is in the ledger."""

    ledger: Ledger
    outcomes: LoadOutcomes
    instance: RTorrentInstance
    items: RTorrentItems
    jobs: Mapping[str, LoadJob]
    stopping: Callable[[], bool] = lambda: False
    availability: Availability = field(
        default_factory=lambda: Availability(
            "metafiles written meanwhile are loaded when it is back", is_in_owners_log=False
        )
    )
    idle: Callable[[], object] = lambda: None
    """Called while rTorrent works and there is nothing else to do; short."""
    ring: Callable[[], object] = lambda: None
    """Called when rTorrent loads items that a queue may start."""
    attempts: LoadAttempts = field(default_factory=LoadAttempts)

    def __post_init__(self) -> None:
        self.sent_rows = SentRows(self.ledger, self.outcomes, self.instance, self.items, self.attempts)
        self._data: set[int] = set()
        """Turns of rows whose file is data of an item."""

    def step(self, now: float) -> bool:
        """Send some of what was seen and check what was sent; whether there may be more to do at once."""
        if now < self.availability.retry_at:
            return False
        more = False
        try:
            if not self.instance.incarnation:
                self.instance.identify()
            self.sent_rows.check(self.sent_rows.due(now, _ROWS), defer=False)
            rows = deque(self.ledger.rows_to_load(now, _ROWS))
            more = len(rows) >= _ROWS // 4
            sent = self._send_all(rows)
            more |= bool(rows)
            if not sent:
                self.finish()  # no call to rTorrent gives time for it
            self.sent_rows.check(sent, defer=more)
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
        """Record what was deferred."""
        self.sent_rows.finish()

    def lost(self, error: RTorrentError, now: float) -> None:
        """rTorrent did not answer."""
        self.instance.forget()
        self.availability.lost(error, now)

    def due(self) -> float:
        """When (Unix time) there is something to do next."""
        times = (self.ledger.next_try("seen"), self.ledger.next_try("sent"))
        return max(min((due for due in times if due is not None), default=_NEVER), self.availability.retry_at)

    # -- seen → sent

    def _send_all(self, waiting: deque[Row]) -> list[Row]:
        """Load `waiting` in their order; while rTorrent works on one batch, those after the next are prepared. Those
        that are left remain in `waiting`."""
        sent = list[Row]()
        self._data = {row.turn for row in waiting if self._is_data(row)}  # before rTorrent works on a batch
        began, enough = time.monotonic(), len(waiting) - _STEP_ROWS
        ready: deque[ReadyLoad] = deque()

        def may_continue() -> bool:
            limit = _STEP if len(waiting) <= enough else _STEP_MAX
            return not self.stopping() and time.monotonic() - began < limit

        def prepare_some(count: int) -> None:
            while waiting and not is_full(ready, count) and may_continue():
                prepared = self._prepare(waiting.popleft())
                if prepared is not None:
                    ready.append(prepared)

        def meanwhile() -> None:
            self.sent_rows.record_some()
            prepare_some(BATCH_LOADS)
            if waiting:
                self.idle()

        prepare_some(1)
        batch, absences = take_batch(ready), None
        while batch:
            self.items.remove_earlier(batch)
            if absences is None or not self._are_current(absences):
                absences = self._absences(batch, lambda: prepare_some(BATCH_LOADS))
            recorded, following = self._recorded(batch, absences), take_batch(ready)
            accepted, absences = self._send(recorded, following, meanwhile) if recorded else ([], None)
            sent += accepted
            if not (batch := following):
                prepare_some(1)
                batch = take_batch(ready)
        return sent

    def _prepare(self, row: Row) -> ReadyLoad | None:
        """`row` with all that is needed to send it; None if it is not sent now."""
        job = self.jobs.get(row.job)
        now = time.time()
        if job is None:
            self._postpone(row, _NEVER, "its job is not active", now)
            return None
        if self.attempts.unanswered[row.turn] >= _UNANSWERED_MAX:
            self._fail(row, LoadRefused("timeout", _crash_suspicion(self.attempts.unanswered.pop(row.turn))))
            return None
        plan = prepare(row, job, self.instance, now, is_data=row.turn in self._data)
        if isinstance(plan, ForFleet):
            self._offer(row, plan, now, dry_run=job.settings.dry_run)
            return None
        if not isinstance(plan, LoadPlan):
            self._not_loadable(row, plan, now)
            return None
        if job.settings.dry_run:
            log.info("%s: WOULD load %s as %s", row.job, printable(row.path), plan.state.value)
            self._postpone(row, _NEVER, "dry run", now)
            return None
        if self._was_moved(row, plan):
            return None
        planned = msgspec.structs.replace(row, load=record_of(plan, row.load.attempts + 1))
        is_suspect = self.attempts.unanswered[row.turn] > 0
        return ReadyLoad(planned, plan, job.settings, is_suspect, is_first=not row.load.mode)

    def _is_data(self, row: Row) -> bool:
        """Whether the file is data of an item, so that no other one is to be tied to it."""
        job = self.jobs.get(row.job)
        if job is None or job.settings.tie == "no":
            return False
        theirs = mapped(row.path, job.settings.path_map)
        return bool(self.instance.data_holder(theirs, is_irreversible=False))

    def _absences(self, batch: Sequence[ReadyLoad], meanwhile: Callable[[], None]) -> Absences:
        """What rTorrent does not have of `batch`, by a request of its own."""
        rows = [ready.row for ready in batch]
        absences = self.items.absences(rows, meanwhile)
        if absences is None:
            self.instance.identify()  # it was restarted
            absences = self.items.absences(rows)
        return absences or Absences([row.absence for row in rows], "", 0.0)

    def _are_current(self, absences: Absences) -> bool:
        """Whether nothing indicates that rTorrent was restarted, or got other items, since they were read."""
        self.instance.notice_end()
        is_recent = time.monotonic() - absences.read_at < _ABSENCE_AGE
        return is_recent and absences.incarnation == self.instance.incarnation

    def _recorded(self, batch: Sequence[ReadyLoad], absences: Absences) -> list[ReadyLoad]:
        """Those to send, after it was recorded that rTorrent does not have their items: what a cut-off load leaves is
        then ours."""
        rows = [
            msgspec.structs.replace(ready.row, absence=absence)
            for ready, absence in zip(batch, absences.of_rows, strict=True)
        ]
        with self.ledger.transaction():
            recorded = {row.turn: row for row in self.ledger.record_loads(rows, time.time())}
            for ready in batch:
                if ready.is_first and ready.row.turn in recorded:
                    self.outcomes.metrics.accepted()
        return [replace(ready, row=recorded[ready.row.turn]) for ready in batch if ready.row.turn in recorded]

    def _send(
        self, batch: Sequence[ReadyLoad], following: Sequence[ReadyLoad], meanwhile: Callable[[], None]
    ) -> tuple[list[Row], Absences | None]:
        """The rows that rTorrent accepted, which does not prove that it loads them, and the absences of `following`."""

        def while_loading() -> None:
            # The queues read their running items first; if they are faster than the load, its event is another reason.
            if any(ready.plan.state in _STARTABLE for ready in batch):
                self.ring()
            meanwhile()

        try:
            answers, absences = self.items.load(batch, following, while_loading)
        except ExchangeFailed as error:
            if error.reason != "connect":
                self.attempts.unanswered.update(ready.row.turn for ready in batch)
            raise
        accepted = list[Row]()
        for ready, refused in zip(batch, answers, strict=True):
            if refused is None:
                self.attempts.sent(ready.row)
                accepted.append(ready.row)
            else:
                self._fail(ready.row, refused)
        return accepted, absences

    def _was_moved(self, row: Row, plan: LoadPlan) -> bool:
        """Whether the file was loaded under a path where it is no more: it was renamed while the watcher was down."""
        # What an event reported is loaded again if rTorrent does not have its item any more.
        planned = msgspec.structs.replace(row, load=record_of(plan, row.load.attempts))
        return not row.arrival.settled and follow_rename(self.ledger, planned)

    def _offer(self, row: Row, found: ForFleet, now: float, *, dry_run: bool) -> None:
        if dry_run:
            log.info("%s: WOULD offer %s to the fleet", row.job, printable(row.path))
            self._postpone(row, _NEVER, "dry run", now)
            return
        with self.ledger.transaction():
            self.outcomes.offered(row, found.info_hash, printable(found.name), now)

    def _not_loadable(self, row: Row, why: NotLoadable, now: float) -> None:
        match why:
            case LoadRefused():
                self._fail(row, why)
            case NotSettled(reason, settles_in):
                attempts = row.load.attempts
                if not attempts:
                    log.info("%s: waiting for %s: %s", row.job, printable(row.path), reason)
                pause = min(_SETTLE_PAUSE_MAX, _SETTLE_PAUSE * 2 ** min(attempts, 10), settles_in)
                self._postpone(row, now + pause, reason, now, attempts=attempts + 1)
            case NotReadable(reason):
                attempts = row.load.attempts
                pause = min(_READ_PAUSE_MAX, _READ_PAUSE * 2 ** min(attempts, 10))
                self._postpone(row, now + pause, f"cannot be read: {reason}", now, attempts=attempts + 1)
                self.outcomes.unreadable(row, reason, now)
            case FileGone():
                with self.ledger.transaction():
                    is_removed = self.ledger.remove(row)
                if is_removed:
                    log.info("%s: %s was removed before it was loaded", row.job, printable(row.path))
            case FileRewritten():
                self._see_again(row, now)

    def _see_again(self, row: Row, now: float) -> None:
        found = look(row.path)
        if found is not None:
            with self.ledger.transaction():
                closed, next_try = found.ctime_ns / 1e9, now + _SETTLE_PAUSE
                sighting = Sighting(closed, settled=False, next_try=next_try)
                self.ledger.add(row.job, row.root, found, now, sighting)

    def _postpone(self, row: Row, until: float, reason: str, now: float, attempts: int = 0) -> None:
        with self.ledger.transaction():
            self.ledger.postpone(row, until, reason, now, attempts=attempts)

    def _fail(self, row: Row, refused: LoadRefused) -> None:
        with self.ledger.transaction():
            self.outcomes.failed(row, refused, time.time())


def _crash_suspicion(times: int) -> str:
    return (
        f"rTorrent ended or hung each of the {times} times it got this metafile, the last time with nothing else "
        "in the request: it may be the cause of the crash"
    )
