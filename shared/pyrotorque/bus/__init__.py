"""Connects the services: each publishes events, subscribes to those of others, and answers requests; none blocks.

Brokerless, over unix sockets in the private run folder. A durable event is committed to the outbox of its source
before it is published; a subscriber keeps a cursor for each source, detects gaps and requests a replay: at-least-once
delivery, exactly-once effect.
"""

import logging
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

import zmq

from pyrotorque.bus import wire
from pyrotorque.bus.client import ask, follow
from pyrotorque.bus.publisher import PendingRequest, Publisher
from pyrotorque.bus.stats import BusStats
from pyrotorque.bus.subscriber import Gap, Subscriber, Subscriptions
from pyrotorque.errors import StateError
from pyrotorque.events import Delivery, Durable, Live
from pyrotorque.layout import Layout
from pyrotorque.outbox import Cursor, CursorTable, Outbox
from pyrotorque.store import Connection

log = logging.getLogger(__name__)

__all__ = ["Bus", "BusStats", "Gap", "PendingRequest", "Wakeup", "ask", "follow"]

_SAVE_SKIPPED_AFTER = 500  # events without a subscription before the cursor is moved past them


@dataclass
class Wakeup:
    """Why a wait ended: events, requests, readable fds, gaps; all empty after a timeout or `wake`."""

    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    requests: list[PendingRequest] = field(default_factory=list[PendingRequest])
    fds: set[int] = field(default_factory=set[int])
    gaps: list[Gap] = field(default_factory=list[Gap])

    def __bool__(self) -> bool:
        return bool(self.deliveries or self.requests or self.fds or self.gaps)


class Bus:
    """One service's connection to the bus; it belongs to the loop's thread, only `wake` may be called from others."""

    def __init__(
        self, layout: Layout, service: str, outbox: Outbox, *, subscribe: Subscriptions | None = None,
        cursors: CursorTable | None = None, from_newest: bool = False,
    ) -> None:  # fmt: skip
        self._layout = layout
        self._service = service
        self._outbox = outbox
        self._wanted = subscribe or {}
        self._cursors = cursors
        self._from_newest = from_newest
        self.stats = BusStats()

    def open(self) -> "Bus":
        """Bind and connect. The lock of the role must be held."""
        self._context = wire.open_context()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._publisher = Publisher(self._context, self._layout, self._service, self._outbox, self.stats)
        self._subscriber = Subscriber(
            self._context, self._layout, self._wanted, self._cursors, self.stats, from_newest=self._from_newest
        )
        self._poller = zmq.Poller()
        for socket in (self._publisher.requests, *self._subscriber.sockets, self._wake):
            self._poller.register(socket, zmq.POLLIN)
        return self

    def subscribe(self, wanted: Subscriptions, cursors: CursorTable | None, *, from_newest: bool | None = None) -> None:
        """Replace the subscriptions; requests to this service are not interrupted.

        With `from_newest`, a source without a cursor is followed from its newest event on.
        """
        self._from_newest = self._from_newest if from_newest is None else from_newest
        if (wanted, cursors) == (self._wanted, self._cursors):
            return
        self._save_skipped(0)
        for socket in self._subscriber.sockets:
            self._poller.unregister(socket)
        self._subscriber.close()
        self._wanted, self._cursors = wanted, cursors
        self._subscriber = Subscriber(
            self._context, self._layout, wanted, cursors, self.stats, from_newest=self._from_newest
        )
        for socket in self._subscriber.sockets:
            self._poller.register(socket, zmq.POLLIN)

    def close(self) -> None:
        """Unbind; events that were handed out and not applied are delivered again after a restart."""
        self._save_skipped(0)
        self._publisher.close()
        self._subscriber.close()
        self._context.term()
        wake, self._wake = self._wake, -1
        os.close(wake)

    def __enter__(self) -> "Bus":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def store_actions(self, store: Callable[[Durable], None]) -> None:
        """Store the events of answered actions and problems with `store`, which may raise StateError."""
        self._publisher.store_event = store

    def publish(self) -> None:
        """Publish the durable events that were committed since the last call."""
        self._publisher.publish()

    def publish_live(self, event: Live) -> None:
        """Publish an event that is not stored and never replayed."""
        self._publisher.publish_live(event)

    def wake(self) -> None:
        """End `wait` at once; may be called from any thread or signal handler."""
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def wait(self, timeout: float, *fds: int) -> Wakeup:
        """Wait for an event, a request, a readable fd of `fds`, a call of `wake`, or the timeout.

        Replays are served and requested inside. Events of an earlier wait count as applied or skipped.
        """
        self.publish()
        self._save_skipped(_SAVE_SKIPPED_AFTER)
        for fd in fds:
            self._poller.register(fd, zmq.POLLIN)
        try:
            return self._wait_until(time.monotonic() + timeout, fds)
        finally:
            for fd in fds:
                self._poller.unregister(fd)

    @contextmanager
    def applying(self, delivery: Delivery) -> Generator[Connection]:
        """A transaction for the effect of `delivery` that also advances the cursor: both or neither.

        Raises StateError when the file cannot be written, and then for each later delivery of that source in the same
        batch: they are delivered again, in order.
        """
        cursors, envelope = self._cursors, delivery.envelope
        if cursors is None or cursors.store.db.in_transaction:
            raise RuntimeError("Bus.applying needs cursors, and a new transaction")
        follower, cursor = self._subscriber.followers[envelope.source], Cursor(envelope.epoch, envelope.seq)
        if envelope.seq and cursor not in follower.unapplied:
            raise StateError(
                f"event {cursor.seq} of {envelope.source} is not applied: an earlier one failed, both come again"
            )
        try:
            with cursors.store.transaction() as db:
                yield db
                if envelope.seq:
                    cursors.advance(envelope.source, cursor.epoch, cursor.seq)
        except BaseException:
            if envelope.seq:
                follower.rewind(follower.saved)
            raise
        if envelope.seq:
            follower.applied(cursor)

    def _wait_until(self, deadline: float, fds: tuple[int, ...]) -> Wakeup:
        while True:
            left = min(deadline - time.monotonic(), self._subscriber.retry_within())
            ready = dict(self._poller.poll(max(0, ceil(left * 1000))))
            wakeup = self._take(ready, fds)
            if self._wake in ready:
                os.eventfd_read(self._wake)
                return wakeup
            if wakeup or time.monotonic() >= deadline:
                return wakeup

    def _take(self, ready: dict[object, int], fds: tuple[int, ...]) -> Wakeup:
        received = self._subscriber.receive(ready)
        requests = list(self._publisher.receive()) if self._publisher.requests in ready else []
        return Wakeup(received.deliveries, requests, {fd for fd in fds if fd in ready}, received.gaps)

    def _save_skipped(self, after: int) -> None:
        """Move cursors past events without a subscription: they need no replay, and trimming them is no gap."""
        for source, follower in self._subscriber.followers.items():
            follower.unapplied.clear()
            reached, saved = follower.position, follower.saved
            near = reached.epoch == saved.epoch and reached.seq - saved.seq < after
            if self._cursors is None or reached == saved or near:
                continue
            try:
                with self._cursors.store.transaction():
                    self._cursors.advance(source, reached.epoch, reached.seq)
            except StateError as error:
                # After a restart they are replayed and skipped again: no reason to stop.
                log.debug("cannot save the cursor of %s: %s", source, error)
            else:
                follower.saved = reached
