"""Tells events to the others, and keeps them for the jobs that run `on` them, in one transaction."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from pyrotorque.events import Durable, Event
from pyrotorque.outbox import Outbox
from pyrotorque.store import Store

Routes: TypeAlias = Mapping[str, tuple[str, ...]]

_encoder = msgspec.json.Encoder()


class Teller:
    """`routes` says which jobs run on which type of event."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self.routes: Routes = {}
        self._store = store
        self._outbox = outbox

    def add(self, event: Durable) -> None:
        """Tell one of our own events, inside the caller's transaction."""
        self._outbox.add(event)
        self.keep(event)

    def keep(self, event: Event) -> None:
        """Remember an event for the jobs that run on it, inside the caller's transaction."""
        for job in self.routes.get(type(event).__name__, ()):
            self._store.db.execute("INSERT INTO event_runs (job, body) VALUES (?, ?)", (job, _encoder.encode(event)))
