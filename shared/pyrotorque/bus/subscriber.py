"""The subscribing half of the bus: receives events, keeps durable ones in order, requests replays of missing ones."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, get_args

import msgspec
import zmq

from pyrotorque.bus import wire
from pyrotorque.bus.follower import Follower
from pyrotorque.bus.stats import BusStats
from pyrotorque.errors import StateError
from pyrotorque.events import Delivery, Durable, Envelope, Fact, Heartbeat, decode
from pyrotorque.json_input import JsonDecoder
from pyrotorque.layout import Layout
from pyrotorque.limits import QUEUED_ANSWERS
from pyrotorque.outbox import BEGINNING, Cursor

log = logging.getLogger(__name__)

Subscriptions = Mapping[str, Sequence[type[Fact]]]

_RETRY = 0.02
# Each service sends one heartbeat a second: reading those of all at once saves most wake-ups of an idle loop.
HEARTBEAT_DELAY = 2.0
_DURABLE: tuple[type[Fact], ...] = get_args(Durable)
_envelope = JsonDecoder(Envelope)
_replay_reply = JsonDecoder(wire.ReplayReply)


class CursorStorage(Protocol):
    """Where a subscriber keeps its cursors: `CursorTable` in a file, or memory."""

    def get(self, source: str) -> Cursor: ...
    def transaction(self) -> AbstractContextManager[object]: ...
    def record_gap(self, source: str, resume: Cursor, reason: str) -> None: ...


@dataclass(frozen=True)
class Gap:
    """Events of `source` that can no longer be replayed."""

    source: str
    reason: str


@dataclass
class Received:
    """The result of one read of the sockets."""

    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    gaps: list[Gap] = field(default_factory=list[Gap])


class Subscriber:
    """Connects to all sources, running or not; with `cursors` it receives their durable events without a gap."""

    def __init__(
        self, context: wire.Context, layout: Layout, wanted: Subscriptions, cursors: CursorStorage | None,
        stats: BusStats, *, from_newest: bool = False,
    ) -> None:  # fmt: skip
        self._cursors = cursors
        self._stats = stats
        self._wanted = {source: tuple(types) for source, types in wanted.items()}
        self.followers: dict[str, Follower] = {}
        self._followers_by_dealer: dict[wire.Socket, Follower] = {}
        self._dealers: dict[str, wire.Socket] = {}
        self._events = wire.socket(context, zmq.SUB)
        self._heartbeats = wire.socket(context, zmq.SUB)
        self._expects_heartbeats = False
        self._heartbeats.setsockopt(zmq.SUBSCRIBE, Heartbeat.__name__.encode("ascii"))
        for name in self._topics():
            self._events.setsockopt(zmq.SUBSCRIBE, name.encode("ascii"))
        for source, types in self._wanted.items():
            self._events.connect(layout.events_endpoint(source))
            if cursors is not None or Heartbeat in types:
                self._heartbeats.connect(layout.heartbeat_endpoint(source))
                self._expects_heartbeats = True
            if cursors is not None:
                self._follow(context, layout, source, cursors.get(source), from_newest)

    @property
    def sockets(self) -> list[wire.Socket]:
        """The sockets to poll; heartbeats are read along, at the latest after `HEARTBEAT_DELAY`."""
        return [self._events, *self._followers_by_dealer]

    def receive(self, ready: Iterable[object]) -> Received:
        """Read the `ready` sockets, then request replays of missing events."""
        received = Received()
        for socket in ready:
            if socket is self._events:
                for frames in wire.drain(self._events):
                    self._accept(frames, received)
            elif isinstance(socket, zmq.Socket) and (follower := self._followers_by_dealer.get(socket)):
                for frames in wire.drain(socket):
                    self._take_replay(follower, frames, received)
        for frames in wire.drain(self._heartbeats):
            self._accept(frames, received)
        self._request_replays()
        self._stats.delivered += len(received.deliveries)
        return received

    def retry_within(self) -> float:
        """Longest useful wait in seconds: short while a source that just started accepts no request yet."""
        now = time.monotonic()
        soon = any(follower.should_retry_soon(now) for follower in self.followers.values())
        return _RETRY if soon else HEARTBEAT_DELAY if self._expects_heartbeats else float("inf")

    def close(self) -> None:
        for socket in (*self.sockets, self._heartbeats):
            socket.close()

    def _topics(self) -> set[str]:
        types: set[type[Fact]] = {kind for kinds in self._wanted.values() for kind in kinds}
        # A follower receives every durable event, subscribed or not: otherwise a skipped event would look like a gap.
        if self._cursors is not None:
            types |= {*_DURABLE, Heartbeat}
        return {kind.__name__ for kind in types}

    def _follow(self, context: wire.Context, layout: Layout, source: str, saved: Cursor, from_newest: bool) -> None:
        follower = Follower(source, position=saved, saved=saved, from_newest=from_newest)
        dealer = wire.socket(context, zmq.DEALER, received=QUEUED_ANSWERS)
        dealer.setsockopt(zmq.IMMEDIATE, 1)
        dealer.connect(layout.requests_endpoint(source))
        self.followers[source] = follower
        self._followers_by_dealer[dealer] = follower
        self._dealers[source] = dealer

    def _accept(self, frames: list[bytes], received: Received) -> None:
        if not frames:
            self._stats.drop("wrong frames", "too many")
            return
        body = frames[-1]
        envelope = self._envelope_of(body)
        if envelope is None or envelope.source not in self._wanted:
            return
        follower = self.followers.get(envelope.source)
        cursor = Cursor(envelope.epoch, envelope.seq)
        if follower is not None and envelope.seq and not follower.accept(cursor):
            self._stats.duplicates += 1
            return
        delivery = self._delivery_of(body)
        if delivery is None:
            return
        if follower is not None and isinstance(delivery.event, Heartbeat):
            follower.note_head(Cursor(delivery.event.epoch, delivery.event.head))
        self._hand_out(delivery, follower, received)

    def _hand_out(self, delivery: Delivery, follower: Follower | None, received: Received) -> None:
        if isinstance(delivery.event, self._wanted[delivery.envelope.source]):
            received.deliveries.append(delivery)
            if follower is not None and delivery.envelope.seq:
                follower.unapplied.append(Cursor(delivery.envelope.epoch, delivery.envelope.seq))

    def _take_replay(self, follower: Follower, frames: list[bytes], received: Received) -> None:
        try:
            number, reply = int(frames[1]), _replay_reply.decode(frames[2])
        except (ValueError, IndexError) as error:
            self._stats.drop("bad replay", error)
            return
        if not follower.is_current_reply(number):
            return
        reached = Cursor(reply.epoch, reply.seq)
        if reply.gap:
            self._skip_gap(follower, reached, reply.gap, received)
            return
        for body in frames[3:]:
            if delivery := self._delivery_of(body):
                self._hand_out(delivery, follower, received)
        follower.replayed(reached, len(frames) - 3)

    def _skip_gap(self, follower: Follower, resume: Cursor, reason: str, received: Received) -> None:
        # Events not applied yet would move the cursor back before the gap. The next heartbeat requests again.
        if follower.unapplied or self._cursors is None:
            return
        try:
            with self._cursors.transaction():
                self._cursors.record_gap(follower.source, resume, reason)
                self._stats.count_gap(follower.source)
        except StateError as error:
            log.warning("cannot record a gap in the events of %s yet: %s", follower.source, error)
            return
        self._stats.gap(follower.source, reason)
        received.gaps.append(Gap(follower.source, reason))
        follower.saved = resume
        follower.replayed(resume, 1)

    def _request_replays(self) -> None:
        now = time.monotonic()
        for dealer, follower in self._followers_by_dealer.items():
            if follower.needs_replay(now):
                request = wire.ReplayRequest(epoch=follower.position.epoch, seq=follower.position.seq)
                number = follower.begin_replay(now)
                if not wire.send(dealer, [wire.REPLAY, b"%d" % number, msgspec.json.encode(request)]):
                    follower.replay_number = 0  # it does not run; its first heartbeat triggers another request
                self._stats.replays_requested += 1

    def _envelope_of(self, body: bytes) -> Envelope | None:
        try:
            return _envelope.decode(body)
        except msgspec.DecodeError as error:
            self._stats.drop("bad body", error)
            return None

    def _delivery_of(self, body: bytes) -> Delivery | None:
        try:
            return decode(body)
        except msgspec.DecodeError as error:
            self._stats.drop("unknown event", error)
            return None


class MemoryCursors:
    """Cursors that last as long as the subscriber."""

    def __init__(self, begin: Mapping[str, Cursor]) -> None:
        self._cursors = dict(begin)

    def get(self, source: str) -> Cursor:
        return self._cursors.get(source, BEGINNING)

    def transaction(self) -> AbstractContextManager[object]:
        return nullcontext()

    def record_gap(self, source: str, resume: Cursor, reason: str) -> None:
        self._cursors[source] = resume
