"""Follows the bucket of claims from a revision on, and finds when it fell behind or the bucket was replaced."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy

from pyrotorque_fleet.exchange import ClaimsState, ClaimUpdate, Received
from pyrotorque_fleet.jetstream import JetStreamCalls
from pyrotorque_fleet.streams import FleetStreams

CHECK_EVERY: Final = 10.0
"""Seconds; a watch may be silent for 20 s, and permanently after its bucket was created again."""


class ClaimWatch:
    """Used in the link's thread. `put` gets the state of the bucket, then each value newer than those known."""

    def __init__(self, streams: FleetStreams, calls: JetStreamCalls, put: Callable[[Received], None]) -> None:
        self._streams, self._calls, self._put = streams, calls, put
        self._subscription: Any = None
        self._state = ClaimsState("", 0)
        self._seen = 0
        self._before = 0

    async def begin(self, js: JetStreamContext, known: ClaimsState) -> None:
        """Follow what is newer than `known`; all, if it is another bucket than that of `known`."""
        await self.end()
        state = await self._calls.claims_state()
        is_same = state.identity == known.identity and state.newest >= known.newest
        self._seen = self._before = known.newest if is_same else 0
        self._state = state
        self._put(state)
        self._subscription = await js.subscribe(
            f"$KV.{self._streams.claims}.>",
            stream=f"KV_{self._streams.claims}",
            ordered_consumer=True,
            cb=self._receive,
            config=ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=self._seen + 1),
            pending_msgs_limit=-1,
            pending_bytes_limit=-1,
        )

    async def _receive(self, message: Msg) -> None:
        revision = message.metadata.sequence.stream
        if revision <= self._seen:
            return
        self._seen = revision
        is_marker = bool((message.headers or {}).get("KV-Operation"))
        self._put(ClaimUpdate(message.subject.rpartition(".")[2], revision, b"" if is_marker else message.data))

    async def check(self, js: JetStreamContext) -> None:
        """Begin again if nothing arrived although there is more, or if the bucket was replaced."""
        state = await self._calls.claims_state()
        stands = self._seen == self._before and self._seen < state.newest
        if state.identity != self._state.identity or state.newest < self._seen:
            await self.begin(js, ClaimsState("", 0))
        elif stands:
            await self.begin(js, ClaimsState(state.identity, self._seen))
        else:
            self._before = self._seen
            self._state = state
            self._put(state)

    async def end(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(Exception):
                await subscription.unsubscribe()
