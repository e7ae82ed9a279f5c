"""The ties of items to metafiles (`d.tied_to_file`): the only place that changes one after the load.

Users run `remove_untied`, which erases items whose metafile is not at the path of their tie. A tied metafile is
therefore linked to its new name, then the tie is changed and saved, and only then the old name is removed; before a
tied metafile is deleted, its tie is cut and that is saved. A change that is not in rTorrent's session would be undone
when rTorrent is killed: the tie then points to a name that is gone.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pyrotorque.errors import RTorrentFault
from pyrotorque.rtorrent import Call, Identity, RTorrent, Value, save_threads
from pyrotorque.rtorrent.item_texts import equal_call
from pyrotorque.rtorrent.session import Session
from pyrotorque.settings.schema import WatchSettings
from pyrotorque_watcher.load.visibility import mapped

log = logging.getLogger(__name__)

_TIE: Final = "d.tied_to_file"
_SAVED_WITHIN: Final = 1.0  # seconds until the caller tries again later
_SAVE_AGAIN: Final = 0.4
_POLL: Final = 0.01
_UNSEEN: Final = 5.0  # seconds that a save gets where the session cannot be seen; it takes milliseconds


@dataclass(frozen=True, slots=True)
class TieChange:
    """The item's tie to the path `old` (None: to any path) is replaced by `new` (empty: no tie); both are rTorrent's
    paths. Another tie stays."""

    info_hash: str
    old: bytes | None
    new: bytes


class FileView(Protocol):
    """Whether rTorrent sees our file (first) under its path (second)."""

    def __call__(self, ours: bytes, theirs: bytes, /) -> bool: ...


@dataclass
class Ties:
    rtorrent: RTorrent
    session: Session
    sees: FileView
    recognize: Callable[[Identity], None] = lambda _: None
    """Raises SessionNotKnown for another rTorrent than the known one: an item that it lacks may still be tied."""
    wait: Callable[[float], None] = time.sleep
    _requested: dict[TieChange, float] = field(default_factory=dict[TieChange, float])
    """When the first save was requested, where the session cannot be seen."""
    _warned: bool = False

    def cut(self, info_hash: str) -> None:
        """The item, which is erased next, is tied to no file. Raises RTorrentFault."""
        self.rtorrent.call(f"{_TIE}.set", info_hash, "")

    def cut_if_tied_to(self, info_hash: str, theirs: bytes) -> None:
        """The item is no longer tied to this path of rTorrent; a tie to another path stays."""
        self.apply([TieChange(info_hash, theirs, b"")])

    def target(self, path: bytes, settings: WatchSettings) -> bytes:
        """The tie of an item whose metafile is at `path`: none if rTorrent would consider that file deleted."""
        theirs = mapped(path, settings.path_map)
        return theirs if settings.tie != "auto" or self.sees(path, theirs) else b""

    def apply(self, changes: Sequence[TieChange]) -> list[bool]:
        """For each: whether it is done and saved, so that the file may leave its `old` name. Raises RTorrentError and
        SessionNotKnown.

        False is no failure: a later call with the same change continues. An item that is gone has no tie.
        """
        if not changes:
            return []
        before = self.rtorrent.identity()
        self.recognize(before)
        self.session.locate(self.rtorrent, before)
        pending = self._replace(changes)
        safe = self._seen(pending) if self.session.folder else self._unseen(pending)
        if self.rtorrent.identity().incarnation != before.incarnation:
            return [False] * len(changes)
        return [change not in pending or change in safe for change in changes]

    def _replace(self, changes: Sequence[TieChange]) -> "dict[TieChange, bool]":
        """The changes whose item exists, and whether its tie was replaced (or never was the `old` one)."""
        answers = self.rtorrent.multicall([call for change in changes for call in _questions(change)])
        pending: dict[TieChange, bool] = {}
        for change, tie, equal in zip(changes, answers[::2], answers[1::2], strict=True):
            if isinstance(tie, RTorrentFault) or (change.old is None and not tie):
                continue
            pending[change] = bool(tie) and _is_old(change, tie, equal)
        sets: list[Call] = [(f"{_TIE}.set", (each.info_hash, each.new)) for each, ours in pending.items() if ours]
        unsaved = [change for change, ours in pending.items() if ours or not self._is_saved(change, ours)]
        # A fault means that the item was erased just now; the next call finds that.
        self.rtorrent.multicall(sets + _saves(unsaved))
        return pending

    def _seen(self, pending: "dict[TieChange, bool]") -> set[TieChange]:
        """The changes that the session files have."""
        unsaved = set(pending)
        began = time.monotonic()
        requested, again = save_threads.now(), began + _SAVE_AGAIN
        while True:
            unsaved = {change for change in unsaved if not self._stays_saved(change, pending[change], requested)}
            if not unsaved or time.monotonic() >= began + _SAVED_WITHIN:
                return pending.keys() - unsaved
            if time.monotonic() >= again:
                self.rtorrent.multicall(_saves(unsaved))
                requested, again = save_threads.now(), again + _SAVE_AGAIN
            self.wait(_POLL)

    def _unseen(self, pending: "dict[TieChange, bool]") -> set[TieChange]:
        """The changes that have had enough time to be saved."""
        if not self._warned and pending:
            self._warned = True
            log.warning(
                "rTorrent's session folder cannot be seen from here (another container?): metafiles are disposed of "
                "%d s after rTorrent was requested to save their items, without proof that it did",
                *(_UNSEEN,),
            )
        now = time.monotonic()
        safe = {change for change in pending if now - self._requested.setdefault(change, now) >= _UNSEEN}
        for change in safe:
            del self._requested[change]
        return safe

    def _stays_saved(self, change: TieChange, ours: bool, requested: float) -> bool:
        """Whether the session has it, and no save that began before `requested` can change that."""
        if not self._is_saved(change, ours) or self.session.is_saving(change.info_hash, requested):
            return False
        return self._is_saved(change, ours)

    def _is_saved(self, change: TieChange, ours: bool) -> bool:
        if not self.session.holds(change.info_hash):
            return False
        tie = (self.session.values(change.info_hash) or {}).get("tied_to_file", b"")
        return tie == change.new if ours or change.old is None else tie != change.old


def _questions(change: TieChange) -> list[Call]:
    tie: Call = (_TIE, (change.info_hash,))
    return [tie, tie if change.old is None else equal_call(change.info_hash, f"{_TIE}=", change.old)]


def _is_old(change: TieChange, tie: Value, equal: Value | RTorrentFault) -> bool:
    """rTorrent compares the bytes itself: it does not return all of them in its answers."""
    return change.old is None or (
        os.fsencode(str(tie)) == change.old if isinstance(equal, RTorrentFault) else equal == 1
    )


def _saves(changes: "Sequence[TieChange] | set[TieChange]") -> list[Call]:
    return [("d.save_full_session", (change.info_hash,)) for change in changes]
