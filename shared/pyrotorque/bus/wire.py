"""What travels over the sockets beside events: replays and requests, and how a socket is set up.

ROUTER (`Layout.requests_endpoint`), frames after the identity: kind, number, then

- `replay`, number, `ReplayRequest` JSON → `replay`, number, `ReplayReply` JSON, up to 500 bodies, oldest first;
- `ask`, number, request JSON (`pyrotorque.requests`) → `ask`, number, answer JSON.

The number is the asker's own, in ASCII digits, and comes back unchanged.
"""

import contextlib
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec
import zmq

Socket: TypeAlias = "zmq.Socket[bytes]"
Context: TypeAlias = "zmq.Context[Socket]"

REPLAY: Final = b"replay"
REQUEST: Final = b"ask"
FRAME_MAX: Final = 1 << 20
_HWM: Final = 1000
_DRAIN: Final = 500  # messages of one socket at a time, so that no flood starves the others


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything after `seq` of `epoch`, please; an empty epoch means from the oldest you have."""

    epoch: str
    seq: int


class ReplayReply(msgspec.Struct, frozen=True, kw_only=True):
    """The bodies that follow end at (epoch, seq); with `gap`, what was asked for is gone; go on from there."""

    epoch: str
    seq: int
    gap: str = ""


class Tag(msgspec.Struct, frozen=True):
    """The type of an event, for its topic."""

    type: str


def socket(context: Context, kind: int) -> Socket:
    """A socket that never blocks, never keeps the process alive, and takes no large frames."""
    made = context.socket(kind)
    made.setsockopt(zmq.LINGER, 0)
    made.setsockopt(zmq.SNDHWM, _HWM)
    made.setsockopt(zmq.RCVHWM, _HWM)
    made.setsockopt(zmq.MAXMSGSIZE, FRAME_MAX)
    # An absent peer is looked for ten times a second by default, for ever; that would cost more than all the rest.
    made.setsockopt(zmq.RECONNECT_IVL, 50)
    made.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
    return made


def send(over: Socket, frames: list[bytes]) -> bool:
    """Send without waiting; False when the peer is away, its queue is full, or a frame is larger than anybody takes."""
    if max(map(len, frames)) > FRAME_MAX:
        return False
    try:
        over.send_multipart(frames, zmq.NOBLOCK)
    except zmq.ZMQError:
        return False
    return True


def drain(over: Socket) -> Iterator[list[bytes]]:
    """What has arrived, at most 500 messages."""
    with contextlib.suppress(zmq.Again):
        for _ in range(_DRAIN):
            yield over.recv_multipart(zmq.NOBLOCK)
