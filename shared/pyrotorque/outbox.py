"""The durable events of a service, numbered by epoch, and its cursors over those of others, in its own state file."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

from pyrotorque.epochs import BEGINNING, Cursor, Epochs
from pyrotorque.errors import StateError
from pyrotorque.events import Durable, Envelope, encode
from pyrotorque.limits import OUTBOX_BYTES, REPLAY_BYTES, shortened
from pyrotorque.linux.processes import boot_id
from pyrotorque.store import Connection, Store, open_readonly

log = logging.getLogger(__name__)

__all__ = ["BEGINNING", "Cursor", "CursorTable", "Outbox", "Replay", "stored_events"]

REPLAY_LIMIT = 500  # bodies in one answer
_TRIM_EVERY = 500
# Trimmed to this share of the limit in bytes, so that not every further event trims again.
_TRIMMED_SHARE = 7 / 8


@dataclass(frozen=True, slots=True)
class Replay:
    """The events after a cursor and where they end; `gap`: why the cursor is invalid; continue at `reached`."""

    bodies: list[bytes]
    reached: Cursor
    gap: str = ""


class Outbox:
    """The durable events of one service: the newest `keep` of them, and at most `keep_bytes`."""

    def __init__(
        self, store: Store, source: str, *,
        keep: int = 100_000, keep_bytes: int = OUTBOX_BYTES, boot: str | None = None,
    ) -> None:  # fmt: skip
        self.source = source
        self.keep = max(1, keep)
        self._keep_bytes = keep_bytes
        self._bytes_at_most = 0
        self._store = store
        self._epochs = Epochs(store, source)
        self._changes_read = -1
        self._added = 0
        """The position of the newest event of the open transaction; 0: none was added in it."""
        self.head = 0
        """The newest committed seq as of the last `refresh`; safe to read from any thread."""
        self._epochs.enter(boot_id() if boot is None else boot, self._last_position())
        self._measure()
        self.trim()
        self.refresh()
        store.observe(self)

    @property
    def epoch(self) -> str:
        return self._epochs.epoch

    @property
    def is_in_transaction(self) -> bool:
        return self._store.db.in_transaction

    def add(self, event: Durable) -> int:
        """Add `event` inside the caller's transaction; it is published after the commit. Returns its seq."""
        return self.add_all([event])

    def commit(self, event: Durable) -> None:
        """Add `event` in a transaction of its own. Raises StateError."""
        with self._store.transaction():
            self.add(event)

    def add_all(self, events: Sequence[Durable]) -> int:
        """As `add` for several, in their order; the seq of the last."""
        db = self._store.db
        if not db.in_transaction:
            raise RuntimeError(
                "Outbox.add outside a transaction: an event must commit together with the change it reports"
            )
        before = self._last_position()
        rows = [
            (position, event.at, self._body(event, position - self._epochs.base))
            for position, event in enumerate(events, before + 1)
        ]
        db.executemany("INSERT INTO bus_events VALUES (?, ?, ?)", rows)
        last = self._added = before + len(rows)
        self._bytes_at_most += sum(len(body) for _, _, body in rows)
        if last // _TRIM_EVERY > before // _TRIM_EVERY or self._bytes_at_most > self._keep_bytes:
            self._trim(last)
        return last - self._epochs.base

    def committed(self) -> None:
        """Record the events outside of the file at once: they may be lost with it before they are published."""
        if self._added:
            self._epochs.committed(self._added)
        self._added = 0

    def rolled_back(self) -> None:
        """The events of the transaction do not exist."""
        self._added = 0

    def refresh(self) -> int:
        """Read what has been committed, and record it outside of the file; returns the head."""
        # Only this connection writes: without a change there is nothing to read.
        if (changes := self._store.db.total_changes) != self._changes_read:
            last = self._last_position()
            self.head = last - self._epochs.base
            if not self._store.db.in_transaction:
                self._epochs.committed(last)
                self._changes_read = changes
        return self.head

    def since(self, seq: int, limit: int = REPLAY_LIMIT) -> list[bytes]:
        """The bodies after `seq` of this epoch, oldest first."""
        return self._bodies(self._epochs.base + seq, limit)

    def after(self, cursor: Cursor, limit: int = REPLAY_LIMIT) -> Replay:
        """The events after `cursor`, across epochs; for BEGINNING, from the oldest stored event."""
        self.refresh()
        oldest, last = self._oldest_position() - 1, self._last_position()
        position = oldest if cursor == BEGINNING else self._epochs.position(cursor)
        if position is None:
            return Replay([], self._epochs.resumption(oldest), f"{self.source} has a new state file")
        if position > last:
            return Replay([], self._epochs.cursor(last), f"{self.source} went back to an older state")
        if position < oldest:
            return Replay([], self._epochs.cursor(oldest), f"{oldest - position} events were trimmed")
        lost = self._epochs.break_after(cursor, position)
        if lost is not None and position >= lost.base:
            return Replay([], Cursor(lost.epoch, 0), lost.reason)
        bodies = self._bodies(position, limit, last if lost is None else lost.base)
        # Without events too: a subscriber whose cursor names no epoch, or an earlier one, is up to date then.
        return Replay(bodies, self._epochs.cursor(position + len(bodies), lost.number if lost else None))

    def close(self) -> None:
        """Record that the file is no longer in use."""
        self._epochs.leave()

    def trim(self) -> None:
        """Delete all but the newest, down to both limits."""
        with self._store.transaction():
            self._trim(self._last_position())

    def _trim(self, last: int) -> None:
        self._store.db.execute("DELETE FROM bus_events WHERE position <= ?", (last - self.keep,))
        if self._bytes_at_most > self._keep_bytes and self._measure() > self._keep_bytes:
            excess = self._bytes_at_most - int(self._keep_bytes * _TRIMMED_SHARE)
            deleted = 0
            sizes = self._store.db.execute("SELECT position, length(body) FROM bus_events ORDER BY position").fetchall()
            for position, size in sizes:
                # The newest stays: the next position follows from it.
                if excess <= 0 or position == last:
                    break
                excess -= size
                deleted = position
            removed = self._store.db.execute("DELETE FROM bus_events WHERE position <= ?", (deleted,)).rowcount
            self._measure()
            log.warning("deleted the oldest %d events: together they exceeded %d bytes", removed, self._keep_bytes)

    def _measure(self) -> int:
        """Count the stored bytes; in between, what a transaction took back is still counted."""
        (found,) = self._store.db.execute("SELECT total(length(body)) FROM bus_events").fetchone()
        self._bytes_at_most = int(found)
        return self._bytes_at_most

    def _body(self, event: Durable, seq: int) -> bytes:
        envelope = Envelope(source=self.source, epoch=self._epochs.epoch, seq=seq)
        stored = shortened(event)
        if stored is not event:
            log.warning("shortened the texts of an event %s: it was too large", type(event).__name__)
        return encode(stored, envelope)

    def _bodies(self, after: int, limit: int, until: int = 2**62) -> list[bytes]:
        rows = self._store.db.execute(
            "SELECT body FROM bus_events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
            (after, until, limit),
        )
        bodies: list[bytes] = []
        size = 0
        for (body,) in rows:
            size += len(body)
            if bodies and size > REPLAY_BYTES:
                break
            bodies.append(body)
        return bodies

    def _last_position(self) -> int:
        (last,) = self._store.db.execute("SELECT max(position) FROM bus_events").fetchone()
        return self._epochs.base if last is None else int(last)

    def _oldest_position(self) -> int:
        (oldest,) = self._store.db.execute("SELECT min(position) FROM bus_events").fetchone()
        return self._last_position() + 1 if oldest is None else int(oldest)


