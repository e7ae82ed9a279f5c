"""Sends metafiles to rTorrent, several in one request, and recognizes the resulting items by their mark."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from pyrotorque.errors import RequestTooLarge, RTorrentFault
from pyrotorque.open_loads import MARK, mark_of
from pyrotorque.rtorrent import Call, RTorrent
from pyrotorque.rtorrent.path_patterns import is_pattern
from pyrotorque.text import printable
from pyrotorque_watcher.load.cut_off import (
    Absences,
    absence_calls,
    absences_in,
    erase_cut_off,
    find_cut_off,
    keeps_data,
)
from pyrotorque_watcher.load.plan import LoadPlan, TorrentLoad, load_command
from pyrotorque_watcher.load.prepare import ReadyLoad, RTorrentView
from pyrotorque_watcher.load.visibility import mapped
from pyrotorque_watcher.rows import LoadRefused, Row

log = logging.getLogger(__name__)

# A separate request would cost as much as the load.
BATCH_LOADS: Final = 8  # loads in one request: a few milliseconds of rTorrent's time
BATCH_BYTES: Final = 192 * 1024  # of metafiles in one request, far below rTorrent's default limit
# rTorrent finds an item by its info-hash in a list, from its beginning: in a session of thousands, one pass over all
# items that compares their load times costs as much as about 30 such calls for new items.
_LOOKUPS_MAX: Final = 32
_LOAD_DATE_LAG: Final = 2  # seconds that rTorrent's own time may be behind
_COPY_AGE: Final = 600.0  # seconds until the copy of a large metafile is removed


class ItemState(Enum):
    """What rTorrent has for a metafile that was sent."""

    ABSENT = "no item, or not yet"
    LOADED = "an item of ours, and all its commands have run"
    BROKEN = "an item of ours, and one of its commands failed"
    FOREIGN = "an item that was not loaded for this row"
    CUT_OFF = "an item of ours that rTorrent saved without its load commands"
    UNPROVEN = "an item that was not there before the load, but is not marked and may be another program's"


class TieCutter(Protocol):
    """How an item stops being tied to a metafile."""

    def cut(self, info_hash: str) -> None: ...

    def cut_if_tied_to(self, info_hash: str, theirs: bytes) -> None: ...


def take_batch(ready: deque[ReadyLoad]) -> list[ReadyLoad]:
    """Take from `ready` what fits into one request; a large one is sent alone, and so is a suspect."""
    if not ready:
        return []
    taken = [ready.popleft()]
    size = taken[0].size
    if taken[0].suspect:
        return taken
    while ready and not ready[0].suspect and len(taken) < BATCH_LOADS and size + ready[0].size <= BATCH_BYTES:
        taken.append(ready.popleft())
        size += taken[-1].size
    return taken


def is_full(ready: deque[ReadyLoad], count: int) -> bool:
    """Whether `ready` has `count` metafiles to send, or fewer large ones: these stay on disk, not in memory."""
    return len(ready) >= count or sum(each.size for each in ready) > BATCH_BYTES


def _goes_with(batch: Sequence[ReadyLoad], following: Sequence[ReadyLoad]) -> bool:
    """Whether the absence of the items of `following` may be read by the request that loads `batch`: none of them is in
    both, none is removed before its load, and the request is not so large that it is divided."""
    loaded = {info_hash for ready in batch for info_hash in ready.row.load.info_hashes}
    return sum(ready.size for ready in batch) <= BATCH_BYTES and all(
        not ready.row.earlier.broken_token and loaded.isdisjoint(ready.row.load.info_hashes) for ready in following
    )


def item_state(marks: Sequence[str | None], token: str) -> ItemState:
    """The state of the items of one metafile, by their marks: absent if one is, broken if one is, ours if one is."""
    if None in marks:
        return ItemState.ABSENT
    if f"{token}." in marks:
        return ItemState.BROKEN
    return ItemState.LOADED if token in marks else ItemState.FOREIGN


@dataclass(frozen=True, slots=True)
class RTorrentItems:
    """Loads and their items. The ledger must have a row as sent before it is passed to `load`."""

    rtorrent: RTorrent
    view: RTorrentView
    ties: TieCutter
    copies: Path
    """The folder for copies of metafiles that are too large for a request, which rTorrent reads itself."""

    def remove_earlier(self, batch: Sequence[ReadyLoad]) -> None:
        """Remove what earlier loads of these files left: broken items, and ties of other items to them."""
        for ready in batch:
            earlier = ready.row.earlier
            if earlier.broken_token:
                self._remove_broken(earlier.broken_token, ready.plan)
            if ready.plan.tied and earlier.info_hash not in ("", ready.row.load.info_hash):
                # The file belongs to another item now: erasing the earlier one must not delete it.
                self.ties.cut_if_tied_to(earlier.info_hash, mapped(ready.row.path, ready.settings.path_map))

    def absences(self, rows: Sequence[Row], meanwhile: Callable[[], None] | None = None) -> Absences | None:
        """The evidence that rTorrent does not have the items of `rows`; the ledger must have it before `load`.

        None if rTorrent was restarted just now. `meanwhile` is called while rTorrent works.
        """
        began = time.monotonic()
        answers = self.rtorrent.multicall(absence_calls(rows), label="d.state", meanwhile=meanwhile)
        return absences_in(answers, rows, began)

    def load(
        self, batch: Sequence[ReadyLoad], following: Sequence[ReadyLoad], meanwhile: Callable[[], None]
    ) -> tuple[list[LoadRefused | None], Absences | None]:
        """For each of `batch`: None if rTorrent accepted it, else why not. And the absences of `following`, None where
        a request of its own must read them.

        `meanwhile` is called while rTorrent works.
        """
        loads: list[Call] = [
            (ready.command, ("", torrent.data, *torrent.commands)) for ready in batch for torrent in ready.plan.torrents
        ]
        following = following if _goes_with(batch, following) else ()
        if len(batch) == 1 and not following:
            return [self._load_alone(batch[0], meanwhile)], None
        rows = [ready.row for ready in following]
        calls, began = [*loads, *(absence_calls(rows) if rows else ())], time.monotonic()
        try:
            answers = self.rtorrent.multicall(calls, label=batch[0].command, meanwhile=meanwhile)
        except (RequestTooLarge, RTorrentFault):
            # What rTorrent accepted already, it does not load a second time.
            return [self._load_alone(ready, meanwhile) for ready in batch], None
        loaded = iter(answers)
        refusals = [_refusal([next(loaded) for _ in ready.plan.torrents]) for ready in batch]
        return refusals, absences_in(answers[len(loads) :], rows, began) if rows else None

    def states(self, rows: Sequence[Row], sent_after: float | None = None) -> list[ItemState]:
        """What rTorrent has for each row now; `sent_after` (Unix time) if all were sent by this process."""
        by_hash = self._marks([info_hash for row in rows for info_hash in row.load.info_hashes], sent_after)
        marks = {row.turn: [by_hash[info_hash] for info_hash in row.load.info_hashes] for row in rows}
        unmarked = [row for row in rows if row.absence is not None and "" in marks[row.turn]]
        cut_off = find_cut_off(self.rtorrent, unmarked)
        states = [item_state(marks[row.turn], row.token) for row in rows]
        for number, row in enumerate(rows):
            if row.turn in cut_off:
                states[number] = ItemState.CUT_OFF
            elif row in unmarked and states[number] is ItemState.FOREIGN:
                states[number] = ItemState.UNPROVEN
        return states

    def _marks(self, hashes: Sequence[str], sent_after: float | None) -> dict[str, str | None]:
        """The mark of each item, None without an item."""
        marks: dict[str, str | None] = {}
        if sent_after is not None and len(hashes) > _LOOKUPS_MAX:
            marks |= self._new_marks(sent_after)
        missing = [info_hash for info_hash in hashes if info_hash not in marks]
        answers = self.rtorrent.multicall([mark_of(info_hash) for info_hash in missing])
        for info_hash, answer in zip(missing, answers, strict=True):
            marks[info_hash] = None if isinstance(answer, RTorrentFault) else str(answer)
        return marks

    def _new_marks(self, since: float) -> dict[str, str]:
        """The marks of the items that were loaded since then, by rTorrent's clock: perhaps not all of them."""
        is_new = f"greater=d.load_date=,value={int(since) - _LOAD_DATE_LAG}"
        try:
            rows = self.rtorrent.rows("main", ("d.hash=", f"d.custom={MARK}"), where=is_new)
        except RTorrentFault:
            return {}
        return {row[0]: row[1] for row in rows}

    def erase_cut_off(self, rows: Sequence[Row]) -> None:
        """Erase the items of these rows that were saved without their load commands."""
        for hashes in find_cut_off(self.rtorrent, rows).values():
            erase_cut_off(self.rtorrent, hashes)

    def disable(self, broken: Sequence[Row]) -> list[str]:
        """Stop items whose commands failed, so that nothing starts them, and leave them; why their commands failed."""
        reasons: list[str] = []
        for row in broken:
            info_hash = row.load.info_hash
            calls = [(name, (info_hash,)) for name in ("d.message", "d.stop", "d.close")]
            answers = self.rtorrent.multicall([*calls, ("d.priority.set", (info_hash, 0))])
            message = "" if isinstance(answers[0], RTorrentFault) else str(answers[0])
            reasons.append(f"a load command failed: {message or 'rTorrent does not report which one'}")
        return reasons

    def _remove_broken(self, broken_token: str, plan: LoadPlan) -> None:
        """Erase the items of an earlier load whose commands failed, but never the metafile with them."""
        for torrent in plan.torrents:
            mark = self.rtorrent.multicall([mark_of(torrent.info_hash)])[0]
            if mark == f"{broken_token}." and keeps_data(self.rtorrent):
                with suppress(RTorrentFault):
                    self.ties.cut(torrent.info_hash)
                    self.rtorrent.call("d.erase", torrent.info_hash)

    def _load_alone(self, ready: ReadyLoad, meanwhile: Callable[[], None]) -> LoadRefused | None:
        try:
            for torrent in ready.plan.torrents:
                self.rtorrent.call(ready.command, "", torrent.data, *torrent.commands, meanwhile=meanwhile)
        except RequestTooLarge as error:
            return self._load_by_path(ready, error)
        except RTorrentFault as fault:
            return _refusal([fault])
        return None

    def _load_by_path(self, ready: ReadyLoad, limit: RequestTooLarge) -> LoadRefused | None:
        """rTorrent reads a file itself: a copy of what was read, or else the very file, if its name is no pattern."""
        row, plan, settings = ready.row, ready.plan, ready.settings
        theirs = mapped(row.path, settings.path_map)
        torrent = plan.torrents[0]
        read_by_rtorrent = self._copy(torrent, settings.path_map)
        if read_by_rtorrent is None:
            if is_pattern(theirs) or not self.view.sees(row.path, theirs):
                reason = f"{limit}; and it is not certain that rTorrent reads {printable(theirs)} as this file"
                return LoadRefused("too_large", reason)
            read_by_rtorrent = theirs
        # rTorrent ties the item to the file that it reads; the plan has the tie to the metafile.
        untied = () if plan.tied else (b"d.tied_to_file.set=",)
        command = load_command(plan.state, quiet=settings.quiet, by_path=True)
        try:
            self.rtorrent.call(command, "", read_by_rtorrent, *untied, *torrent.commands)
        except RTorrentFault as fault:
            return _refusal([fault])
        return None

    def _copy(self, torrent: TorrentLoad, path_map: Sequence[tuple[str, str]]) -> bytes | None:
        """rTorrent's path of a private copy, or None if it does not see it. Copies of earlier loads are removed."""
        ours = os.fsencode(self.copies / f"{torrent.info_hash}.torrent")
        theirs = mapped(ours, path_map)
        if is_pattern(theirs):
            return None
        try:
            self.copies.mkdir(mode=0o700, exist_ok=True)
            for earlier in self.copies.iterdir():
                if time.time() - earlier.lstat().st_mtime > _COPY_AGE:
                    earlier.unlink()
            self._write(ours, torrent.data)
        except OSError as error:
            log.warning("cannot write a copy of a large metafile to %s: %s", self.copies, error.strerror)
            return None
        return theirs if self.view.sees(ours, theirs) else None

    @staticmethod
    def _write(path: bytes, data: bytes) -> None:
        # A new file each time: rTorrent does not read a path again that has not changed.
        with suppress(FileNotFoundError):
            os.unlink(path)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(data)


def _refusal(answers: Sequence[object]) -> LoadRefused | None:
    faults = [answer for answer in answers if isinstance(answer, RTorrentFault)]
    return LoadRefused("rpc", f"rTorrent refused it: {faults[0]}") if faults else None
