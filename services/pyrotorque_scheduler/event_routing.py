"""Stores each event in the outbox and, in the same transaction, for the jobs that run `on` it."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from pyrotorque.events import Durable, Event, JobFailed, JobReported
from pyrotorque.outbox import Outbox
from pyrotorque.store import Store

Routes: TypeAlias = Mapping[str, tuple[str, ...]]

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

    def _keep_for_jobs(self, event: Event) -> None:
        for job in self.routes.get(type(event).__name__, ()):
            # A job that ran on its own events would run without end.
            if not (isinstance(event, JobFailed | JobReported) and event.job == job):
                self._store.db.execute("INSERT INTO event_runs (job, body) VALUES (?, ?)", (job, encode_event(event)))


def encode_event(event: Event) -> bytes:
    """An event as stored for its runs."""
    return _encoder.encode(event)
