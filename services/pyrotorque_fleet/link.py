"""The connection to NATS: a thread with an event loop of its own, which keeps it, watches, and carries out calls.

The service's loop reads `received`; its calls return futures. Only plain data crosses. When a connection ends,
however it ended, a new one is made, and everything is watched again from its beginning. This module, `connection`,
`jetstream`, `streams`, `bucket_watch` and `asking` are the only ones that import NATS.
"""

import asyncio
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from pyrotorque.settings.schema import FleetSettings
from pyrotorque.text import printable
from pyrotorque_fleet.asking import ANSWERS_MAX, ask_groups, send_answer
from pyrotorque_fleet.bucket_watch import BucketWatch
from pyrotorque_fleet.connection import FleetClient, clear_reason
from pyrotorque_fleet.exchange import (
    Asked,
    BucketState,
    ClaimUpdate,
    Connected,
    Disconnected,
    LinkError,
    Received,
    StoredClaim,
    StoredEvent,
    Update,
)
from pyrotorque_fleet.jetstream import TIMEOUT, JetStreamCalls, error_text
from pyrotorque_fleet.refused_writes import RefusedWrites
from pyrotorque_fleet.streams import FleetStreams

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT: Final = 5.0
_PAUSE: Final = 0.5
_PAUSE_MAX: Final = 5.0
_FAILING_FOR: Final = 10.0
"""Seconds for which JetStream may fail on a connection that is up, before another server is tried."""
_LOOK_EVERY: Final = 2.0
_CHECK_CLAIMS_EVERY: Final = 10.0
_CHECK_GROUPS_EVERY: Final = 30.0
"""Seconds; a bucket may have been deleted and created again."""
_BACKLOG_MAX: Final = 200
_QUESTIONS_MAX: Final = 64
_QUESTION_BYTES: Final = 262_144
"""The longest one asks for 64 items by their names, of 512 characters each."""
_PULSE: Final = 5.0
_REFUSED_MAX: Final = 20
_REFUSED_WRITE: Final = re.compile(r'(?i)permissions violation for publish to "([^"]*)"')
_HASHES: Final = re.compile(r"\b[0-9A-Fa-f]{40,64}\b")


