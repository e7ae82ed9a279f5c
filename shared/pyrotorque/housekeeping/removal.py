"""Removes one item: announces its stop, closes it, has the facts checked again, moves its files, erases it.

Each step is journalled before it is done, and until the item is erased each can be undone. After a kill the next run
continues from the journal: the item is untouched, or gone with all of its files in quarantine.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import PyrotorqueError, RemovalRefused, RTorrentError, StateError
from pyrotorque.housekeeping import moved_files, quarantine
from pyrotorque.housekeeping.away_disks import is_away
from pyrotorque.housekeeping.journal import RemovalJournal, RemovalRecord, RemovedFile
from pyrotorque.housekeeping.open_files import open_inodes
from pyrotorque.housekeeping.own_folders import remove_own_folders
from pyrotorque.housekeeping.removed_item import is_in_folder, is_loaded, is_magnet, start_again
from pyrotorque.housekeeping.returned_files import move_back
from pyrotorque.housekeeping.stop_announcement import is_announced, tracker_counters
from pyrotorque.housekeeping.tied_files import cut_foreign_tie
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.item_load import ItemLoad, read_load
from pyrotorque.rtorrent.session import Session
from pyrotorque.text import printable

# The item is erased by the same command that finds it loaded then, closed and stopped: a start in between prevents it.
_LOADED: Final = "equal=d.load_date=,value={date}"
_ERASE: Final = 'branch=d.is_open=,cat=,"branch=d.state=,cat=,d.erase="'
_WITHIN: Final = 10.0  # seconds for rTorrent to do what it was commanded
_POLL: Final = 0.02
_KEPT_AFTER_KILL: Final = 7 * 86_400.0


@dataclass(frozen=True)
class VerifiedItem:
    """What the gate found when the item was closed: its folder, and the files that may go."""

    directory: bytes
    multi_file: bool
    own_folder: bool
    files: tuple[RemovedFile, ...]
    quarantine: os.PathLike[str] | None
    frees: int = 0
    kept: int = 0
    kept_files: tuple[str, ...] = ()
    linked: frozenset[tuple[int, int]] = frozenset()
    """Files that other items have under other names, and may have open."""
    folders: frozenset[tuple[int, int]] = frozenset()
    """Folders that stay even if they are empty (device, inode)."""
    chunks_done: int = 0


Verify = Callable[[], VerifiedItem]


@dataclass
class Remover:
    """Removals in one rTorrent, one after the other.

    `spend` records a removal that counts for the limits of a day, before its item is erased; `report` is called when it
    is done, perhaps again after a kill.
    """

    rtorrent: RTorrent
    session: Session
    journal: RemovalJournal
    log: logging.Logger
    spend: Callable[[RemovalRecord], None]
    report: Callable[[RemovalRecord], None]
    claimed: Callable[[RemovalRecord], str]
    """Names an item that has claimed the files of a removal since they were moved; empty if none has."""
    clock: Callable[[], float]
    """The own clock: until when data stays in quarantine."""
    announce: float = 30.0
    known: Callable[[Callable[[], bool]], bool] = lambda reading: reading()
    """Asks the known rTorrent only (`SessionGate.read`): what another one lacks was not erased."""
    last_look: Callable[[RemovalRecord], None] = lambda _: None
    """Raises RemovalRefused right before the erasure: until then everything can be undone."""
    unfinished: list[str] = field(default_factory=list[str])
    """Of which items something is left to do, and why, since the last `recover`."""

    def remove(self, removal: RemovalRecord, verify: Verify) -> RemovalRecord:
        """Remove the item; returns what was done. Raises RemovalRefused or RTorrentError, and the item is as before.

        Raises SessionNotKnown if rTorrent was replaced meanwhile: then `recover` continues or undoes it.
        """
        removal = msgspec.structs.replace(removal, started=self.rtorrent.call("d.state", removal.info_hash) == 1)
        if self.journal.has(removal.info_hash):  # it has where the files are
            raise RemovalRefused("an earlier removal of it is not finished")
        removal = self.journal.write(removal)
        folders: frozenset[tuple[int, int]] = frozenset()
        try:
            self._stop(removal)
            verified = verify()
            self._require_same(removal)
            folders = verified.folders
            removal = self._with_facts(removal, verified)
            self._require_unused(removal.files, verified.linked)
            if removal.data != "keep":
                removal = self.journal.write(msgspec.structs.replace(removal, phase="moving"))
                self._move(removal)
            removal = self.journal.write(msgspec.structs.replace(removal, phase="erasing"))
            self.last_look(removal)
            self._erase(removal)
        except (PyrotorqueError, OSError) as error:
            if self._is_loaded(removal) and not self._is_magnet(removal):
                self._undo(removal, error)
                raise RemovalRefused(str(error)) if isinstance(error, OSError) else error from error
            # Erased by another program, or by a command whose answer was lost: this run does not delete for that.
            self.log.warning("%s: erased, although: %s; its data stays in quarantine", removal.name, error)
            return self._end(self._without_deletion(removal), None)
        return self._end(removal, folders)

    def recover(self) -> list[str]:
        """Continue or undo what a kill interrupted; returns of which items something is left to do, and why.

        Nothing is deleted, because what was verified is no longer certain: such data stays in quarantine for a while.
        Raises SessionNotKnown, RemovalRefused or RTorrentError.
        """
        self.session.locate(self.rtorrent, self.rtorrent.identity())
        for removal in map(self._without_deletion, list(self.journal.unfinished())):
            if removal.phase == "erased" or self._is_magnet(removal):
                self._end_or_discard(removal)
            elif not self._is_loaded(removal):
                if removal.data != "keep" and not _await(partial(self.session.has_none, removal.info_hash), _WITHIN):
                    raise RemovalRefused(f"{removal.name} is not in rTorrent, but in its session")
                # Erased by its owner, perhaps: what was moved stays in quarantine, the rest stays where it is.
                self._end_or_discard(removal)
            elif removal.phase == "erasing" and self._is_complete(removal):
                try:
                    self._erase(removal)
                except RemovalRefused as error:
                    self._undo(removal, error)
                else:
                    self._end(removal, None)
            else:
                self._undo(removal, RemovalRefused("it was interrupted"))
        found, self.unfinished = self.unfinished, []
        return found

    # --- the steps

    def _stop(self, removal: RemovalRecord) -> None:
        info_hash = removal.info_hash
        self._require_same(removal)
        before = tracker_counters(self.rtorrent, info_hash)
        was_active = self.rtorrent.call("d.is_active", info_hash) == 1
        self.rtorrent.call("d.stop", info_hash)
        if was_active and self.announce:
            _await(lambda: is_announced(before, tracker_counters(self.rtorrent, info_hash)), self.announce)
        self.rtorrent.call("d.close", info_hash)
        if not _await(lambda: self.rtorrent.call("d.is_open", info_hash) == 0, _WITHIN):
            raise RemovalRefused("rTorrent has not closed it")
        self.session.locate(self.rtorrent, self.rtorrent.identity())
        # rTorrent, killed now, must not start it again: it would create its files empty.
        if removal.data != "keep" and self.session.save(self.rtorrent, info_hash, {"state": 0}, _WITHIN) is not True:
            raise RemovalRefused("rTorrent has not saved that it is stopped (is its disk full?)")

    def _require_same(self, removal: RemovalRecord) -> ItemLoad:
        load = read_load(self.rtorrent, removal.info_hash)
        if not removal.load.is_same(load) or not is_in_folder(self.rtorrent, removal):
            raise RemovalRefused("it was loaded again, or moved, in the meantime")
        return load

    def _with_facts(self, removal: RemovalRecord, verified: VerifiedItem) -> RemovalRecord:
        folder = os.stat(verified.directory) if verified.files else None
        removal = msgspec.structs.replace(
            removal,
            directory_hex=verified.directory.hex(),
            device=folder.st_dev if folder else 0,
            inode=folder.st_ino if folder else 0,
            multi_file=verified.multi_file,
            own_folder=verified.own_folder,
            files=verified.files,
            frees=verified.frees,
            kept=verified.kept,
            kept_files=verified.kept_files,
            chunks_done=verified.chunks_done,
        )
        if removal.data == "keep" or verified.quarantine is None:
            return removal
        entry = quarantine.make_entry(Path(verified.quarantine), removal)
        return msgspec.structs.replace(removal, entry_hex=os.fsencode(entry).hex())

    def _require_unused(self, files: Sequence[RemovedFile], linked: frozenset[tuple[int, int]]) -> None:
        """An unlinked file that is open frees nothing, and one that is moved is written in its new place."""
        pid = self.rtorrent.identity().pid
        wanted = {(file.device, file.inode) for file in files} - linked
        if wanted and not _await(lambda: not wanted & open_inodes(pid), _WITHIN):
            raise RemovalRefused("rTorrent still has one of its files open")

    def _move(self, removal: RemovalRecord) -> None:
        root = moved_files.open_root(removal.directory, (removal.device, removal.inode)) if removal.files else -1
        try:
            target = quarantine.create(removal, self.session.folder)
            try:
                if removal.files:
                    moved_files.copy_mode(root, target)  # the folder of the entry itself is private
                    moved_files.move(root, target, removal.files)
                    if lacking := moved_files.missing(target, removal.files):
                        raise RemovalRefused(f"{printable(lacking[0].path)} did not arrive in the quarantine")
            finally:
                os.close(target)
        finally:
            if root >= 0:
                os.close(root)

    def _erase(self, removal: RemovalRecord) -> None:
        load = self._require_same(removal)
        self.spend(removal)
        self.session.locate(self.rtorrent, self.rtorrent.identity())
        cut_foreign_tie(self.rtorrent, removal.info_hash)
        self.rtorrent.call("branch", removal.info_hash, _LOADED.format(date=load.date), _ERASE, "cat=")
        if self._is_loaded(removal):  # erased within that call, or not at all
            raise RemovalRefused("it was started in the meantime")
        # A killed rTorrent must not come back with it.
        if self.session.folder and not _await(lambda: self.session.has_none(removal.info_hash), _WITHIN):
            self.log.warning("%s is erased, but rTorrent's session still has its metafile", removal.name)

    def _end(self, removal: RemovalRecord, folders: frozenset[tuple[int, int]] | None) -> RemovalRecord:
        """What follows the erasure. What a full disk prevents is done later: other runs may free it until then."""
        if is_away(removal):
            where = f"{printable(removal.entry)}, which is not there: is its disk mounted?"
            end = f"if there is none any more, remove {printable(str(self.journal.path(removal.info_hash)))}"
            return self._leave_open(removal, f"its data is in {where} ({end})")
        try:
            return self._finish(removal, folders)
        except (OSError, RemovalRefused, StateError) as error:
            return self._leave_open(removal, str(error))

    def _leave_open(self, removal: RemovalRecord, problem: str) -> RemovalRecord:
        """The journal is kept: without it the entry would never count as finished, and could not be restored.

        On a full state disk it stays as it was before the erasure; the next run finds that the item is gone.
        """
        left = msgspec.structs.replace(self._without_deletion(removal), phase="erased")
        with suppress(OSError, RemovalRefused, StateError):
            self.report(self.journal.write(left))
        self.unfinished.append(f"{removal.name} is erased, but {problem}")
        self.log.warning("%s; the next run tries again", self.unfinished[-1])
        return left

    def _finish(self, removal: RemovalRecord, folders: frozenset[tuple[int, int]] | None) -> RemovalRecord:
        """Remove empty folders, and the data if it is to be deleted; neither after a kill (`folders` is None)."""
        if removal.data == "delete" and (name := self.claimed(removal)):
            removal = self._without_deletion(removal)
            self.log.warning("%s: its data stays in quarantine, as %s needs it now", removal.name, printable(name))
        removal = self.journal.write(msgspec.structs.replace(removal, phase="erased"))
        if removal.entry and removal.data != "delete":  # on a full disk, it could not be written
            quarantine.describe(removal)
        if removal.files and removal.data != "keep" and folders is not None:
            remove_own_folders(removal, folders)
        if removal.data == "delete" and removal.entry:
            removal = self._delete(removal)
        else:
            self.report(removal)
        self.journal.remove(removal)
        return removal

    def _delete(self, removal: RemovalRecord) -> RemovalRecord:
        """Reported before the entry is gone: after a kill, nothing shows any more that its data was deleted."""

        def report(freed: int) -> None:
            self.report(msgspec.structs.replace(removal, frees=freed))

        entry = quarantine.QuarantineEntry(_path(removal.entry), removal)
        freed, stay = quarantine.purge(entry, report=report)
        for path in stay:
            self.log.warning("%s: %s stays in quarantine: it is another file now", removal.name, printable(path))
        if stay:
            report(freed)
        return msgspec.structs.replace(removal, frees=freed)

    def _undo(self, removal: RemovalRecord, error: Exception) -> None:
        """Put the files back and start the item if it ran. What cannot be put back stays in the journal.

        An item that was loaded again stays as it is: in another folder, or, in this one, started or not.
        """
        try:
            is_same = is_in_folder(self.rtorrent, removal)
            if not removal.load.is_same(read_load(self.rtorrent, removal.info_hash)):
                started = self.rtorrent.call("d.state", removal.info_hash) == 1
                removal = msgspec.structs.replace(removal, started=started)
            is_unproven = False
            if removal.phase in ("moving", "erasing") and removal.entry:
                if is_same:
                    self.rtorrent.multicall([("d.stop", (removal.info_hash,)), ("d.close", (removal.info_hash,))])
                is_unproven = move_back(removal)
            if is_same:
                start_again(self.rtorrent, removal, is_unproven=is_unproven)
        except (OSError, RemovalRefused, RTorrentError) as problem:
            where = f"; see {printable(removal.entry)} for its files" if removal.entry else ""
            text = f"{removal.name} could not be put back as it was: {problem}{where}"
            self.unfinished.append(text)
            self.log.error("%s; it was not removed as %s; the next run tries again", text, error)
            return
        self.log.warning("%s: not removed: %s", removal.name, error)
        self._discard(removal)

    def _end_or_discard(self, removal: RemovalRecord) -> None:
        """The item is gone. Where nothing of it was moved, and its erasure not begun, no removal has to be reported."""
        if removal.phase == "stopping":
            self.log.info("%s: erased by another program before its removal; its data stays", removal.name)
            self._discard(removal)
        else:
            self._end(removal, None)

    def _discard(self, removal: RemovalRecord) -> None:
        """Remove the entry of an item that is as before; where that fails, the next run does it and nothing else."""
        try:
            if removal.entry:
                quarantine.discard(removal)
        except OSError as problem:
            self.journal.write(msgspec.structs.replace(removal, phase="stopping", started=False))
            text = f"{removal.name} has its files back, but {printable(removal.entry)} cannot be removed: {problem}"
            self.unfinished.append(text)
            self.log.warning("%s; the next run tries again", text)
        else:
            self.journal.remove(removal)

    # --- facts

    def _without_deletion(self, removal: RemovalRecord) -> RemovalRecord:
        if removal.data == "keep":
            return removal
        purge_at = max(removal.purge_at, self.clock() + _KEPT_AFTER_KILL)
        return msgspec.structs.replace(removal, data="quarantine", purge_at=purge_at)

    def _is_loaded(self, removal: RemovalRecord) -> bool:
        return self.known(partial(is_loaded, self.rtorrent, removal.info_hash))

    def _is_magnet(self, removal: RemovalRecord) -> bool:
        """Whether the item was erased, and loaded again as a magnet link: the entry has its only metafile.

        One that is a magnet link itself has no files, and so no entry.
        """
        return bool(removal.entry) and self.known(partial(is_magnet, self.rtorrent, removal.info_hash))

    def _is_complete(self, removal: RemovalRecord) -> bool:
        """Whether all files are in the quarantine, as before the item was to be erased.

        Where none were moved, nothing proves that this is the same item, still to be removed: it is decided again.
        """
        if not removal.files:
            return False
        with suppress(OSError):
            root = moved_files.open_root(os.path.join(removal.entry, quarantine.DATA))
            try:
                return not moved_files.missing(root, removal.files)
            finally:
                os.close(root)
        return False


def _await(condition: Callable[[], bool], within: float) -> bool:
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL)
    return True


def _path(entry: bytes) -> Path:
    return Path(os.fsdecode(entry))
