"""Sends and receives heartbeats over separate sockets, so that a busy or hung loop does not stop them."""

import msgspec
import zmq

from pyrotorque.bus import wire
from pyrotorque.events import Envelope, Heartbeat, decode, encode, topic
from pyrotorque.layout import Layout


class HeartbeatPublisher:
    """Publishes the heartbeats of one service; belongs to the thread that opened it."""

    def __init__(self, layout: Layout, service: str) -> None:
        self._service = service
        self.context: wire.Context = wire.open_context()
        self._socket = wire.socket(self.context, zmq.PUB)
        wire.bind(self._socket, layout.heartbeat_endpoint(service))

    def publish(self, heartbeat: Heartbeat) -> None:
        wire.send(
            self._socket, [topic(heartbeat), encode(heartbeat, Envelope(source=self._service, epoch=heartbeat.epoch))]
        )

    def close(self) -> None:
        self._socket.close()
        self.context.term()


class HeartbeatSubscriber:
    """Receives the heartbeats of one service; belongs to the thread that opened it.

    Each ZeroMQ context has two threads: with `context` that of a `HeartbeatPublisher` is used.
    """

    def __init__(self, layout: Layout, service: str, context: "wire.Context | None" = None) -> None:
        self._own: wire.Context | None = None
        if context is None:
            context = self._own = wire.open_context()
        self._socket = wire.socket(context, zmq.SUB)
        self._socket.setsockopt(zmq.SUBSCRIBE, Heartbeat.__name__.encode("ascii"))
        self._socket.connect(layout.heartbeat_endpoint(service))

    def receive(self) -> list[Heartbeat]:
        """The heartbeats since the last call."""
        found: list[Heartbeat] = []
        for frames in wire.drain(self._socket):
            try:
                event = decode(frames[-1] if frames else b"").event
            except msgspec.DecodeError:
                continue
            if isinstance(event, Heartbeat):
                found.append(event)
        return found

    def close(self) -> None:
        self._socket.close()
        if self._own is not None:
            self._own.term()
