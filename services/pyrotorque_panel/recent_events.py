"""The newest durable events of all services, stored in the panel's database, and the streams that show new ones."""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pyrotorque.events import Delivery
from pyrotorque.json_input import decode_json
from pyrotorque.store import Connection, Store
from pyrotorque_panel.cleaning import cleaned

KEPT: Final = 2000
STREAMS_MAX: Final = 50
STREAMS_PER_CALLER: Final = 8
_QUEUED: Final = 64

Event = dict[str, Any]
NOTHING: Final[Event] = {}
"""Wakes a stream, which then looks whether it may go on."""


def event_fields(delivery: Delivery) -> Event:
    """The event as a flat mapping, with the names of docs/events.md, without passkeys."""
    event: dict[str, Any] = msgspec.to_builtins(delivery.event)
    head = {"source": delivery.envelope.source, "seq": delivery.envelope.seq, "at": event.pop("at")}
    found: Event = cleaned(head | {"type": event.pop("type")} | event)
    return found


class RecentEvents:
    """Those of one group: written by the service's loop, read by the threads of the web server."""

    def __init__(self, store: Store, config_dir: str = "") -> None:
        self._lock = threading.Lock()
        self._config_dir = config_dir
        query = "SELECT number, body FROM recent WHERE config_dir = ? ORDER BY number DESC LIMIT ?"
        rows = store.db.execute(query, (config_dir, KEPT)).fetchall()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._events.extend(decode_json(body) | {"id": number} for number, body in reversed(rows))

    def add(self, db: Connection, event: Event) -> Event:
        """Store an event in the caller's transaction, and return it with its number; `commit` makes it visible."""
        values = (msgspec.json.encode(event), self._config_dir)
        number = db.execute("INSERT INTO recent (body, config_dir) VALUES (?, ?)", values).lastrowid or 0
        if number % 100 == 0:
            old = "SELECT number FROM recent WHERE config_dir = ? ORDER BY number DESC LIMIT -1 OFFSET ?"
            db.execute(f"DELETE FROM recent WHERE number IN ({old})", (self._config_dir, KEPT))
        return event | {"id": number}

    def commit(self, event: Event) -> None:
        with self._lock:
            self._events.append(event)

    def newest(self, limit: int, types: Sequence[str] = ()) -> list[Event]:
        """The newest first."""
        with self._lock:
            found = [event for event in reversed(self._events) if not types or event["type"] in types]
        return found[:limit]

    def after(self, number: int, limit: int, types: Sequence[str] = ()) -> list[Event]:
        """Those that follow event `number`, oldest first."""
        with self._lock:
            found = [event for event in self._events if event["id"] > number and (not types or event["type"] in types)]
        return found[:limit]

    def since(self, at: float, limit: int, types: Sequence[str] = ()) -> list[Event]:
        """Those from Unix time `at` on, oldest first."""
        with self._lock:
            found = [event for event in self._events if event["at"] >= at and (not types or event["type"] in types)]
        return found[:limit]


class Streams:
    """The open streams; each has a bounded queue, and ends when its client is too slow."""

    def __init__(self) -> None:
        self._queues: dict[asyncio.Queue[Event | None], tuple[str, str]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_ending = False

    @property
    def count(self) -> int:
        return len(self._queues)

    def open(self, caller: str, group: str) -> "asyncio.Queue[Event | None] | None":
        """A queue of new events of a group, None if there are too many streams; in the web server's loop."""
        self._loop = asyncio.get_running_loop()
        counts = Counter(name for name, _ in self._queues.values())
        if self.is_ending or len(self._queues) >= STREAMS_MAX or counts[caller] >= STREAMS_PER_CALLER:
            return None
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_QUEUED)
        self._queues[queue] = (caller, group)
        return queue

    def close(self, queue: "asyncio.Queue[Event | None]") -> None:
        self._queues.pop(queue, None)

    def publish(self, group: str, event: Event) -> None:
        """From any thread."""
        if self._queues and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spread, group, event)

    def look(self) -> None:
        """Let all streams look whether they may go on; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look)

    def end(self) -> None:
        """End all streams, before the server stops."""
        self.is_ending = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)

    def _spread(self, group: str, event: Event) -> None:
        for queue in [queue for queue, (_, wanted) in self._queues.items() if wanted == group]:
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._finish(queue)

    def _look(self) -> None:
        for queue in self._queues:
            if queue.empty():  # else it looks before its next message
                queue.put_nowait(NOTHING)

    def _end(self) -> None:
        for queue in list(self._queues):
            self._finish(queue)

    def _finish(self, queue: "asyncio.Queue[Event | None]") -> None:
        while queue.full():
            queue.get_nowait()
        queue.put_nowait(None)
        self.close(queue)
