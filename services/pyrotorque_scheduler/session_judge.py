"""Keeps the record of the known rTorrent: in the scheduler's database, and as a copy in `state/rtorrent.json`."""

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec

from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.logs import owner_event
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.recognition import (
    RECORD_NAME,
    SHARED_ADVICE,
    HeldSession,
    ItemCounts,
    KnownSession,
    Recognition,
    SessionFacts,
    decode_record,
    encode_record,
    is_same_session,
    read_facts,
    recognize,
    shared_text,
)
from pyrotorque.rtorrent.session import Session
from pyrotorque.rtorrent.session_mark import SessionMark, new_mark, read_mark, write_mark
from pyrotorque.store import Store
from pyrotorque.text import counted
from pyrotorque_scheduler.other_groups import OtherGroups

log = logging.getLogger(__name__)

_MARK_EVERY: Final = 60.0
_ADVICE: Final = "if this one is right, run `pyrotorque accept-rtorrent`"


class SessionJudge:
    """`session` is the session folder of the rTorrent that was judged last."""

    def __init__(self, store: Store, rtorrent: RTorrent, others: OtherGroups) -> None:
        self._store = store
        self._rtorrent = rtorrent
        self._file = store.path.with_name(RECORD_NAME)
        (self._group,) = store.db.execute("SELECT value FROM bus_meta WHERE key = 'database'").fetchone()
        self.session = Session()
        self.items_changed = True
        """Whether the items changed since the mark was written; a start counts, as it is not stored."""
        self._marked_at = float("-inf")
        row = store.db.execute("SELECT body FROM known_rtorrent").fetchone()
        self._known = decode_record(row[0]) if row else None
        self._others = others
        others.restore(self.shared_with)
        self._write_file()

    @property
    def shared_with(self) -> tuple[str, ...]:
        """The other groups that change items of this rTorrent."""
        return self._known.shared_with if self._known else ()

    @property
    def held(self) -> HeldSession | None:
        """The other rTorrent that answered last, if it was not the known one."""
        return self._known.held if self._known else None

    def is_known(self, incarnation: object) -> bool:
        """Whether differences found in this incarnation may be acted on; True before the very first comparison."""
        return self._known is None or self.is_confirmed(incarnation)

    def is_confirmed(self, incarnation: object) -> bool:
        """Whether this is the known rTorrent, and its items were compared."""
        return self._known is not None and self._known.facts.incarnation == incarnation

    def returned(self) -> None:
        """The known rTorrent answers again, and another one did before."""
        if self._known is not None and self._known.held is not None:
            self._report(logging.INFO, f"the known rTorrent is back ({self._known.facts.description})")
            self._record(msgspec.structs.replace(self._known, held=None))
            self._write_file()

    def facts(self) -> SessionFacts:
        """The facts about the rTorrent that answers. Raises RTorrentError."""
        return read_facts(self._rtorrent, self._rtorrent.identity(), self.session, self._group)

    def recognize(self, found: SessionFacts, items: ItemCounts, now: float, *, accepted: bool) -> Recognition:
        return recognize(self._known, found, items, now, accepted=accepted)

    def hold(self, found: SessionFacts, what: Recognition, items: ItemCounts, now: float) -> None:
        """Ignore this rTorrent for now: logged once."""
        known, held = self._known, self.held
        if known is None or (held is not None and held.facts.incarnation == found.incarnation):
            return
        has = f"it has {items.present} of the {counted(items.known, 'known item')}"
        if what is Recognition.LOADING:
            reason = f"rTorrent ({found.description}) was restarted and may still be loading its session: {has}"
        else:
            reason = f"another rTorrent answers ({found.description}): {has} (known: {known.facts.description})"
        is_successor = held is not None and is_same_session(held.facts, found)
        since = held.since if held is not None and is_successor else now
        self._record(msgspec.structs.replace(known, held=HeldSession(found, since, reason)))
        self._write_file()
        if is_successor:
            return
        self._report(
            logging.WARNING,
            f"{reason}; until the known one is back, what is completed or erased there is not reported, metafiles are "
            f"not disposed of, and unfinished moves wait; {_ADVICE}",
        )

    def take(self, found: SessionFacts, what: Recognition, items: ItemCounts) -> None:
        """This rTorrent is the known one from now on; joins the caller's transaction, see `publish`."""
        before = self._known
        generation = found.generation
        if found.visible and (what is not Recognition.RESTARTED or not found.mark):
            generation = max(generation, before.facts.generation if before else 0, 0) + 1
        marked = self._marked(found, generation)
        era = before.era if before else 0
        era += what is Recognition.CHANGED
        self._record(KnownSession(marked, self._group, era, shared_with=self.shared_with))
        self.items_changed = True
        if before is None:
            return
        if what is Recognition.CHANGED:
            level = logging.WARNING if items.missing or before.held else logging.INFO
            self._report(
                level,
                f"{_why_changed(before.facts, found)} ({found.description}): it has {items.present} of the "
                f"{counted(items.known, 'known item')}; recorded its items without events",
            )
        elif before.held is not None:
            self._report(logging.INFO, f"the known rTorrent is back ({found.description})")

    def publish(self) -> None:
        """After the transaction of `take`: write the copy for the other processes."""
        self._write_file()

    def update_mark(self, now: float) -> None:
        """Look for other groups in the mark, and raise its generation if items changed: at most once a minute.

        Without changed items, no call to rTorrent. Raises RTorrentError.
        """
        known = self._known
        if known is None or not known.facts.visible or 0 <= now - self._marked_at < _MARK_EVERY:
            return
        self._marked_at = now
        if self.items_changed:
            self.locate()
        if not self.session.folder or self.session.incarnation != known.facts.incarnation:
            return
        mark = read_mark(self.session.folder)
        if mark is not None and mark.name == known.facts.mark:
            self._look_for_groups(mark)
            if self._others.has_signs and not self.items_changed:
                write_mark(self.session.folder, self._others.beat(mark))
        if self.items_changed:
            marked = self._marked(known.facts, known.facts.generation + 1)
            if marked.generation > known.facts.generation:
                self._change(facts=marked)
            self.items_changed = False

    def _look_for_groups(self, mark: SessionMark) -> None:
        """Report other groups that change items of this rTorrent, and their end."""
        appeared, gone = self._others.look(mark.uses)
        if appeared or gone:
            self._change(shared_with=tuple(each for each in (*self.shared_with, *appeared) if each not in gone))
        for each in appeared:
            text = f"{shared_text((each,))}; {SHARED_ADVICE}"
            log.warning("%s", text)
            owner_event("rtorrent shared", text, subject=each)
        for each in gone:
            text = f"the group {each} uses this rTorrent no more"
            log.info("%s", text)
            owner_event("rtorrent alone", text, subject=each)

    def _change(self, **changes: Any) -> None:
        if self._known is not None:
            self._record(msgspec.structs.replace(self._known, **changes))
            self._write_file()

    def without_files(self, hashes: Iterable[str]) -> set[str]:
        """The items whose session files are provably gone: their owner erased them."""
        known = self._known
        if known is None or not self.session.folder or self.session.incarnation != known.facts.incarnation:
            return set()
        gone = {info_hash for info_hash in hashes if self.session.has_none(info_hash)}
        # A folder that was unmounted meanwhile has no files at all.
        mark = read_mark(self.session.folder) if gone else None
        return gone if not known.facts.mark or (mark is not None and mark.name == known.facts.mark) else set()

    def locate(self) -> None:
        """Find the session folder of the rTorrent that answers. Raises RTorrentError."""
        self.session.locate(self._rtorrent, self._rtorrent.identity())

    def _marked(self, facts: SessionFacts, generation: int) -> SessionFacts:
        """The facts after the mark was written: before the record, which may then be older, never newer."""
        if not facts.visible or not self.session.folder or generation == facts.generation:
            return facts
        mark = read_mark(self.session.folder) or new_mark()
        if facts.mark and mark.name != facts.mark:
            return facts
        if not write_mark(self.session.folder, self._others.beat(mark.at(self._group, generation))):
            log.debug("cannot write a mark to the session folder %s", facts.session_path)
            return facts
        return msgspec.structs.replace(facts, mark=mark.name, generation=generation)

    def _record(self, known: KnownSession) -> None:
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO known_rtorrent VALUES (1, ?)", (encode_record(known),))
        self._known = known

    def _write_file(self) -> None:
        """A file that could not be written is written at the next change: the others then wait for a minute at most."""
        if self._known is None:
            return
        data, fresh = encode_record(self._known), self._file.with_suffix(".json.new")
        with suppress(OSError):
            if self._file.exists() and read_regular_file(self._file, limit=RECORDS_MAX) == data:
                return
        try:
            fresh.write_bytes(data)
            os.replace(fresh, self._file)
        except OSError as error:
            log.warning("cannot write %s: %s", self._file, error.strerror)

    @staticmethod
    def _report(level: int, text: str) -> None:
        log.log(level, "%s", text)
        owner_event("rtorrent changed" if level > logging.INFO else "rtorrent known", text)


def _why_changed(known: SessionFacts, found: SessionFacts) -> str:
    if not known.mark or known.mark != found.mark:
        return "rTorrent has another session folder"
    if found.generation < known.generation:
        return "rTorrent has an older copy of its session"
    return "the stored items are older than rTorrent's session"
