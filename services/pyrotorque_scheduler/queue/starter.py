"""Starts one item with exactly one effect and one event: intent row first, then start, verification and event."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

from pyrotorque.errors import RTorrentError, RTorrentFault, SessionNotKnown
from pyrotorque.logs import job_logger
from pyrotorque.open_loads import OpenLoads, mark_of
from pyrotorque.rtorrent import RTorrent, save_threads
from pyrotorque.rtorrent.identity import INCARNATION
from pyrotorque.store import Store
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.model import Failure
from pyrotorque_scheduler.queue.start_reader import StartReader
from pyrotorque_scheduler.queue.start_records import StartRecords
from pyrotorque_scheduler.queue.start_result import (
    HELD,
    SAVED_WITHIN,
    STATE_COMMANDS,
    WITHHELD,
    PendingStart,
    StartIntent,
    StartResult,
    start_calls,
    start_result,
)
from pyrotorque_scheduler.queue.started_items import StartedItems
from pyrotorque_scheduler.queue.unsaved_starts import item_calls, items_now, load_time, load_times
from pyrotorque_scheduler.state import DecisionHistory

# rTorrent checks the data of an item before it becomes active, usually within milliseconds. After this many seconds the
# item counts as started, and its hash check continues.
_HASH_CHECK_SECONDS: Final = 1.0
_SAVE_AGAIN_FROM: Final = 3  # readings: an earlier save is still under way
_RECENT_MAX: Final = 64
_RECENT_SECONDS: Final = 10.0
_UNKNOWN_AGAIN: Final = 1.0  # until the items of a restarted rTorrent are compared, or while another one answers

SaveState: TypeAlias = Callable[[bool], None]


class DifferenceGate(Protocol):
    """Whether differences found in this incarnation of rTorrent may be acted on."""

    def is_known(self, incarnation: object) -> bool: ...


BY_HAND: Final = "start"
"""Stands for a queue in starts by `pyrotorque start`."""


class Starter:
    """The one place that starts items, used by the service's loop; `now` is CLOCK_MONOTONIC seconds.

    A start is published once it is durable: running, and saved in rTorrent's session where that can be seen. A start
    that rTorrent cannot save within 5 s (a full disk) is published as not durable, once, even if it is repeated.
    """

    def __init__(
        self,
        rtorrent: RTorrent,
        store: Store,
        router: EventRouter,
        history: DecisionHistory,
        metrics: SchedulerMetrics,
        gate: DifferenceGate | None = None,
    ) -> None:
        self._rtorrent = rtorrent
        self._store = store
        self._gate = gate
        self._reader = StartReader(rtorrent)
        self._session = self._reader.session
        self._open_loads = OpenLoads.below(store.path.parent)
        self._records = StartRecords(store, rtorrent, router, history, metrics, self.is_known_now)
        self._pending: dict[str, PendingStart] = {}
        self._recent: dict[str, float] = {}

    def take_recent(self, info_hash: str) -> bool:
        """Whether the item was started within the last seconds, once: the event of its load arrives later."""
        return time.monotonic() - self._recent.pop(info_hash, float("-inf")) < _RECENT_SECONDS

    @property
    def failures(self) -> Mapping[str, Failure]:
        """The items that did not start, by info-hash."""
        return self._records.failures

    @property
    def started_items(self) -> StartedItems:
        """The incomplete items that queues or the owner started."""
        return self._records.started_items

    def start(self, intent: StartIntent, save_state: SaveState, now: float) -> StartResult:
        """Start and verify an item; `save_state(True)` joins the intent's transaction, `save_state(False)` reverts it.

        While rTorrent checks the item's data or has not saved the start, `verify` completes it later. A start is
        withheld, without an event, while the item is without its load commands. Raises RTorrentUnavailable if the
        result is unknown; then `recover` completes it.
        """
        if self._open_loads.is_held(intent.info_hash):
            return HELD
        is_open = intent.marked or self._open_loads.has(intent.info_hash)
        self._records.add_intent(intent, save_state)
        marks = [mark_of(intent.info_hash)] if is_open else []
        begin = start_calls(intent.info_hash, if_marked=is_open)
        states = [(method, (intent.info_hash,)) for method in STATE_COMMANDS]
        answers = self._rtorrent.multicall([*marks, *begin, *states, (INCARNATION, ())])
        saved_at = save_threads.now()
        mark, (*answers, incarnation) = answers[: len(marks)], answers[len(marks) :]
        self._reader.locate_session(incarnation)
        if mark == [""]:
            save_state(False)
            self._drop(intent)
            return WITHHELD
        result = self._reader.confirmed(intent.info_hash, start_result(answers[len(begin) :], answers[: len(begin)]))
        if result.failure is None:
            self._note_recent(intent.info_hash, now)
        if result.failure is None and not self._is_durable(intent, result, saved_at):
            has_run = not result.hash_checking
            self._pending[intent.info_hash] = PendingStart(intent, now, saved_at, self._session.incarnation, has_run)
            return result
        if result.failure is not None:
            save_state(False)
        self._complete(intent, result, saved_at)
        return result

    def _note_recent(self, info_hash: str, now: float) -> None:
        if len(self._recent) >= _RECENT_MAX:
            del self._recent[next(iter(self._recent))]
        self._recent[info_hash] = now

    def wait(self, now: float) -> float:
        """Seconds until `verify` is due."""
        due = [pending.due for pending in self._pending.values()]
        return max(0.0, min(*due, self._records.unsaved.due(), now + 1e9) - now)

    def verify(self, now: float) -> None:
        """Complete the pending starts, and have rTorrent save those that it could not save, as far as they are due."""
        due = [info_hash for info_hash, pending in self._pending.items() if pending.due <= now]
        for info_hash, result in zip(due, self._reader.results(due), strict=True):
            self._verify(self._pending[info_hash], result, now)
        self._save_again(self._records.unsaved.due_at(now), now)

    def _verify(self, pending: PendingStart, result: StartResult, now: float) -> None:
        intent = pending.intent
        if pending.incarnation != self._session.incarnation and not self._is_known():
            pending.not_before = now + _UNKNOWN_AGAIN
            return
        if result.failure is not None and pending.incarnation != self._session.incarnation:
            # It was restarted before it had saved the start: the queue decides about the item again.
            job_logger(intent.job).info("%s: rTorrent was restarted before it had saved the start", intent.info_hash)
            self._drop(intent)
            return
        if result.failure is not None and pending.has_run:
            result = StartResult(None)  # it ran, and was stopped since
        elif result.failure is None:
            pending.has_run |= not result.hash_checking
            timeout = _HASH_CHECK_SECONDS if result.hash_checking else SAVED_WITHIN
            if not self._is_durable(intent, result, pending.saved_at) and now < pending.begun + timeout:
                if pending.has_run and pending.readings >= _SAVE_AGAIN_FROM:
                    self._rtorrent.call("d.save_full_session", intent.info_hash)
                    pending.saved_at = save_threads.now()
                pending.readings += 1
                return
        del self._pending[intent.info_hash]
        self._complete(intent, result, pending.saved_at)

    def _is_durable(self, intent: StartIntent, result: StartResult, saved_at: float) -> bool:
        """Whether the start is over, and survives a kill of rTorrent as far as can be seen."""
        return not result.hash_checking and self._session.has_start(intent.info_hash, saved_at) is not False

    def _save_again(self, hashes: Sequence[str], now: float) -> None:
        """Have rTorrent save starts that were published as not durable."""
        if not hashes:
            return
        saves = [("d.save_full_session", (info_hash,)) for info_hash in hashes]
        *answers, incarnation = self._rtorrent.multicall([*saves, *item_calls(hashes), (INCARNATION, ())])
        saved_at = save_threads.now()
        self._reader.locate_session(incarnation)
        if self._is_known():
            self._records.unsaved.update(items_now(hashes, answers[len(saves) :]), self._session, saved_at, now)
        else:
            self._records.unsaved.postpone(hashes, now)

    def is_hash_checking(self, info_hash: str) -> bool:
        """Whether the item was started and, as last read, is not active yet because rTorrent checks its data."""
        pending = self._pending.get(info_hash)
        return info_hash in self._records.hash_checking or (pending is not None and not pending.has_run)

    def keep_running(self, info_hash: str, at: float) -> None:
        """An item that runs counts as started by its owner: no queue closes it."""
        with self._store.transaction():
            self.started_items.add(info_hash, BY_HAND, at)

    def unfinished(self) -> set[str]:
        """The items whose start is not complete: rTorrent checks their data, or has not saved the start."""
        return {*self._pending, *self._records.hash_checking}

    def hash_checking(self) -> list[str]:
        """The items that were started and are not active yet because rTorrent checks their data; read now."""
        hashes = [*self._pending, *self._records.hash_checking]
        still: list[str] = []
        for info_hash, result in zip(hashes, self._reader.results(hashes), strict=True):
            still += [info_hash] if result.hash_checking else []
            checking = self._records.hash_checking
            if not result.hash_checking and self._is_known() and (intent := checking.pop(info_hash, None)):
                self._end_hash_check(intent, result)
        return still

    def new_items(self, limit: int) -> list[str]:
        """The items that the watcher loads now; none if there are more than `limit`."""
        return self._open_loads.up_to(limit)

    def has_open_intents(self) -> bool:
        """Whether `recover` has something to do."""
        return any(intent.info_hash not in self._pending for intent in self._records.intents())

    def recover(self, now: float) -> None:
        """Complete starts that were cut off by the end of this process or of the connection."""
        intents = [intent for intent in self._records.intents() if intent.info_hash not in self._pending]
        results = self._reader.results([intent.info_hash for intent in intents])
        if intents and not self._is_known():
            raise SessionNotKnown("these starts belong to the known rTorrent")
        for intent, result in zip(intents, results, strict=True):
            if result.failure is not None:
                # rTorrent never executed or saved the start: the queue decides about the item again.
                self._drop(intent)
            elif result.hash_checking or self._is_durable(intent, result, save_threads.now()):
                self._complete(intent, result, save_threads.now())
            else:
                self._rtorrent.call("d.save_full_session", intent.info_hash)
                at, saved_in = save_threads.now(), self._session.incarnation
                self._pending[intent.info_hash] = PendingStart(intent, now, at, saved_in, has_run=True)

    def item(self, info_hash: str) -> tuple[str, float, bool]:
        """Name, load time, and whether it is active. Raises RTorrentFault if there is no such item."""
        name = self._rtorrent.text(info_hash, "d.name=").text
        stamped, loaded, active = self._rtorrent.multicall([*load_times(info_hash), ("d.is_active", (info_hash,))])
        if isinstance(loaded, RTorrentFault):
            raise loaded
        return name, load_time(stamped, loaded), active == 1

    def _end_hash_check(self, intent: StartIntent, result: StartResult) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM checked_items WHERE info_hash = ?", (intent.info_hash,))
            if result.failure == "rejected":
                self._complete(intent, result, save_threads.now())

    def clock_was_set(self, seconds: float) -> None:
        """Items that did not start are tried again after the same time as before."""
        self._records.clock_was_set(seconds)

    def is_known_now(self) -> bool:
        """Whether the rTorrent that answers now is the known one. Raises RTorrentError."""
        return self._gate is None or self._gate.is_known(self._rtorrent.identity().incarnation)

    def _is_known(self) -> bool:
        """Whether the rTorrent that answered last is the known one."""
        return self._gate is None or self._gate.is_known(self._session.incarnation)

    def _complete(self, intent: StartIntent, result: StartResult, saved_at: float) -> None:
        """The start is over, or its hash check continues: publish it."""
        if result.stuck:
            self._release(intent.info_hash)
        self._records.complete(intent, result, self._session, saved_at)

    def _release(self, info_hash: str) -> None:
        """Close an item that is stuck, like one whose data could not be checked: then it can be started again."""
        with suppress(RTorrentError):
            self._rtorrent.multicall([("d.close", (info_hash,)), ("d.hashing_failed.set", (info_hash, 1))])

    def _drop(self, intent: StartIntent) -> None:
        self._pending.pop(intent.info_hash, None)
        self._records.delete_intent(intent)
