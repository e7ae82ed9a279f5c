"""Tells events to the others, and keeps them for the jobs that run `on` them, in one transaction."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from pyrotorque.events import Durable, Event, JobFailed, JobReported
from pyrotorque.outbox import Outbox
from pyrotorque.store import Store

Routes: TypeAlias = Mapping[str, tuple[str, ...]]

_encoder = msgspec.json.Encoder()


class EventRouter:
    """`routes` says which jobs run on which type of event."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self.routes: Routes = {}
        self._store = store
        self._outbox = outbox

    def add(self, event: Durable, *, for_jobs: bool = True) -> None:
        """Tell one of our own events, inside the caller's transaction."""
        self._outbox.add(event)
        if for_jobs:
            self.keep(event)

    def keep(self, event: Event) -> None:
        """Remember an event for the jobs that run on it, inside the caller's transaction."""
        for job in self.routes.get(type(event).__name__, ()):
            # A job that is run for what it said itself would never come to an end.
            if not (isinstance(event, JobFailed | JobReported) and event.job == job):
                self._store.db.execute("INSERT INTO event_runs (job, body) VALUES (?, ?)", (job, encode_event(event)))


def encode_event(event: Event) -> bytes:
    """An event as it waits for its runs."""
    return _encoder.encode(event)