class CursorTable:
    """How far this service has applied the events of others, and the recorded gaps."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def transaction(self) -> AbstractContextManager[Connection]:
        """A transaction of the file."""
        return self.store.transaction()

    def get(self, source: str) -> Cursor:
        """The last applied event of `source`; BEGINNING for none."""
        row = self.store.db.execute("SELECT epoch, seq FROM bus_cursors WHERE source = ?", (source,)).fetchone()
        return BEGINNING if row is None else Cursor(*row)

    def advance(self, source: str, epoch: str, seq: int) -> None:
        """Record that (epoch, seq) is applied, inside the transaction that applies it."""
        self.store.db.execute("INSERT OR REPLACE INTO bus_cursors VALUES (?, ?, ?)", (source, epoch, seq))

    def record_gap(self, source: str, resume: Cursor, reason: str) -> None:
        """Record that events of `source` before `resume` are lost, and continue from there."""
        with self.store.transaction() as db:
            before = self.get(source)
            db.execute(
                "INSERT INTO bus_gaps (at, source, from_epoch, from_seq, to_epoch, to_seq, reason)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (time.time(), source, before.epoch, before.seq, resume.epoch, resume.seq, reason),
            )
            db.execute("DELETE FROM bus_gaps WHERE number <= (SELECT max(number) FROM bus_gaps) - 1000")
            self.advance(source, resume.epoch, resume.seq)

    def gaps(self) -> list[tuple[float, str, str]]:
        """(time, source, reason) of each gap, oldest first."""
        return self.store.db.execute("SELECT at, source, reason FROM bus_gaps ORDER BY number").fetchall()


def stored_events(path: Path, since: float = 0.0) -> Iterator[bytes]:
    """The bodies of the events in a service's file that happened at or after `since`; none without a file.

    They are read in parts: while its reader waits, for example for a pager, no transaction is open, which would keep
    the write-ahead log of the service from being reset.
    """
    try:
        db = open_readonly(path)
    except StateError as error:
        log.debug("%s", error)
        return
    with closing(db):
        position = 0
        while part := _part(db, position, since):
            position = part[-1][0]
            yield from (body for _, body in part)


def _part(db: Connection, after: int, since: float) -> list[tuple[int, bytes]]:
    """Positions and bodies of the next events, at most 500 and about 2 MiB."""
    found: list[tuple[int, bytes]] = []
    size = 0
    query = "SELECT position, body FROM bus_events WHERE position > ? AND at >= ? ORDER BY position LIMIT ?"
    with closing(db.execute(query, (after, since, REPLAY_LIMIT))) as rows:
        for position, body in rows:
            found.append((position, body))
            size += len(body)
            if size > REPLAY_BYTES:
                break
    return found
