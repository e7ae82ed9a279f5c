"""One-off clients of the bus: send a request to a service, or follow its events without being a service."""

import os
import resource
import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from heapq import merge
from typing import get_args

import msgspec
import zmq

from pyrotorque import requests
from pyrotorque.bus import wire
from pyrotorque.bus.stats import BusStats
from pyrotorque.bus.subscriber import MemoryCursors, Subscriber
from pyrotorque.errors import ServiceUnreachable
from pyrotorque.events import Delivery, Durable, decode
from pyrotorque.layout import Layout
from pyrotorque.limits import REQUEST_BYTES
from pyrotorque.outbox import Cursor, stored_events
from pyrotorque.requests import Answer, Request

_CONNECT_WITHIN = 1.0
_READ_WITHIN_MS = 100


class ServiceEnded(ServiceUnreachable):
    """The service ended, or was restarted, while it had the request."""


def ask(layout: Layout, service: str, request: Request, timeout: float = 5.0) -> Answer:
    """Send `request` to `service` and return its answer.

    Raises ServiceUnreachable when it does not run, or did not answer in time (the request may still be carried out), or
    at once ServiceEnded, when it ends before it answers.
    """
    with wire.open_context() as context, wire.socket(context, zmq.DEALER, received=1) as dealer:
        dealer.setsockopt(zmq.IMMEDIATE, 1)
        dealer.connect(layout.requests_endpoint(service))
        if not dealer.poll(int(min(timeout, _CONNECT_WITHIN) * 1000), zmq.POLLOUT):
            raise ServiceUnreachable(f"{service} is unreachable: is it running? (pyrotorque status)")
        with _connection_monitor(dealer) as monitor:
            if not wire.send(dealer, [wire.REQUEST, b"1", requests.encode(request)], REQUEST_BYTES):
                raise ServiceUnreachable(f"{service} is unreachable: the request is too large, or it has just exited")
            _wait_for_answer(service, dealer, monitor, timeout)
        try:
            frames = next(wire.drain(dealer), [])
            return requests.decode_answer(frames[-1] if frames else b"")
        except msgspec.DecodeError as error:
            raise ServiceUnreachable(
                f"cannot decode the answer of {service}: {error}; are both of the same version?"
            ) from error


@contextmanager
def _connection_monitor(dealer: wire.Socket) -> Generator[wire.Socket]:
    """Becomes readable when the connection ends: the process that has the request is gone then."""
    monitor = dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    try:
        yield monitor
    finally:
        dealer.disable_monitor()
        monitor.close(0)


def _wait_for_answer(service: str, dealer: wire.Socket, monitor: wire.Socket, timeout: float) -> None:
    poller = zmq.Poller()
    poller.register(dealer, zmq.POLLIN)
    poller.register(monitor, zmq.POLLIN)
    ready = dict(poller.poll(int(timeout * 1000)))
    # What the service sent before it ended has arrived, and may be read a moment later.
    if dealer in ready or (monitor in ready and dealer.poll(_READ_WITHIN_MS, zmq.POLLIN)):
        return
    if monitor in ready:
        raise ServiceEnded(
            f"{service} ended before it answered, so it is not known what was done",
            hint="`pyrotorque events --since 5m` shows what was",
        )
    raise ServiceUnreachable(
        f"{service} did not answer within {timeout:g} s: it is busy or hangs",
        hint="`pyrotorque status` shows what it is doing",
    )


def require_sockets() -> None:
    """Raise MemoryError where this process has not enough memory for a socket: libzmq would abort it without a word.

    It is tried in a copy of this process, which must have one thread.
    """
    copy = os.fork()
    if copy == 0:
        with suppress(BaseException):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            # libzmq's own message says less than what is raised here.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            with wire.open_context() as context, wire.socket(context, zmq.DEALER):
                os._exit(0)
        os._exit(1)
    _, status = os.waitpid(copy, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT:
        raise MemoryError


def follow(
    layout: Layout,
    services: Sequence[str],
    since: float = 0.0,
    *,
    newest: int | None = None,
    forever: bool = True,
    poll: float = 1.0,
) -> Generator[Delivery | None]:
    """The durable events of `services` since `since`: those in their files ordered by time (of these, the `newest` so
    many), then, `forever`, new ones.

    Without new events it yields None every `poll` seconds. The services need not run.
    """
    cursors: dict[str, Cursor] = {}
    bodies = [_decoded(stored_events(layout.database(service), since)) for service in services]
    stored = _noted(merge(*bodies, key=lambda found: found.event.at), cursors)
    yield from stored if newest is None else deque(stored, maxlen=newest)
    if forever:
        yield from _new_events(layout, services, cursors, poll)


def _noted(deliveries: Iterable[Delivery], cursors: dict[str, Cursor]) -> Iterator[Delivery]:
    for delivery in deliveries:
        cursors[delivery.envelope.source] = Cursor(delivery.envelope.epoch, delivery.envelope.seq)
        yield delivery


def _new_events(
    layout: Layout, services: Sequence[str], cursors: dict[str, Cursor], poll: float
) -> Iterator[Delivery | None]:
    wanted = {service: get_args(Durable) for service in services}
    with wire.open_context() as context:
        subscriber = Subscriber(context, layout, wanted, MemoryCursors(cursors), BusStats(), from_newest=True)
        poller = zmq.Poller()
        for socket in subscriber.sockets:
            poller.register(socket, zmq.POLLIN)
        try:
            deadline = time.monotonic() + poll
            while True:
                received = subscriber.receive(dict(poller.poll(max(0, int((deadline - time.monotonic()) * 1000)))))
                yield from received.deliveries
                for follower in subscriber.followers.values():
                    follower.unapplied.clear()
                if time.monotonic() >= deadline:
                    yield None
                    deadline = time.monotonic() + poll
        finally:
            subscriber.close()


def _decoded(bodies: Iterator[bytes]) -> Iterator[Delivery]:
    for body in bodies:
        try:
            yield decode(body)
        except msgspec.DecodeError:
            continue  # written by another version
