"""Forwards the durable events of this group to the fleet's stream: each once, in order.

They are copied into the service's own file, in the transaction that moves the cursor. From there they are appended with
the condition that the newest event of their source is the one before: that has no window, unlike message ids. After a
missing answer the newest stored event decides where to continue.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from pyrotorque.events import Delivery, encode
from pyrotorque.json_input import decode_json
from pyrotorque.store import Connection, Store
from pyrotorque_fleet.claim_table import TABLES
from pyrotorque_fleet.exchange import Conflict, LinkError, StoredEvent

log = logging.getLogger(__name__)

MIGRATIONS: Final = (
    """
    CREATE TABLE forwards (
        number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX forwards_by_source ON forwards (source, number);
    """,
    TABLES,
)
KEEP_MAX: Final = 100_000
KEEP_BYTES: Final = 64 << 20
_TRIMMED_SHARE: Final = 0.9
_RETRY_AFTER: Final = 2.0
_MISSING: Final = "EventsMissing"


class EventLink(Protocol):
    """The part of the link that is needed here."""

    def append(self, source: str, body: bytes, last: int) -> Future[int]: ...
    def newest_event(self, source: str) -> Future[StoredEvent | None]: ...


class _Head(msgspec.Struct, frozen=True):
    """What identifies a stored event."""

    epoch: str = ""
    seq: int = 0

    def has(self, epoch: str, seq: int) -> bool:
        """Whether an event of this place is not newer."""
        return self.epoch == epoch and 0 < seq <= self.seq


_NOTHING: Final = _Head()


@dataclass
class _EventSource:
    """`last` is the sequence of its newest event in the stream; None while that is not known. `stored` is that event:
    what is not newer is in the stream already, also if an older file of this service replays it later."""

    last: int | None = None
    stored: _Head = _NOTHING
    reading: Future[StoredEvent | None] | None = None
    sending: Future[int] | None = None
    number: int = 0
    retry_at: float = 0.0


class Forwarder:
    """The events that wait, and how far each source is; used by the service's loop. `now` is CLOCK_MONOTONIC."""

    def __init__(
        self, store: Store, link: EventLink, wake: Callable[[], None], *, keep: int = KEEP_MAX, size: int = KEEP_BYTES
    ) -> None:
        self._store, self._link, self._wake = store, link, wake
        self._keep, self._size = keep, size
        self._sources: dict[str, _EventSource] = {}
        count, total = store.db.execute("SELECT count(*), total(length(body)) FROM forwards").fetchone()
        self.waiting, self._bytes = int(count), int(total)
        self.forwarded = 0
        for (source,) in store.db.execute("SELECT DISTINCT source FROM forwards"):
            self._sources[source] = _EventSource()

    def keep(self, db: Connection, delivery: Delivery) -> None:
        """Store an event, in the transaction that applies it."""
        envelope = delivery.envelope
        self._insert(db, envelope.source, envelope.epoch, envelope.seq, encode(delivery.event, envelope))

    def keep_gap(self, source: str, reason: str) -> None:
        """Store that events of `source` are missing."""
        with self._store.transaction() as db:
            self._insert(db, source, "", 0, _missing(source, reason))

    def _insert(self, db: Connection, source: str, epoch: str, seq: int, body: bytes) -> None:
        db.execute("INSERT INTO forwards (source, epoch, seq, body) VALUES (?, ?, ?, ?)", (source, epoch, seq, body))
        self._sources.setdefault(source, _EventSource())
        self.waiting += 1
        self._bytes += len(body)
        if self.waiting > self._keep or self._bytes > self._size:
            self._trim(db)

    def _trim(self, db: Connection) -> None:
        """Delete the oldest; an entry in the stream reports it for each source."""
        deleted: dict[str, list[int]] = {}
        rows = db.execute("SELECT number, source, length(body) FROM forwards ORDER BY number").fetchall()
        sending = {each.number for each in self._sources.values() if each.sending is not None}
        for number, source, size in rows:
            if self.waiting <= self._keep * _TRIMMED_SHARE and self._bytes <= self._size * _TRIMMED_SHARE:
                break
            if number in sending:
                continue
            db.execute("DELETE FROM forwards WHERE number = ?", (number,))
            deleted.setdefault(source, []).append(number)
            self.waiting -= 1
            self._bytes -= size
        for source, numbers in deleted.items():
            count = len(numbers)
            log.warning("deleted %d events of %s that could not be forwarded", count, source)
            body = _missing(source, f"{count} events were deleted while the fleet was unavailable")
            # In the place of the last deleted one: before what is left of this source.
            db.execute(
                "INSERT INTO forwards (number, source, epoch, seq, body) VALUES (?, ?, '', 0, ?)",
                (numbers[-1], source, body),
            )
            self.waiting += 1
            self._bytes += len(body)

    def connected(self) -> None:
        """Read the place of each source again: the stream may have been replaced."""
        for source in self._sources.values():
            source.last, source.retry_at = None, 0.0

    def step(self, now: float) -> None:
        """Do what can be done without waiting."""
        if not self.waiting:
            return
        for name, source in self._sources.items():
            self._step(name, source, now)

    def _step(self, name: str, source: _EventSource, now: float) -> None:
        if source.sending is not None:
            if not source.sending.done():
                return
            self._sent(source, now)
        if source.reading is not None:
            if not source.reading.done():
                return
            self._read(name, source, now)
        if now < source.retry_at:
            return
        row = self._oldest(name)
        if row is not None and source.last is not None and source.stored.has(row[1], row[2]):
            self._delete_until(name, source.stored)
            row = self._oldest(name)
        if row is None:
            return
        if source.last is None:
            source.reading = self._link.newest_event(name)
            source.reading.add_done_callback(lambda _: self._wake())
        else:
            source.number = row[0]
            source.sending = self._link.append(name, row[3], source.last)
            source.sending.add_done_callback(lambda _: self._wake())

    def _sent(self, source: _EventSource, now: float) -> None:
        sending, source.sending = source.sending, None
        assert sending is not None
        try:
            source.last = sending.result()
        except Conflict:
            source.last = None  # our own earlier attempt, or a stream that was replaced
        except (LinkError, Exception) as error:
            log.debug("an event was not forwarded: %s", error)
            source.last, source.retry_at = None, now + _RETRY_AFTER
        else:
            self._delete((source.number,))
            self.forwarded += 1

    def _read(self, name: str, source: _EventSource, now: float) -> None:
        reading, source.reading = source.reading, None
        assert reading is not None
        try:
            found = reading.result()
        except (LinkError, Exception) as error:
            log.debug("the newest event of %s was not read: %s", name, error)
            source.retry_at = now + _RETRY_AFTER
            return
        source.last, source.stored = 0 if found is None else found.sequence, _NOTHING
        if found is not None:
            source.stored = self._delete_stored(name, found.body)

    def _oldest(self, source: str) -> tuple[int, str, int, bytes] | None:
        """Number, epoch, seq and body of the event that is forwarded next."""
        found: tuple[int, str, int, bytes] | None = self._store.db.execute(
            "SELECT number, epoch, seq, body FROM forwards WHERE source = ? ORDER BY number LIMIT 1", (source,)
        ).fetchone()
        return found

    def _delete_until(self, source: str, head: _Head) -> None:
        """Delete the events of the epoch of `head` that are not newer."""
        rows = self._store.db.execute(
            "SELECT number FROM forwards WHERE source = ? AND epoch = ? AND seq BETWEEN 1 AND ?",
            (source, head.epoch, head.seq),
        ).fetchall()
        self._delete([number for (number,) in rows])

    def _delete_stored(self, source: str, newest: bytes) -> _Head:
        """Delete all events up to the one that is the newest in the stream, and return that."""
        try:
            head = decode_json(newest, type=_Head)
        except msgspec.DecodeError:
            return _NOTHING
        if head.seq:
            found = self._store.db.execute(
                "SELECT max(number) FROM forwards WHERE source = ? AND epoch = ? AND seq = ?",
                (source, head.epoch, head.seq),
            ).fetchone()
        else:
            found = self._store.db.execute(
                "SELECT max(number) FROM forwards WHERE source = ? AND body = ?", (source, newest)
            ).fetchone()
        if found[0] is not None:
            rows = self._store.db.execute(
                "SELECT number FROM forwards WHERE source = ? AND number <= ?", (source, found[0])
            )
            self._delete([number for (number,) in rows.fetchall()])
        return head

    def _delete(self, numbers: Iterable[int]) -> None:
        with self._store.transaction() as db:
            for number in numbers:
                found = db.execute("SELECT length(body) FROM forwards WHERE number = ?", (number,)).fetchone()
                if found is not None:
                    db.execute("DELETE FROM forwards WHERE number = ?", (number,))
                    self.waiting -= 1
                    self._bytes -= found[0]


def _missing(source: str, reason: str) -> bytes:
    record: dict[str, Any] = {"type": _MISSING, "source": source, "at": time.time(), "reason": reason}
    return json.dumps(record).encode()
