"""Calls of JetStream with conditions, whose failures are two: it was not written, or nothing is known about it."""

import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from pyrotorque_fleet.claims import CHUNK, chunks_of
from pyrotorque_fleet.exchange import BucketState, Conflict, LinkError, StoredClaim, StoredEvent
from pyrotorque_fleet.losses import LossWatch
from pyrotorque_fleet.refused_writes import RefusedWrites
from pyrotorque_fleet.streams import FleetStreams

TIMEOUT: Final = 5.0
"""Seconds for one call; an election takes up to 8."""
_WRONG_SEQUENCE: Final = 10071
_LAST_SEQUENCE: Final = "Nats-Expected-Last-Subject-Sequence"

Made = Callable[[JetStreamContext], Coroutine[Any, Any, Any]]


class JetStreamCalls:
    """Used in the link's thread; `js` is None while there is no connection."""

    def __init__(self, streams: FleetStreams) -> None:
        self.js: JetStreamContext | None = None
        self.failing_since: float | None = None
        """Since when (CLOCK_MONOTONIC) no call succeeded, and `reason` why."""
        self.reason = ""
        self.refused_writes = RefusedWrites()
        self._streams = streams
        self._losses = LossWatch()

    def connected(self, js: JetStreamContext) -> None:
        self.js, self.failing_since = js, None

    def disconnected(self) -> None:
        self.js = None

    async def put_facts(self, value: bytes) -> None:
        """Write the value of this group."""
        with self._writing("heartbeats"):
            await self.call(lambda js: js.publish(self._streams.group_subject(), value, timeout=TIMEOUT))

    async def append(self, source: str, body: bytes, last: int) -> int:
        """Append an event after the one with the sequence `last`."""
        with self._writing("events"):
            return await self._publish(self._streams.event_subject(source), body, last)

    async def newest_event(self, source: str) -> StoredEvent | None:
        """The newest stored event of a service of this group."""
        return await self._newest(self._streams.events, self._streams.event_subject(source))

    async def swap(self, info_hash: str, value: bytes, revision: int) -> int:
        """Write a claim, if its present revision is this one (0: there is none); the new revision."""
        with self._writing("claims"):
            return await self._publish(self._streams.claim_subject(info_hash), value, revision)

    async def read_claim(self, info_hash: str) -> StoredClaim | None:
        """As the leader has it, which may be an old value: a read proves nothing."""
        found = await self._newest(f"KV_{self._streams.claims}", self._streams.claim_subject(info_hash))
        return None if found is None else StoredClaim(found.sequence, found.body)

    async def bucket_state(self, stream: str) -> BucketState:
        found = await self.call(lambda js: js.stream_info(stream))
        return BucketState(str(found.created or ""), found.state.last_seq)

    async def events_after(self, sequence: int, limit: int) -> list[StoredEvent]:
        """Events of all groups after this sequence; negative: so many of the newest."""
        info = await self.call(lambda js: js.stream_info(self._streams.events))
        first, last = int(info.state.first_seq), int(info.state.last_seq)
        place = str(sequence)  # each reader is at its own
        if self._losses.is_lost(place, time.monotonic(), is_behind=sequence > last):
            self._losses.forget(place)
            sequence = 0  # the stream begins again
        at = max(first, last + 1 + sequence if sequence < 0 else sequence + 1)
        found: list[StoredEvent] = []
        while at <= last and len(found) < limit:
            try:
                message = await self.call(partial(_stored_message, self._streams.events, at))
            except nats.js.errors.NotFoundError:
                at += 1  # it was trimmed
                continue
            found.append(StoredEvent(message.seq or at, message.data or b"", message.subject or ""))
            at += 1
        return found

    async def store(self, info_hash: str, sha256: str, content: bytes) -> None:
        """Store the content of a metafile in chunks."""
        for number in range(chunks_of(len(content))):
            subject = self._streams.chunk_subject(info_hash, sha256, number)
            chunk = content[number * CHUNK : (number + 1) * CHUNK]
            with self._writing("metafiles"):
                await self.call(partial(_publish, subject, chunk))

    async def fetch(self, info_hash: str, sha256: str, length: int) -> bytes | None:
        """The content of a metafile, not checked; None if a chunk of it is not stored (any more)."""
        found: list[bytes] = []
        for number in range(chunks_of(length)):
            chunk = await self._newest(self._streams.metafiles, self._streams.chunk_subject(info_hash, sha256, number))
            if chunk is None:
                return None
            found.append(chunk.body[:CHUNK])
        return b"".join(found)

    async def _publish(self, subject: str, body: bytes, last: int) -> int:
        """Store it if the newest message of the subject has the sequence `last` (0: there is none)."""
        headers = {_LAST_SEQUENCE: str(last)}
        answer = await self.call(lambda js: js.publish(subject, body, timeout=TIMEOUT, headers=headers))
        return int(answer.seq)

    async def _newest(self, stream: str, subject: str) -> StoredEvent | None:
        try:
            found = await self.call(lambda js: js.get_last_msg(stream, subject))
        except nats.js.errors.NotFoundError:
            # Said for a missing stream as well.
            await self.call(lambda js: js.stream_info(stream))
            return None
        return StoredEvent(found.seq or 0, found.data or b"")

    @contextmanager
    def _writing(self, kind: str) -> Generator[None]:
        try:
            yield
        except LinkError as error:
            if isinstance(error.__cause__, nats.js.errors.APIError):
                self.refused_writes.refused(kind, str(error))
            raise

    async def call(self, make: Made) -> Any:
        """Raises NotFoundError, Conflict if it was not written, else LinkError."""
        js = self.js
        if js is None:
            raise LinkError("not connected")
        try:
            found = await make(js)
        except nats.js.errors.NotFoundError:
            raise
        except nats.js.errors.APIError as error:
            if error.err_code == _WRONG_SEQUENCE:
                raise Conflict(error.description or "") from error
            self._failed(error)
            raise LinkError(error_text(error)) from error
        except (TimeoutError, nats.errors.Error, OSError) as error:
            self._failed(error)
            raise LinkError(error_text(error)) from error
        self.failing_since = None
        return found

    def _failed(self, error: BaseException) -> None:
        if self.failing_since is None:
            self.failing_since = time.monotonic()
            self.reason = error_text(error)


async def _stored_message(stream: str, sequence: int, js: JetStreamContext) -> Any:
    return await js.get_msg(stream, sequence)


async def _publish(subject: str, body: bytes, js: JetStreamContext) -> None:
    await js.publish(subject, body, timeout=TIMEOUT)


def error_text(error: BaseException) -> str:
    """In one line, at most 200 characters."""
    text = str(error).removeprefix("nats: ").strip()
    return (text or type(error).__name__)[:200]
