"""Frames of replays and requests, and the setup of sockets.

ROUTER (`Layout.requests_endpoint`), frames after the identity: kind, number, then

- `replay`, number, `ReplayRequest` JSON → `replay`, number, `ReplayReply` JSON, up to 500 bodies, oldest first;
- `ask`, number, request JSON (`pyrotorque.requests`) → `ask`, number, answer JSON.

The number is chosen by the client, in ASCII digits, and is returned unchanged.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec
import zmq

from pyrotorque.errors import LayoutError
from pyrotorque.limits import FRAME_BYTES, MESSAGE_BYTES, MESSAGE_FRAMES, QUEUED_MESSAGES
from pyrotorque.text import printable

Socket: TypeAlias = "zmq.Socket[bytes]"
Context: TypeAlias = "zmq.Context[Socket]"

REPLAY: Final = b"replay"
REQUEST: Final = b"ask"
_THREADS: Final = 2  # those of a context: one that reads and writes, one that closes sockets
_DRAIN: Final = 500  # messages read from one socket before the next one has its turn


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Requests the events after `seq` of `epoch`; an empty epoch means from the oldest stored event."""

    epoch: str
    seq: int


class ReplayReply(msgspec.Struct, frozen=True, kw_only=True):
    """The bodies that follow end at (epoch, seq); `gap`: why requested events are gone; continue from there."""

    epoch: str
    seq: int
    gap: str = ""


class Tag(msgspec.Struct, frozen=True):
    """The type of an event, for its topic."""

    type: str


def open_context() -> Context:
    """A ZeroMQ context. Raises RuntimeError if no threads can be started: libzmq would abort the process later."""
    ended = threading.Event()
    try:
        for _ in range(_THREADS):
            threading.Thread(target=ended.wait, daemon=True).start()
    finally:
        ended.set()
    return zmq.Context(io_threads=1)


def socket(
    context: Context,
    kind: int,
    queued: int = QUEUED_MESSAGES,
    *,
    received: int = QUEUED_MESSAGES,
    frame: int = FRAME_BYTES,
) -> Socket:
    """A socket that never blocks, never delays the exit of the process, and accepts no frames larger than `frame`.

    For each peer that does not read, it keeps `queued` messages; of each peer, `received` that were not read yet.
    """
    made = context.socket(kind)
    made.setsockopt(zmq.LINGER, 0)
    made.setsockopt(zmq.SNDHWM, queued)
    made.setsockopt(zmq.RCVHWM, received)
    made.setsockopt(zmq.MAXMSGSIZE, frame)
    # By default ZeroMQ reconnects ten times a second while a peer is absent, which costs more than everything else.
    made.setsockopt(zmq.RECONNECT_IVL, 50)
    made.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
    return made


def bind(made: Socket, endpoint: str) -> None:
    """Bind to an `ipc://` endpoint. Raises LayoutError: its folder is full, or something else has its name."""
    try:
        made.bind(endpoint)
    except zmq.ZMQError as error:
        path = printable(endpoint.removeprefix("ipc://"))
        raise LayoutError(
            f"cannot create the socket {path}: {error.strerror}",
            hint="check that its folder is writable and not full, and remove what has this name, or set another "
            "run_dir in [TORQUE]",
        ) from error


def send(over: Socket, frames: list[bytes], limit: int = FRAME_BYTES) -> bool:
    """Send without waiting; False when the peer is absent, its queue is full, or a frame is larger than `limit`."""
    if max(map(len, frames)) > limit:
        return False
    try:
        over.send_multipart(frames, zmq.NOBLOCK)
    except zmq.ZMQError:
        return False
    return True


def drain(over: Socket) -> Iterator[list[bytes]]:
    """The messages that have arrived, at most 500; one that is too large has no frames."""
    with contextlib.suppress(zmq.Again):
        for _ in range(_DRAIN):
            yield _received(over)


def _received(over: Socket) -> list[bytes]:
    """Frame by frame, so that a message that is too large is never in memory twice. Raises zmq.Again without one."""
    frames = [over.recv(zmq.NOBLOCK)]
    size, too_large = len(frames[0]), False
    while over.getsockopt(zmq.RCVMORE):
        frame = over.recv(zmq.NOBLOCK)
        size += len(frame)
        too_large = too_large or size > MESSAGE_BYTES or len(frames) >= MESSAGE_FRAMES
        if too_large:
            frames.clear()
        else:
            frames.append(frame)
    return frames