class Link:
    """`wake` is called, from the link's thread, after something but a heartbeat was added to `received`."""

    def __init__(self, settings: FleetSettings, wake: Callable[[], None]) -> None:
        self.settings = settings
        self.received: deque[Received] = deque(maxlen=100_000)
        self.asked: deque[Asked] = deque(maxlen=_QUESTIONS_MAX)
        """Questions of other groups; the newest ones, if more arrive than are read."""
        self.alive = time.monotonic()
        """CLOCK_MONOTONIC seconds of the last sign of life of its thread."""
        self._wake = wake
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._streams = FleetStreams(settings)
        self._calls = JetStreamCalls(self._streams)
        self._claim_watch = BucketWatch(self._streams.claims, self._calls, self._put_claim, self._put, self._has_room)
        # Heartbeats that are read again change nothing, so it need not be certain that they were lost.
        self._group_watch = BucketWatch(
            self._streams.groups, self._calls, self._put_group, has_room=self._has_room, lost_after=0.0
        )
        self.known_claims = BucketState("", 0)
        """What the service has of the bucket of claims; a new connection follows from there on."""
        self._reason = ""
        self._refused: set[str] = set()
        self._lost = asyncio.Event()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._thread_main, name="link", daemon=True)

    @property
    def refused_writes(self) -> RefusedWrites:
        return self._calls.refused_writes

    # -- called by the service's loop

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float = 0.5) -> None:
        """End the connection; what was not answered yet fails."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout)

    def put_facts(self, value: bytes) -> Future[None]:
        """Write our own heartbeat."""
        return self._submit(self._calls.put_facts(value))

    def append(self, source: str, body: bytes, last: int) -> Future[int]:
        """Append an event of a service of this group, if the newest one has the sequence `last` (0: there is none).

        The future has the new sequence, or raises Conflict or LinkError.
        """
        return self._submit(self._calls.append(source, body, last))

    def newest_event(self, source: str) -> Future[StoredEvent | None]:
        """The newest stored event of a service of this group; raises LinkError."""
        return self._submit(self._calls.newest_event(source))

    def swap(self, info_hash: str, value: bytes, revision: int) -> Future[int]:
        """Write a claim, if its present revision is this one (0: there is none); raises Conflict or LinkError."""
        return self._submit(self._calls.swap(info_hash, value, revision))

    def read_claim(self, info_hash: str) -> Future[StoredClaim | None]:
        """A claim as the servers have it, perhaps an old value; raises LinkError."""
        return self._submit(self._calls.read_claim(info_hash))

    def store(self, info_hash: str, sha256: str, content: bytes) -> Future[None]:
        """Store the content of a metafile; raises LinkError."""
        return self._submit(self._calls.store(info_hash, sha256, content))

    def fetch(self, info_hash: str, sha256: str, length: int) -> Future[bytes | None]:
        """The content of a metafile, None if it is not stored; raises LinkError."""
        return self._submit(self._calls.fetch(info_hash, sha256, length))

    def events_after(self, sequence: int, limit: int) -> Future[list[StoredEvent]]:
        """Events of all groups in the fleet's stream, after this sequence; negative: so many of the newest."""
        return self._submit(self._calls.events_after(sequence, limit))

    def ask_all(self, payload: bytes, timeout: float, expected: int = ANSWERS_MAX) -> Future[list[bytes]]:
        """The answers of all groups that arrive within `timeout` seconds, or the first `expected`; raises LinkError."""
        return self._submit(self._ask_all(payload, timeout, expected))

    def _submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    # -- the link's thread

    def _thread_main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._run())
        finally:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            with suppress(RuntimeError):
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _run(self) -> None:
        pulse = asyncio.ensure_future(self._pulse())
        pause = _PAUSE
        while not self._stopping.is_set():
            self._lost.clear()
            try:
                await asyncio.wait_for(self._connect(), _CONNECT_TIMEOUT)
                await self._prepare()
            except Exception as error:
                self._put(Disconnected(clear_reason(self._reason or error_text(error))))
                await self._disconnect()
                await self._wait(self._stopping, pause)
                pause = min(2 * pause, _PAUSE_MAX)
                continue
            pause = _PAUSE
            await self._until_lost()
            if not self._stopping.is_set():
                self._put(Disconnected(clear_reason(self._reason) or "the connection was lost"))
            await self._disconnect()
        pulse.cancel()

    async def _pulse(self) -> None:
        while True:
            self.alive = time.monotonic()
            await asyncio.sleep(_PULSE)

    async def _connect(self) -> None:
        self._reason = ""
        self._client = FleetClient(self.settings)
        await self._client.open(self._on_error, self._on_lost)

    async def _on_error(self, error: Exception) -> None:
        self._reason = error_text(error)
        reason = _HASHES.sub("*", clear_reason(self._reason))
        # The servers do not answer such a write, so its call ends by a timeout.
        refused = _REFUSED_WRITE.search(self._reason)
        if refused is not None and (kind := self._streams.kind_of(refused.group(1))):
            self._calls.refused_writes.refused(kind, reason)
        # Its calls end by a timeout, while others work.
        is_new = reason not in self._refused and len(self._refused) < _REFUSED_MAX
        if is_new and "permissions violation" in self._reason.lower():
            self._refused.add(reason)
            log.warning("%s", printable(reason))

    async def _on_lost(self) -> None:
        self._lost.set()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        self._calls.disconnected()
        if client is not None:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), 0.3)

    async def _prepare(self) -> None:
        """Create what is missing, serve requests, and watch; raises what NATS raises."""
        assert self._client is not None
        js = self._client.jetstream(timeout=TIMEOUT)
        await self._streams.ensure(js)
        for subject in (self._streams.ask_all, self._streams.ask_this):
            await self._client.subscribe(subject, cb=self._on_request)
        self._calls.connected(js)
        await self._group_watch.begin(self._client, BucketState("", 0))
        await self._claim_watch.begin(self._client, self.known_claims)
        url = self._client.connected_url
        self._put(Connected(url.netloc if url else ""))

    async def _until_lost(self) -> None:
        began = time.monotonic()
        checks = {self._claim_watch: _CHECK_CLAIMS_EVERY, self._group_watch: _CHECK_GROUPS_EVERY}
        due = {watch: began + every for watch, every in checks.items()}
        while not (self._lost.is_set() or self._stopping.is_set()):
            await self._wait(self._lost, _LOOK_EVERY)
            now = time.monotonic()
            failing_since = self._calls.failing_since
            if failing_since is not None and now - failing_since > _FAILING_FOR:
                self._reason = self._calls.reason or "its JetStream does not answer"
                return
            try:
                for watch, every in checks.items():
                    if now >= due[watch]:
                        due[watch] = now + every
                        await watch.check()
                    elif watch.is_broken:
                        await watch.mend()
            except LinkError:
                continue
            except Exception as error:
                self._reason = f"cannot watch the fleet's buckets: {error_text(error)}"
                return

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        waiting = asyncio.ensure_future(event.wait())
        await asyncio.wait((stopping, waiting), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        waiting.cancel()

    # -- requests between groups

    async def _on_request(self, message: Msg) -> None:
        subject, client = message.reply, self._client
        # An answer goes to an inbox: what asks for another subject may not write there itself.
        if not subject.startswith("_INBOX_") or client is None or len(message.data) > _QUESTION_BYTES:
            return

        def reply(body: bytes) -> None:
            with suppress(RuntimeError):
                asyncio.run_coroutine_threadsafe(send_answer(client, subject, body), self._loop)

        self.asked.append(Asked(message.data, reply))
        self._wake()

    async def _ask_all(self, payload: bytes, timeout: float, expected: int) -> list[bytes]:
        client = self._client
        if client is None or self._calls.js is None:
            raise LinkError("not connected")
        try:
            return await ask_groups(client, self._streams.ask_all, payload, timeout, expected)
        except (nats.errors.Error, OSError) as error:
            raise LinkError(error_text(error)) from error

    def _has_room(self) -> bool:
        return len(self.received) < _BACKLOG_MAX

    def _put(self, found: Received) -> None:
        self.received.append(found)
        self._wake()

    def _put_claim(self, key: str, revision: int, value: bytes) -> None:
        self._put(ClaimUpdate(key, revision, value))

    def _put_group(self, key: str, _revision: int, value: bytes) -> None:
        """Heartbeats wake nothing: they are read with the next own one."""
        if value:
            self.received.append(Update(key, value, time.monotonic()))
