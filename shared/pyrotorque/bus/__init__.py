"""How the services meet: each tells what happened, hears the others, and answers requests; nobody waits for anybody.

Brokerless, over unix sockets in the private run folder. A durable event is committed in its source's file first and
rung after; who follows a source keeps a cursor, notices what it missed and asks for it again: at least once on the
wire, exactly once in effect.
"""

import logging
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

import zmq

from pyrotorque.bus.client import ask, follow
from pyrotorque.bus.publisher import PendingRequest, Publisher
from pyrotorque.bus.stats import BusStats
from pyrotorque.bus.subscriber import Gap, Subscriber, Subscriptions
from pyrotorque.errors import StateError
from pyrotorque.events import Delivery, Live
from pyrotorque.layout import Layout
from pyrotorque.outbox import Cursor, CursorTable, Outbox
from pyrotorque.store import Connection

log = logging.getLogger(__name__)

__all__ = ["Bus", "BusStats", "Gap", "PendingRequest", "Wakeup", "ask", "follow"]

_SAVE_SKIPPED_AFTER = 500  # events that were not wanted before the cursor is moved past them


@dataclass
class Wakeup:
    """Why a wait ended: what was told or asked, which of the given fds are readable; all empty: time or `wake`."""

    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    requests: list[PendingRequest] = field(default_factory=list[PendingRequest])
    fds: set[int] = field(default_factory=set[int])
    gaps: list[Gap] = field(default_factory=list[Gap])

    def __bool__(self) -> bool:
        return bool(self.deliveries or self.requests or self.fds or self.gaps)


class Bus:
    """One service's place on the bus; it belongs to the loop's thread, only `wake` may be called from elsewhere."""

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
        self._context = zmq.Context[zmq.Socket[bytes]](io_threads=1)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._publisher = Publisher(self._context, self._layout, self._service, self._outbox, self.stats)
        self._subscriber = Subscriber(
            self._context, self._layout, self._wanted, self._cursors, self.stats, from_newest=self._from_newest
        )
        self._poller = zmq.Poller()
        for socket in (self._publisher.requests, *self._subscriber.sockets, self._wake):
            self._poller.register(socket, zmq.POLLIN)
        return self

    def subscribe(self, wanted: Subscriptions, cursors: CursorTable | None) -> None:
        """Subscribe to these instead; who asks us something meanwhile is not disturbed."""
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
        """Unbind; what was handed out and not applied will come again."""
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

    def publish(self) -> None:
        """Publish the durable events that were committed since the last ring."""
        self._publisher.publish()

    def publish_live(self, event: Live) -> None:
        """Publish an event that nobody replays."""
        self._publisher.publish_live(event)

    def wake(self) -> None:
        """End a wait at once, from any thread or signal handler."""
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def wait(self, timeout: float, *fds: int) -> Wakeup:
        """Wait until something is told or asked, one of `fds` is readable, somebody calls `wake`, or time is up.

        Replays are answered and asked for inside. What an earlier wait handed out counts as done or passed over.
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
        """A transaction for the effect of `delivery`, and the cursor with it: both or neither.

        Raises StateError when the file cannot be written, and for each later delivery of that source in the same batch:
        they all come again, in order.
        """
        cursors, envelope = self._cursors, delivery.envelope
        if cursors is None or cursors.store.db.in_transaction:
            raise RuntimeError("Bus.applying needs cursors, and a transaction of its own")
        follower, mark = self._subscriber.followers[envelope.source], Cursor(envelope.epoch, envelope.seq)
        if envelope.seq and mark not in follower.unapplied:
            raise StateError(
                f"event {mark.seq} of {envelope.source} is out of turn: one before it could not be applied"
            )
        try:
            with cursors.store.transaction() as db:
                yield db
                if envelope.seq:
                    cursors.advance(envelope.source, mark.epoch, mark.seq)
        except BaseException:
            if envelope.seq:
                follower.rewind(follower.saved)
            raise
        if envelope.seq:
            follower.applied(mark)

    def _wait_until(self, deadline: float, fds: tuple[int, ...]) -> Wakeup:
        while True:
            left = min(deadline - time.monotonic(), self._subscriber.retry_within())
            ready = dict(self._poller.poll(max(0, ceil(left * 1000))))
            woken = self._take(ready, fds)
            if self._wake in ready:
                os.eventfd_read(self._wake)
                return woken
            if woken or time.monotonic() >= deadline:
                return woken

    def _take(self, ready: dict[object, int], fds: tuple[int, ...]) -> Wakeup:
        heard = self._subscriber.receive(ready)
        asked = list(self._publisher.answer()) if self._publisher.requests in ready else []
        return Wakeup(heard.deliveries, asked, {fd for fd in fds if fd in ready}, heard.gaps)

    def _save_skipped(self, after: int) -> None:
        """Move cursors past what nobody here wants, so that it need not be replayed, or be trimmed under us."""
        for source, follower in self._subscriber.followers.items():
            follower.unapplied.clear()
            here, saved = follower.position, follower.saved
            if self._cursors is None or here == saved or (here.epoch == saved.epoch and here.seq - saved.seq < after):
                continue
            try:
                with self._cursors.store.transaction():
                    self._cursors.advance(source, here.epoch, here.seq)
            except StateError as error:
                # They come again after a restart, and are passed over again; no reason to stop anything.
                log.debug("the cursor of %s stays behind: %s", source, error)
            else:
                follower.saved = here
