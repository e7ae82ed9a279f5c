"""Stores the result of each start: intent, event, decision, counts and log line, in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pyrotorque.events import StartFailed, TorrentStarted
from pyrotorque.logs import job_logger, owner_event
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.session import Session
from pyrotorque.store import Store
from pyrotorque.text import printable
from pyrotorque_scheduler.event_router import EventRouter
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.model import Failure
from pyrotorque_scheduler.queue.start_result import StartIntent, StartResult, next_failure
from pyrotorque_scheduler.queue.started_items import StartedItems
from pyrotorque_scheduler.queue.unsaved_starts import UnsavedStarts
from pyrotorque_scheduler.state import DecisionHistory, DecisionRecord


class StartRecords:
    """The tables of starts.

    `failures` are the items that did not start, `hash_checking` those that were published as started while rTorrent
    checks their data; both by info-hash.
    """

    def __init__(
        self,
        store: Store,
        rtorrent: RTorrent,
        router: EventRouter,
        history: DecisionHistory,
        metrics: SchedulerMetrics,
        is_known: Callable[[], bool],
    ) -> None:
        self._store = store
        self._router = router
        self._history = history
        self._metrics = metrics
        self.started_items = StartedItems(store, rtorrent, is_known)
        self.unsaved = UnsavedStarts(store)
        rows = store.db.execute("SELECT info_hash, job, name, loaded, at FROM checked_items")
        self.hash_checking = {row[0]: StartIntent(*row) for row in rows}
        self.failures: dict[str, Failure] = {}

    def add_intent(self, intent: StartIntent, save_state: Callable[[bool], None]) -> None:
        """Store that the item is about to be started; `save_state(True)` joins the transaction."""
        with self._store.transaction() as db:
            row = (intent.info_hash, intent.job, printable(intent.name), intent.loaded, intent.at)
            db.execute("INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?, ?)", row)
            save_state(True)

    def intents(self) -> Sequence[StartIntent]:
        """The starts that are not complete."""
        rows = self._store.db.execute("SELECT info_hash, job, name, loaded, at FROM intents").fetchall()
        return [StartIntent(*row) for row in rows]

    def delete_intent(self, intent: StartIntent) -> None:
        with self._store.transaction() as db:
            db.execute("DELETE FROM intents WHERE info_hash = ?", (intent.info_hash,))

    def clock_was_set(self, seconds: float) -> None:
        """Items that did not start are tried again after the same time as before."""
        for info_hash, failure in self.failures.items():
            self.failures[info_hash] = replace(failure, until=failure.until + seconds)

    def complete(self, intent: StartIntent, result: StartResult, session: Session, saved_at: float) -> None:
        """Delete the intent and store event and decision in one transaction, then log.

        `saved_at` is after the last request to save the start (`save_threads.now()`).
        """
        job, at, info_hash = intent.job, intent.at, intent.info_hash
        name, reason = printable(intent.name), printable(result.reason)
        waited = max(0.0, at - intent.loaded) if intent.loaded > 0 else None
        event: TorrentStarted | StartFailed
        durable = session.has_start(info_hash, saved_at)
        is_repeated = result.failure is None and self.unsaved.has(info_hash, intent.loaded, session)
        if result.failure is None:
            event = TorrentStarted(at=at, job=job, info_hash=info_hash, name=name, waited=waited, durable=durable)
            verdict, text = "started", "started"
        else:
            event = StartFailed(at=at, job=job, info_hash=info_hash, name=name, kind=result.failure, reason=reason)
            verdict, text = "failed", reason
        with self._store.transaction() as db:
            self.delete_intent(intent)
            if result.hash_checking:
                row = (info_hash, job, name, intent.loaded, at)
                db.execute("INSERT OR REPLACE INTO checked_items VALUES (?, ?, ?, ?, ?)", row)
                self.hash_checking[info_hash] = intent
            if not is_repeated:
                self._router.add(event)
                self._count(event)
            if result.failure is None and durable is False:
                self.unsaved.add(info_hash, at, intent.loaded, session)
            elif result.failure is None:
                self.unsaved.delete(info_hash)
            if result.failure is None:
                self.started_items.add(info_hash, job, at)
            record = DecisionRecord(at=at, job=job, verdict=verdict, text=text, info_hash=info_hash, name=name)
            self._history.record(record)
        if is_repeated:
            self.failures.pop(info_hash, None)
            job_logger(job).info("started %s (%s) again: rTorrent had lost the start", name, info_hash)
        elif result.failure is None:
            self.failures.pop(info_hash, None)
            job_logger(job).info("started %s (%s)", name, info_hash)
            owner_event("item started", f"{job}: started {name} ({info_hash})")
        else:
            self.failures[info_hash] = next_failure(self.failures.get(info_hash), reason, at)
            job_logger(job).error("could not start %s (%s): %s", name, info_hash, reason)
            owner_event("item start failed", f"{job}: could not start {name} ({info_hash}): {reason}")

    def _count(self, event: TorrentStarted | StartFailed) -> None:
        """In the event's transaction, so that the totals equal the events."""
        if isinstance(event, TorrentStarted):
            self._metrics.started(event.job, event.at, event.waited)
        else:
            self._metrics.start_failures.inc(event.job, event.kind)
