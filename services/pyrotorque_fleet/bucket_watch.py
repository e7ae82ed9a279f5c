"""Follows a bucket from a revision on, without a gap, and finds when it fell behind or the bucket was replaced.

A push consumer of our own: the ordered consumer of nats-py polls four times a second.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from pyrotorque_fleet.exchange import BucketState, LinkError
from pyrotorque_fleet.jetstream import JetStreamCalls
from pyrotorque_fleet.losses import LOST_AFTER, LossWatch

_HEARTBEAT: Final = 5.0
_SILENT_AFTER: Final = 2 * _HEARTBEAT + 1
"""Seconds; a consumer ends with its server, and permanently after its bucket was created again."""
_PAUSE: Final = 0.02
_ACKNOWLEDGED_BY: Final = 128
_UNACKNOWLEDGED_MAX: Final = 512
"""Messages. Flow control alone bounds by bytes: two MiB at first, twice as much after each answer."""
_ACK_WAIT: Final = 22 * 3600.0
_CONTROL: Final = "100"


class BucketWatch:
    """Used in the link's thread. `entered` gets the state of the bucket, then `receive` each key with its revision and
    value (empty for a marker), if it is newer than those known. The values are read again from the first one when the
    servers have been behind them for `lost_after` seconds."""

    def __init__(
        self, bucket: str, calls: JetStreamCalls, receive: Callable[[str, int, bytes], None],
        entered: Callable[[BucketState], None] = lambda _: None, has_room: Callable[[], bool] = lambda: True,
        lost_after: float = LOST_AFTER,
    ) -> None:  # fmt: skip
        self._stream, self._subject = f"KV_{bucket}", f"$KV.{bucket}.>"
        self._calls, self._receive, self._entered, self._has_room = calls, receive, entered, has_room
        self._losses = LossWatch(lost_after)
        self._client: Client | None = None
        self._subscription: Any = None
        self._state = BucketState("", 0)
        self._seen = self._before = 0
        self._delivered = 0
        """The number of the consumer's last message: without a gap, the next one has the next number."""
        self._has_gap = False
        self._arrived = 0.0

    async def begin(self, client: Client, known: BucketState) -> None:
        """Follow what is newer than `known`; all, if it is another bucket than that of `known`, or lost values of it.

        Raises LinkError while that is not certain, and what NATS raises.
        """
        await self._unsubscribe()
        self._client, self._has_gap = client, True  # until it is followed
        state = await self._calls.bucket_state(self._stream)
        is_cut = self._is_cut(state, known)
        self._losses.forget(self._stream)
        self._seen = self._before = known.newest if state.identity == known.identity and not is_cut else 0
        self._state, self._delivered, self._arrived = state, 0, time.monotonic()
        self._entered(replace(state, cut=is_cut))
        inbox = client.new_inbox()
        self._subscription = await client.subscribe(
            inbox, cb=self._on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        config = ConsumerConfig(
            deliver_subject=inbox, filter_subject=self._subject, deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._seen + 1, ack_policy=AckPolicy.ALL, max_deliver=1, ack_wait=_ACK_WAIT,
            max_ack_pending=_UNACKNOWLEDGED_MAX,
            flow_control=True, idle_heartbeat=_HEARTBEAT, num_replicas=1, mem_storage=True,
        )  # fmt: skip
        self._has_gap = False
        try:
            await self._calls.call(lambda js: js.add_consumer(self._stream, config=config))
        except BaseException:
            self._has_gap = True
            raise

    async def _on_message(self, message: Msg) -> None:
        self._arrived = time.monotonic()
        headers = message.headers or {}
        if headers.get("Status") == _CONTROL:
            await self._on_control(message, headers)
            return
        revision, delivered = _sequences(message.reply)
        self._has_gap = self._has_gap or delivered != self._delivered + 1
        self._delivered = delivered
        if self._has_gap:
            return
        if revision > self._seen:
            self._seen = revision
            value = b"" if "KV-Operation" in headers else message.data
            self._receive(message.subject.rpartition(".")[2], revision, value)
        if delivered % _ACKNOWLEDGED_BY == 0:
            await self._acknowledge(message)

    async def _acknowledge(self, message: Msg) -> None:
        """Let the server send more, when there is room; it waits after `_UNACKNOWLEDGED_MAX` messages."""
        until = time.monotonic() + _HEARTBEAT
        while not self._has_room() and time.monotonic() < until:
            await asyncio.sleep(_PAUSE)
        if self._client is not None:
            await self._client.publish(message.reply, b"+ACK")

    async def _on_control(self, message: Msg, headers: dict[str, str]) -> None:
        """Let the server go on, which waits for an answer after each batch; or find that a message is missing."""
        last = headers.get("Nats-Last-Consumer", "")
        if last.isdecimal() and int(last) > self._delivered:
            self._has_gap = True
        subject = message.reply or headers.get("Nats-Consumer-Stalled", "")
        if subject and self._client is not None:
            await self._client.publish(subject)

    @property
    def is_broken(self) -> bool:
        """Whether nothing more may arrive, or something did not."""
        return self._has_gap or time.monotonic() - self._arrived > _SILENT_AFTER

    async def mend(self) -> None:
        """Begin again from the newest revision that arrived."""
        if self._client is not None:
            await self.begin(self._client, BucketState(self._state.identity, self._seen))

    async def check(self) -> None:
        """Begin again if nothing arrived although there is more, or if the bucket was replaced."""
        state = await self._calls.bucket_state(self._stream)
        if self._client is None:
            return
        known = BucketState(self._state.identity, self._seen)
        if state.identity != known.identity or self._is_cut(state, known):
            await self.begin(self._client, known)
        elif self._seen == self._before and self._seen < state.newest:
            await self.mend()
        else:
            self._before, self._state = self._seen, state
            self._entered(state)

    def _is_cut(self, state: BucketState, known: BucketState) -> bool:
        """Whether the servers lost values of the bucket; raises LinkError while they may only be behind."""
        is_behind = state.identity == known.identity and state.newest < known.newest
        is_lost = self._losses.is_lost(self._stream, time.monotonic(), is_behind=is_behind)
        if is_behind and not is_lost:
            raise LinkError("the servers do not have the newest values yet")
        return is_lost

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(Exception):
                await subscription.unsubscribe()


def _sequences(reply: str) -> tuple[int, int]:
    """The revision and the consumer's number in the subject of an acknowledgement, which may begin with a domain."""
    parts = reply.split(".")
    at = 5 if len(parts) == 9 else 7
    return int(parts[at]), int(parts[at + 1])
