"""The listening half of the bus: hears what others tell, keeps durable events in order, asks for what is missing."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

import msgspec
import zmq

from pyrotorque.bus import wire
from pyrotorque.bus.follower import Follower
from pyrotorque.bus.stats import BusStats
from pyrotorque.errors import StateError
from pyrotorque.events import Delivery, Durable, Envelope, Fact, Heartbeat, decode
from pyrotorque.layout import Layout
from pyrotorque.outbox import BEGINNING, Cursor

log = logging.getLogger(__name__)

Subscriptions = Mapping[str, Sequence[type[Fact]]]

_RETRY = 0.02
_DURABLE: tuple[type[Fact], ...] = get_args(Durable)
_envelope = msgspec.json.Decoder(Envelope)
_answered = msgspec.json.Decoder(wire.ReplayReply)


class CursorStorage(Protocol):
    """Where the listener keeps how far it is: `CursorTable` in a file, or memory."""

    def get(self, source: str) -> Cursor: ...
    def record_gap(self, source: str, resume: Cursor, reason: str) -> None: ...


@dataclass(frozen=True)
class Gap:
    """Events of `source` that can not be had any more."""

    source: str
    reason: str


@dataclass
class Received:
    """What one look at the sockets brought."""

    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    gaps: list[Gap] = field(default_factory=list[Gap])


class Subscriber:
    """Connects to all sources, there or not; with `cursors` it follows their durable events without a gap."""

    def __init__(
        self, context: wire.Context, layout: Layout, wanted: Subscriptions, cursors: CursorStorage | None,
        stats: BusStats, *, from_newest: bool = False,
    ) -> None:  # fmt: skip
        self._cursors = cursors
        self._stats = stats
        self._wanted = {source: tuple(types) for source, types in wanted.items()}
        self.followers: dict[str, Follower] = {}
        self._asks: dict[wire.Socket, Follower] = {}
        self._dealers: dict[str, wire.Socket] = {}
        self._heard = wire.socket(context, zmq.SUB)
        for name in self._topics():
            self._heard.setsockopt(zmq.SUBSCRIBE, name.encode("ascii"))
        for source, types in self._wanted.items():
            self._heard.connect(layout.events_endpoint(source))
            if cursors is not None or Heartbeat in types:
                self._heard.connect(layout.heartbeat_endpoint(source))
            if cursors is not None:
                self._follow(context, layout, source, cursors.get(source), from_newest)

    @property
    def sockets(self) -> list[wire.Socket]:
        return [self._heard, *self._asks]

    def receive(self, ready: Iterable[object]) -> Received:
        """Take what the `ready` sockets have, then ask for what turned out to be missing."""
        heard = Received()
        for socket in ready:
            if socket is self._heard:
                for frames in wire.drain(self._heard):
                    self._hear(frames, heard)
            elif isinstance(socket, zmq.Socket) and (follower := self._asks.get(socket)):
                for frames in wire.drain(socket):
                    self._replayed(follower, frames, heard)
        self._ask_for_missing()
        self._stats.delivered += len(heard.deliveries)
        return heard

    def retry_within(self) -> float:
        """How long to wait at most: short while a source that just (re)started cannot be asked yet."""
        now = time.monotonic()
        return _RETRY if any(follower.should_retry_soon(now) for follower in self.followers.values()) else float("inf")

    def close(self) -> None:
        for socket in self.sockets:
            socket.close()

    def _topics(self) -> set[str]:
        types: set[type[Fact]] = {kind for kinds in self._wanted.values() for kind in kinds}
        # A follower hears every durable event, wanted or not: only so can it tell a gap from what it does not want.
        if self._cursors is not None:
            types |= {*_DURABLE, Heartbeat}
        return {kind.__name__ for kind in types}

    def _follow(self, context: wire.Context, layout: Layout, source: str, saved: Cursor, from_newest: bool) -> None:
        follower = Follower(source, position=saved, saved=saved, from_newest=from_newest)
        dealer = wire.socket(context, zmq.DEALER)
        dealer.setsockopt(zmq.IMMEDIATE, 1)
        dealer.connect(layout.requests_endpoint(source))
        self.followers[source] = follower
        self._asks[dealer] = follower
        self._dealers[source] = dealer

    def _hear(self, frames: list[bytes], heard: Received) -> None:
        body = frames[-1]
        envelope = self._envelope_of(body)
        if envelope is None or envelope.source not in self._wanted:
            return
        follower = self.followers.get(envelope.source)
        mark = Cursor(envelope.epoch, envelope.seq)
        if follower is not None and envelope.seq and not follower.accept(mark):
            self._stats.duplicates += 1
            return
        delivery = self._delivery_of(body)
        if delivery is None:
            return
        if follower is not None and isinstance(delivery.event, Heartbeat):
            follower.note_head(Cursor(delivery.event.epoch, delivery.event.head))
        self._hand_out(delivery, follower, heard)

    def _hand_out(self, delivery: Delivery, follower: Follower | None, heard: Received) -> None:
        if isinstance(delivery.event, self._wanted[delivery.envelope.source]):
            heard.deliveries.append(delivery)
            if follower is not None and delivery.envelope.seq:
                follower.unapplied.append(Cursor(delivery.envelope.epoch, delivery.envelope.seq))

    def _replayed(self, follower: Follower, frames: list[bytes], heard: Received) -> None:
        try:
            number, answered = int(frames[1]), _answered.decode(frames[2])
        except (ValueError, IndexError, msgspec.DecodeError) as error:
            self._stats.drop("bad replay", error)
            return
        if not follower.is_current_reply(number):
            return
        reached = Cursor(answered.epoch, answered.seq)
        if answered.gap:
            self._skip_gap(follower, reached, answered.gap, heard)
            return
        for body in frames[3:]:
            if delivery := self._delivery_of(body):
                self._hand_out(delivery, follower, heard)
        follower.replayed(reached, len(frames) - 3)

    def _skip_gap(self, follower: Follower, resume: Cursor, reason: str, heard: Received) -> None:
        # What is handed out is not applied yet: its cursor would go back behind the gap. The next heartbeat asks again.
        if follower.unapplied or self._cursors is None:
            return
        try:
            self._cursors.record_gap(follower.source, resume, reason)
        except StateError as error:
            log.warning("a gap of %s cannot be recorded yet: %s", follower.source, error)
            return
        self._stats.gap(follower.source, reason)
        heard.gaps.append(Gap(follower.source, reason))
        follower.saved = resume
        follower.replayed(resume, 1)

    def _ask_for_missing(self) -> None:
        now = time.monotonic()
        for dealer, follower in self._asks.items():
            if follower.needs_replay(now):
                asked = wire.ReplayRequest(epoch=follower.position.epoch, seq=follower.position.seq)
                number = follower.begin_replay(now)
                if not wire.send(dealer, [wire.REPLAY, b"%d" % number, msgspec.json.encode(asked)]):
                    follower.replay_number = 0  # nobody there; its first heartbeat will remind us
                self._stats.replays_asked += 1

    def _envelope_of(self, body: bytes) -> Envelope | None:
        try:
            return _envelope.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._stats.drop("bad body", error)
            return None

    def _delivery_of(self, body: bytes) -> Delivery | None:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._stats.drop("unknown event", error)
            return None


class MemoryCursors:
    """CursorStorage that last as long as the listener, for a person who looks on."""

    def __init__(self, begin: Mapping[str, Cursor]) -> None:
        self._cursors = dict(begin)

    def get(self, source: str) -> Cursor:
        return self._cursors.get(source, BEGINNING)

    def record_gap(self, source: str, resume: Cursor, reason: str) -> None:
        self._cursors[source] = resume
