"""Decides whether this is the rTorrent and the session that is known: the rule for all that compares two readings.

`recognize` is the rule, a pure function. The scheduler applies it, because it has the list of the known items, and
records the result in `state/rtorrent.json`. All others ask a `SessionGate`, which reads that record.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from pyrotorque.errors import RTorrentFault, SessionNotKnown
from pyrotorque.json_input import decode_json
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.rtorrent.client import RTorrent
from pyrotorque.rtorrent.identity import Identity
from pyrotorque.rtorrent.session import Session
from pyrotorque.rtorrent.session_mark import SessionMark, read_mark
from pyrotorque.text import encode_json, printable

_Found = TypeVar("_Found")

RECORD_NAME: Final = "rtorrent.json"

# Items that may be missing after a restart of rTorrent whose session cannot be seen, and count as erased meanwhile.
_FEW: Final = 5
_FEW_SHARE: Final = 0.1
# Less than this share of the known items: another rTorrent. It is far from both cases: other rTorrents share no items,
# except a few for cross-seeding; a restored or copied session lacks what was added after the copy.
_OURS_SHARE: Final = 0.5
# An rTorrent whose session cannot be seen, and that has less than before, may still be loading it.
LOADING_SECONDS: Final = 600.0
# Another rTorrent that stays is the one to use: it is accepted, without events.
STAYS_SECONDS: Final = 24 * 3600.0
# How long a gate waits for the scheduler to compare the items of a restarted rTorrent.
_COMPARED_WITHIN: Final = 60.0
SHARED_ADVICE: Final = (
    "both start and remove its items, so neither can keep its limits: stop one of them (`pyrotorque --config-dir "
    "DIRECTORY --stop`), or give it an rTorrent of its own (`scgi_url` in its torque.ini)"
)


class SessionFacts(msgspec.Struct, frozen=True):
    """What identifies an rTorrent process and its session folder, which is not `visible` from everywhere."""

    incarnation: str
    pid: int = 0
    hostname: str = ""
    session_path: str = ""
    visible: bool = False
    device: int = 0
    inode: int = 0
    mark: str = ""
    generation: int = -1

    @property
    def description(self) -> str:
        session = f"session {self.session_path}" if self.session_path else "no session"
        return f"pid {self.pid} on {self.hostname}, {session}"


class HeldSession(msgspec.Struct, frozen=True):
    """Another rTorrent that answers; `since` is when it was first seen, in Unix seconds."""

    facts: SessionFacts
    since: float
    reason: str


class KnownSession(msgspec.Struct, frozen=True):
    """The record: the rTorrent that is known, and the other one that answers now, if so.

    `group` identifies the database that has the known items. `era` grows when these are replaced without events.
    `shared_with`: other groups that change its items.
    """

    facts: SessionFacts
    group: str
    era: int = 0
    held: HeldSession | None = None
    shared_with: tuple[str, ...] = ()


class Recognition(Enum):
    """What an rTorrent is, compared with the known one."""

    FIRST = "none is known yet"
    SAME = "the known process"
    RESTARTED = "another process with the known session"
    CHANGED = "the known session, but from another time: its differences are no events"
    LOADING = "it may still be loading the known session"
    OTHER = "another rTorrent"


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """How many items are `known`, and how many of these are `missing` now."""

    known: int
    missing: int

    @property
    def present(self) -> int:
        return self.known - self.missing

    @property
    def few_missing(self) -> bool:
        return self.missing <= max(_FEW, self.known * _FEW_SHARE)


def recognize(
    known: KnownSession | None, found: SessionFacts, items: ItemCounts, now: float, *, accepted: bool = False
) -> Recognition:
    """What `found` is. `accepted`: its owner said that it is the right one."""
    if known is None:
        return Recognition.FIRST
    facts = known.facts
    if found.incarnation == facts.incarnation:
        return Recognition.SAME
    if accepted:
        return Recognition.CHANGED
    if found.mark and found.mark == facts.mark:
        # Killed between writing the mark and recording it: one more. Yet another one: our record is the older copy.
        is_current = facts.generation <= found.generation <= facts.generation + 1
        return Recognition.RESTARTED if is_current else Recognition.CHANGED
    if _is_restarted(facts, found, items):
        return Recognition.RESTARTED
    if not items.known:
        return Recognition.CHANGED
    held = known.held if known.held is not None and is_same_session(known.held.facts, found) else None
    age = now - held.since if held is not None else 0.0
    if items.present < items.known * _OURS_SHARE:
        return Recognition.CHANGED if age >= STAYS_SECONDS else Recognition.OTHER
    return Recognition.CHANGED if found.visible or age >= LOADING_SECONDS else Recognition.LOADING


def _is_restarted(known: SessionFacts, found: SessionFacts, items: ItemCounts) -> bool:
    """Whether it is the known session, as far as that can be said without a mark."""
    if not items.few_missing:
        return False
    has_most = items.present >= items.known * _OURS_SHARE
    if found.visible and known.visible:
        if found.mark and known.mark:
            return False
        if known.mark and items.missing:
            return False  # the mark is missing, too: a disk that is not mounted, or a folder restored without it
        is_same_folder = (known.device, known.inode) == (found.device, found.inode)
        return is_same_folder or (known.session_path == found.session_path and has_most)
    is_same_place = (found.hostname, found.session_path) == (known.hostname, known.session_path)
    return is_same_place or has_most


def is_same_session(one: SessionFacts, other: SessionFacts) -> bool:
    """Whether two readings are of one other rTorrent, also after its restart."""
    if one.incarnation == other.incarnation:
        return True
    if one.mark or other.mark:
        return one.mark == other.mark
    return (one.hostname, one.session_path) == (other.hostname, other.session_path)


def read_facts(rtorrent: RTorrent, identity: Identity, session: Session, group: str) -> SessionFacts:
    """The facts about this rTorrent; one call for each of its incarnations. Raises RTorrentError."""
    try:
        path = str(rtorrent.call("session.path", ""))
    except RTorrentFault:
        path = ""
    session.locate(rtorrent, identity)
    mark, device, inode = None, 0, 0
    if session.folder:
        mark = read_mark(session.folder)
        try:
            found = os.stat(session.folder)
            device, inode = found.st_dev, found.st_ino
        except OSError:
            pass
    return SessionFacts(
        incarnation=identity.incarnation,
        pid=identity.pid,
        hostname=printable(identity.hostname),
        session_path=printable(path),
        visible=bool(session.folder),
        device=device,
        inode=inode,
        mark=mark.name if mark else "",
        generation=mark.generation(group) if mark else -1,
    )


def _is_current(known: KnownSession, mark: SessionMark) -> bool:
    return mark.name == known.facts.mark and mark.generation(known.group) >= known.facts.generation


def shared_text(groups: Sequence[str]) -> str:
    """One sentence about the groups of `KnownSession.shared_with`."""
    return f"another group uses this rTorrent, too: {', '.join(groups)}"


def encode_record(record: KnownSession) -> bytes:
    return encode_json(record)


def decode_record(data: bytes) -> KnownSession | None:
    """None where `data` is no record."""
    try:
        return decode_json(data, type=KnownSession)
    except msgspec.DecodeError:
        return None


@dataclass
class SessionGate:
    """Whether differences between two readings of rTorrent may be acted on: only within one known session.

    For everything outside of the scheduler. Ask before anything that follows from "it was so, and now it is not": an
    item is gone, a value changed. What only depends on the present state of an item does not need it.
    """

    state_dir: Path
    clock: Callable[[], float] = time.monotonic
    session: Session = field(default_factory=Session)
    _stamp: tuple[int, int] = (0, 0)
    _record: KnownSession | None = None
    _unknown_since: dict[str, float] = field(default_factory=dict[str, float])

    def check(self, rtorrent: RTorrent) -> None:
        """Raises SessionNotKnown, with the reason, unless the rTorrent that answers is known; and RTorrentError."""
        if reason := self.why_unknown(rtorrent, rtorrent.identity()):
            raise SessionNotKnown(reason)

    def read(self, rtorrent: RTorrent, reading: Callable[[], _Found]) -> _Found:
        """What `reading` finds in the known rTorrent, which answers before and after it: what is missing is gone.

        Raises SessionNotKnown, with the reason; and RTorrentError.
        """
        before = rtorrent.identity()
        if reason := self.why_unknown(rtorrent, before):
            raise SessionNotKnown(reason)
        found = reading()
        if rtorrent.identity().incarnation != before.incarnation:
            raise SessionNotKnown("rTorrent was replaced while it was read")
        return found

    def era(self) -> int:
        """Grows when the known items were replaced without events: earlier readings then mean nothing."""
        record = self._read()
        return record.era if record else 0

    def why_unknown(self, rtorrent: RTorrent, identity: Identity) -> str:
        """Why differences found in this rTorrent are to be ignored; empty if it is the known one.

        Raises RTorrentError.
        """
        reason = self.why_unknown_incarnation(identity.incarnation)
        if reason != NOT_COMPARED:
            return reason
        self.session.locate(rtorrent, identity)
        mark = read_mark(self.session.folder) if self.session.folder else None
        return "" if mark is not None and self._record is not None and _is_current(self._record, mark) else reason

    def why_unknown_incarnation(self, incarnation: str) -> str:
        """The same by the incarnation alone: NOT_COMPARED after a restart, until the scheduler has compared the items.

        It is returned for at most a minute, as a group may run without its scheduler.
        """
        record = self._read()
        if record is None or record.facts.incarnation == incarnation:
            self._unknown_since.clear()
            return ""
        if record.held is not None and record.held.facts.incarnation == incarnation:
            return record.held.reason
        now = self.clock()
        since = self._unknown_since.setdefault(incarnation, now)
        return "" if now - since >= _COMPARED_WITHIN else NOT_COMPARED

    def _read(self) -> KnownSession | None:
        path = self.state_dir / RECORD_NAME
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp != self._stamp:
                self._record, self._stamp = decode_record(read_regular_file(path, limit=RECORDS_MAX)), stamp
        except OSError:
            self._record, self._stamp = None, (0, 0)
        return self._record


NOT_COMPARED: Final = "rTorrent was restarted, and the scheduler has not compared its items yet"
