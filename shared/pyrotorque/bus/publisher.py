"""The publishing half of the bus: PUB for events, ROUTER for replays and requests."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import zmq

from pyrotorque import requests
from pyrotorque.bus import wire
from pyrotorque.bus.stats import BusStats
from pyrotorque.errors import StateError
from pyrotorque.events import ActionTaken, Durable, Envelope, Live, encode, topic
from pyrotorque.json_input import JsonDecoder
from pyrotorque.layout import Layout
from pyrotorque.limits import LIVE_BYTES, PUBLISHED_BYTES, QUEUED_ANSWERS, QUEUED_REQUESTS, REQUEST_BYTES
from pyrotorque.logs import owner_event, take_problems
from pyrotorque.outbox import Cursor, Outbox
from pyrotorque.request_base import ActionRequest
from pyrotorque.requests import Answer, Request
from pyrotorque.text import printable

log = logging.getLogger(__name__)

_TEXT_MAX = 2000  # characters of an answer, or of its target, in an event

_tag = JsonDecoder(wire.Tag)
_replay_request = JsonDecoder(wire.ReplayRequest)


@dataclass(frozen=True)
class PendingRequest:
    """A request that is not answered yet."""

    request: Request
    _reply: Callable[[bytes], bool]
    _record: Callable[[ActionRequest, Answer], None] | None = None

    def answer(self, answer: Answer) -> None:
        """Record an action as an event, and send the answer; the client may have disconnected meanwhile."""
        if self._record is not None and isinstance(self.request, ActionRequest) and self.request.by:
            self._record(self.request, answer)
        if not self._reply(requests.encode(answer)):
            self._reply(
                requests.encode(Answer(ok=answer.ok, text=f"{answer.text[:1000]} (the details are too large to send)"))
            )


class Publisher:
    """Binds the service's endpoints; the role lock must be held (a second process would take them over)."""

    def __init__(self, context: wire.Context, layout: Layout, service: str, outbox: Outbox, stats: BusStats) -> None:
        self._outbox = outbox
        self._stats = stats
        self._service = service
        self._published = outbox.refresh()
        self.store_event: Callable[[Durable], None] = outbox.commit
        """Stores the event of an action or a problem; a service that routes its own events to jobs replaces it."""
        self._events = wire.socket(context, zmq.PUB)
        self.requests = wire.socket(context, zmq.ROUTER, QUEUED_ANSWERS, received=QUEUED_REQUESTS, frame=REQUEST_BYTES)
        wire.bind(self._events, layout.events_endpoint(service))
        wire.bind(self.requests, layout.requests_endpoint(service))

    def publish(self) -> None:
        """Publish the durable events committed since the last call, and the problems that were logged since."""
        self._store_problems()
        head = self._outbox.refresh()
        while self._published < head:
            bodies = self._outbox.since(self._published)
            for body in bodies:
                # Subscribers that follow this service request a replay of what is missing.
                if len(body) > PUBLISHED_BYTES:
                    continue
                wire.send(self._events, [_tag.decode(body).type.encode("ascii"), body])
            self._published = self._published + len(bodies) if bodies else head
            self._stats.published += len(bodies)

    def publish_live(self, event: Live) -> None:
        envelope = Envelope(source=self._service, epoch=self._outbox.epoch)
        body = encode(event, envelope)
        if len(body) > LIVE_BYTES or not wire.send(self._events, [topic(event), body]):
            self._stats.drop("too large to tell", type(event).__name__)

    def receive(self) -> Iterator[PendingRequest]:
        """Serve the requested replays, and return the requests that the service answers."""
        for frames in wire.drain(self.requests):
            if len(frames) != 4:
                self._stats.drop("wrong frames", frames[1:2] or "too many")
                continue
            client, kind, number, body = frames
            try:
                if kind == wire.REPLAY:
                    self._replay([client, kind, number], _replay_request.decode(body))
                elif kind == wire.REQUEST:
                    reply = self._replier([client, kind, number])
                    yield PendingRequest(requests.decode_request(body), reply, self._record_action)
                else:
                    self._stats.drop("unknown kind", kind)
            except msgspec.DecodeError as error:
                self._stats.drop("bad request", error)
                if kind == wire.REQUEST:
                    text = f"this version of {self._service} does not support this request"
                    self._replier([client, kind, number])(requests.encode(Answer(ok=False, text=text)))

    def close(self) -> None:
        self._events.close()
        self.requests.close()

    def _replay(self, address: list[bytes], request: wire.ReplayRequest) -> None:
        replay = self._outbox.after(Cursor(request.epoch, request.seq))
        header = wire.ReplayReply(epoch=replay.reached.epoch, seq=replay.reached.seq, gap=replay.gap)
        wire.send(self.requests, [*address, msgspec.json.encode(header), *replay.bodies])
        self._stats.replays_served += 1

    def _record_action(self, request: ActionRequest, answer: Answer) -> None:
        """Who did what, and the outcome. Without a writable state the action is in the log only."""
        target, text = printable(request.target)[:_TEXT_MAX], printable(answer.text)[:_TEXT_MAX]
        by = printable(request.by)
        outcome = "" if answer.ok else "refused: "
        owner_event("action", f"{by}: {request.action} {target}: {outcome}{text}")
        event = ActionTaken(at=time.time(), by=by, action=request.action, target=target, ok=answer.ok, text=text)
        try:
            self.store_event(event)
        except StateError as error:
            log.warning("no event for %s %s by %s: %s", request.action, target, by, error)

    def _store_problems(self) -> None:
        """Without a writable state they are in the log only."""
        if self._outbox.is_in_transaction:
            return
        for event in take_problems():
            try:
                self.store_event(event)
            except StateError as error:
                log.warning("no event for %s: %s", event.problem, error)

    def _replier(self, address: list[bytes]) -> Callable[[bytes], bool]:
        return lambda body: not self.requests.closed and wire.send(self.requests, [*address, body])
