"""The epochs of a service's events: a new boot, or a state file that is older than at its last use, begins a new one.

A position counts all events of one file; `seq` counts those of one epoch from 1. No (epoch, seq) is used twice, also if
the file was replaced by an older one; a subscriber that may have missed events then gets a gap.
"""

import logging
import os
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from pyrotorque import logs
from pyrotorque.json_input import decode_json
from pyrotorque.state_witness import OlderState, StateMark, StateWitness, epoch_prefix
from pyrotorque.store import Store

log = logging.getLogger(__name__)


class Cursor(NamedTuple):
    """A position in the events of one source: all up to and including `seq` of `epoch` were received."""

    epoch: str
    seq: int


BEGINNING = Cursor("", 0)


class _Loss(msgspec.Struct, frozen=True):
    """Stored with an epoch: events before it were lost, up to position `until` (None: not known)."""

    reason: str
    until: int | None = None


class EpochBreak(NamedTuple):
    """The beginning of an epoch before which events were lost."""

    number: int
    epoch: str
    base: int
    reason: str


class RestoredFile(NamedTuple):
    """The identity of a file in its backup, and the one that it has now."""

    before: str
    now: str


@dataclass
class Epochs:
    """The epochs of one file, and the one that it is in."""

    store: Store
    source: str
    epoch: str = ""
    base: int = 0
    """The position before the first event of `epoch`."""

    def __post_init__(self) -> None:
        self._witness = StateWitness(self.store.path)
        self._mark = StateMark("", 0, 0, "")

    def enter(self, boot: str, position: int) -> None:
        """Continue the last epoch, or begin one; `position` is that of the newest event."""
        with self.store.transaction() as db:
            known = db.execute("SELECT name, base FROM bus_epochs ORDER BY number DESC LIMIT 1").fetchone()
            last, base = known or ("", position)
            mark = StateMark(self._meta("database"), int(self._meta("uses", "0")), position, boot)
            older = self._witness.compare(mark, self.source, last, base)
            mark = msgspec.structs.replace(mark, uses=mark.uses + 1)
            if older is not None and older.cause == "replaced":
                mark = msgspec.structs.replace(mark, database=os.urandom(4).hex())
            self._set_meta("database", mark.database)
            self._set_meta("uses", str(mark.uses))
            self.epoch, self.base = last, base
            # Version 1.0.0 wrote names without a random end.
            if older is not None or last.rpartition("-")[0] != epoch_prefix(mark) != last:
                self.epoch, self.base = f"{epoch_prefix(mark)}-{os.urandom(2).hex()}", position
                db.execute("INSERT INTO bus_epochs (name, base) VALUES (?, ?)", (self.epoch, position))
            if older is not None:
                self._record(older)
        if older is not None:
            self._log(f"{older.reason}; subscribers that may have missed events of the {self.source} record a gap")
        self._mark = mark
        self._witness.write(mark)

    def restore(self, boot: str, reason: str, seen_before_ns: int | None) -> "RestoredFile":
        """This file comes from a backup: begin an epoch with a gap before it, and give the file another identity.

        `seen_before_ns`: what is older was known to the lost state; None if that state is replaced as a whole.
        """
        with self.store.transaction() as db:
            (last,) = db.execute("SELECT max(position) FROM bus_events").fetchone()
            base = db.execute("SELECT base FROM bus_epochs ORDER BY number DESC LIMIT 1").fetchone()
            position = int(last) if last is not None else int(base[0]) if base else 0
            before, uses = self._meta("database"), int(self._meta("uses", "0")) + 1
            self._mark = StateMark(os.urandom(4).hex(), uses, position, boot)
            self._set_meta("database", self._mark.database)
            self._set_meta("uses", str(uses))
            self.epoch, self.base = f"{epoch_prefix(self._mark)}-{os.urandom(2).hex()}", position
            db.execute("INSERT INTO bus_epochs (name, base) VALUES (?, ?)", (self.epoch, position))
            self._set_meta(f"lost before {self.epoch}", msgspec.json.encode(_Loss(reason)).decode())
            if seen_before_ns is not None:
                self._set_meta("seen before", str(seen_before_ns))
        self._witness.write(self._mark)
        return RestoredFile(before, self._mark.database)

    def committed(self, position: int) -> None:
        """The newest event is at `position`; called when it was committed, and before it is published."""
        if position != self._mark.position:
            self._mark = msgspec.structs.replace(self._mark, position=position)
            self._witness.write(self._mark)

    def leave(self) -> None:
        """The file is closed: a copy that was made while it was in use is older from now on."""
        with self.store.transaction():
            self._mark = msgspec.structs.replace(self._mark, uses=self._mark.uses + 1)
            self._set_meta("uses", str(self._mark.uses))
        self._witness.write(self._mark)

    def position(self, cursor: Cursor) -> int | None:
        """The position of `cursor`; None if its epoch is unknown."""
        found = self.store.db.execute(
            "SELECT base, (SELECT min(base) FROM bus_epochs AS later WHERE later.number > this.number)"
            " FROM bus_epochs AS this WHERE name = ?",
            (cursor.epoch,),
        ).fetchone()
        if found is None:
            return None
        base, following = int(found[0]), found[1]
        # A power cut removed events that were published: a subscriber that is ahead continues with the next epoch.
        return base + cursor.seq if following is None else min(base + cursor.seq, int(following))

    def cursor(self, position: int, before: int | None = None) -> Cursor:
        """The cursor at `position`, in the last epoch that begins there or earlier; `before`: with a lower number."""
        query = "SELECT name, base FROM bus_epochs WHERE base <= ? AND number < ? ORDER BY number DESC LIMIT 1"
        name, base = self.store.db.execute(query, (position, before or 2**62)).fetchone()
        return Cursor(name, position - base)

    def break_after(self, cursor: Cursor, position: int) -> EpochBreak | None:
        """The first epoch after `cursor` before which events were lost that its owner did not receive.

        BEGINNING is before all epochs, at `position`.
        """
        row = self.store.db.execute("SELECT number, base FROM bus_epochs WHERE name = ?", (cursor.epoch,)).fetchone()
        own, received = (0, position) if row is None else (int(row[0]), int(row[1]) + cursor.seq)
        rows = self.store.db.execute(
            "SELECT number, name, base, value FROM bus_epochs JOIN bus_meta ON key = 'lost before ' || name"
            " WHERE number > ? ORDER BY number",
            (own,),
        )
        for number, name, base, value in rows:
            loss = decode_json(value, type=_Loss)
            if loss.until is None or received < loss.until:
                return EpochBreak(number, name, base, loss.reason)
        return None

    def resumption(self, oldest: int) -> Cursor:
        """Where a subscriber continues whose epoch is unknown: events of before this file was put here again may have
        been applied already, under another epoch."""
        row = self.store.db.execute(
            "SELECT name, base FROM bus_epochs JOIN bus_meta ON key = 'lost before ' || name"
            " ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return self.cursor(oldest) if row is None or row[1] < oldest else Cursor(row[0], 0)

    def _log(self, text: str) -> None:
        log.error("%s", text)
        logs.owner_event("state damaged", f"failed: {text}")

    def _record(self, older: OlderState) -> None:
        loss = _Loss(older.reason, older.until)
        self._set_meta(f"lost before {self.epoch}", msgspec.json.encode(loss).decode())
        self._set_meta("seen before", str(older.seen_before_ns))

    def _meta(self, key: str, default: str = "") -> str:
        found = self.store.db.execute("SELECT value FROM bus_meta WHERE key = ?", (key,)).fetchone()
        return default if found is None else str(found[0])

    def _set_meta(self, key: str, value: str) -> None:
        self.store.db.execute("INSERT OR REPLACE INTO bus_meta VALUES (?, ?)", (key, value))


def take_seen_before(store: Store) -> int | None:
    """If this file is older than at its last use: what is older than this (ns) was known to the lost state. Once."""
    with store.transaction() as db:
        found = db.execute("SELECT value FROM bus_meta WHERE key = 'seen before'").fetchone()
        db.execute("DELETE FROM bus_meta WHERE key = 'seen before'")
    return None if found is None else int(found[0])
