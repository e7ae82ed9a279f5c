"""Stores each event in the outbox and, in the same transaction, for the jobs that run `on` it."""

import time
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from pyrotorque.events import Durable, Event, JobFailed, JobRecovered, JobReported, TorrentMoved, UniqueEvent
from pyrotorque.outbox import Outbox
from pyrotorque.store import Store

Routes: TypeAlias = Mapping[str, tuple[str, ...]]

_REMEMBERED: Final = 30 * 86_400.0

_encoder = msgspec.json.Encoder()


class EventRouter:
    """`routes` maps each type of event to the jobs that run on it."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self.routes: Routes = {}
        self._store = store
        self._outbox = outbox

    def add(self, event: Durable, *, for_jobs: bool = True) -> None:
        """Store an event of the scheduler; joins the caller's transaction."""
        self._outbox.add(event)
        if for_jobs:
            self._keep_for_jobs(event)

    def commit(self, event: Durable) -> None:
        """As `add`, in a transaction of its own. Raises StateError."""
        with self._store.transaction():
            self.add(event)

    def add_once(self, identity: str, event: UniqueEvent) -> bool:
        """Store an event once for each `identity`: a job that was killed sends it again. Returns whether it is new."""
        if isinstance(event, TorrentMoved):
            key = f"{event.job} {event.info_hash} {identity}"
        else:
            key = f"{type(event).__name__} {identity}"
        self._store.db.execute("DELETE FROM published_moves WHERE at < ?", (time.time() - _REMEMBERED,))
        new = self._store.db.execute("INSERT OR IGNORE INTO published_moves VALUES (?, ?)", (key, time.time()))
        if new.rowcount:
            self.add(event)
        return bool(new.rowcount)

    def _keep_for_jobs(self, event: Event) -> None:
        # A job that ran on its own events would run without end.
        own = event.job if isinstance(event, JobFailed | JobRecovered | JobReported | UniqueEvent) else None
        add_runs(self._store, event, [job for job in self.routes.get(type(event).__name__, ()) if job != own])


def add_runs(store: Store, event: Event, jobs: Sequence[str]) -> None:
    """Store an event for the jobs that run on it; joins the caller's transaction.

    Their rows have a common number, by which one run waits for another.
    """
    if jobs:
        (number,) = store.db.execute("SELECT coalesce(max(number), 0) + 1 FROM event_runs").fetchone()
        body = _encoder.encode(event)
        rows = [(job, body, number) for job in jobs]
        store.db.executemany("INSERT INTO event_runs (job, body, event) VALUES (?, ?, ?)", rows)
