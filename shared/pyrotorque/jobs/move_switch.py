"""The effects of a move on rTorrent: the item is closed, its data renamed, its path set, saved, and started again."""

import errno
import os
from collections.abc import Mapping
from typing import Final

import msgspec

from pyrotorque.errors import UserError
from pyrotorque.jobs.item_path import exact_path
from pyrotorque.jobs.move_claims import DataClaims
from pyrotorque.jobs.move_failures import MoveRefused
from pyrotorque.jobs.move_files import MoveFiles
from pyrotorque.jobs.move_journal import Move, MoveJournal, found_at
from pyrotorque.jobs.move_links import require_same_targets
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.item_load import read_load
from pyrotorque.rtorrent.item_texts import equal_call
from pyrotorque.rtorrent.session import SavedValue, Session
from pyrotorque.text import printable

_SAVED_WITHIN: Final = 10.0  # seconds


class MoveSwitch:
    """Each step is idempotent, and recorded in the journal."""

    def __init__(self, rtorrent: RTorrent, files: MoveFiles, journal: MoveJournal, claims: DataClaims) -> None:
        self._rtorrent, self._files, self._journal, self.claims = rtorrent, files, journal, claims

    def moved_by_others(self, move: Move) -> str:
        """Why this is no longer the item's move: others have moved the item, or put other data in its place; empty if
        it is. Raises MoveRefused if rTorrent does not print the path, RTorrentError."""
        path = exact_path(self._rtorrent, move.info_hash, move.multi_file)
        if path not in (move.source, move.final):
            return f"was moved to {printable(str(path))} by others"
        here = found_at(move.source)
        # Some filesystems (FUSE) give a file another inode after a mount: so both must differ.
        if move.found[0] and here[0] not in (0, move.found[0]) and here[1] != move.found[1] and not _is_renamed(move):
            return f"has other data at {printable(str(move.source))} now"
        return ""

    def has_new_path(self, move: Move) -> bool:
        """Whether the item is where it was moved to. Raises RTorrentError."""
        # Compared by rTorrent, which may print another path than it has.
        method, params = equal_call(move.info_hash, "d.directory=", os.fsencode(move.directory))
        return self._rtorrent.call(method, *params) == 1

    def of_this_load(self, move: Move) -> Move:
        """The same move, as it is for an item that was erased and loaded again: that was not closed for it.

        If its data has the new path already, it gets it there, started or not as it is now. Raises RTorrentError.
        """
        load = read_load(self._rtorrent, move.info_hash)
        if move.load.is_same(load) or move.phase != "switching":
            return move
        if not _is_renamed(move):
            return msgspec.structs.replace(move, load=load, closed=False)
        started = self._rtorrent.call("d.state", move.info_hash) == 1
        return msgspec.structs.replace(move, load=load, started=started)

    def prepare(self, move: Move) -> Move:
        by_copy = self._files.prepare(move)
        # An earlier version that continues it does not know `closed`: it would leave the item stopped.
        started = self._rtorrent.call("d.state", move.info_hash) == 1
        move = msgspec.structs.replace(move, phase="switching", by_copy=by_copy, closed=False, started=started)
        self._journal.write(move)
        return move

    def switch(self, move: Move) -> Move:
        """Close the item, rename the data to its final path, set the path in rTorrent, start the item again.

        It ends only when rTorrent's session has the new path: a killed rTorrent then comes back with it.
        """
        if not self._is_switched(move):
            self._require_alone(move)
            if not move.closed:
                started = self._rtorrent.call("d.state", move.info_hash) == 1
                move = msgspec.structs.replace(move, started=started, closed=True)
                self._journal.write(move)
            self._rtorrent.call("d.stop", move.info_hash)
            self._rtorrent.call("d.close", move.info_hash)
            # Saved and awaited before the next save: on rTorrent 0.16 two saves may end in either order.
            try:
                self._save(move, {"state": 0})
                self._require_alone(move)  # saving may take seconds
            except UserError:
                self._start_again(move)
                self._journal.write(msgspec.structs.replace(move, closed=False))
                raise
            self._rename(move)
            command = "d.directory_base.set" if move.multi_file else "d.directory.set"
            self._rtorrent.call(command, move.info_hash, os.fsencode(move.directory))
            if move.started:
                self._rtorrent.call("d.start", move.info_hash)
        self._save(move, {"state": int(move.started), "directory": os.fsencode(move.directory)})
        move = msgspec.structs.replace(move, phase="cleaning")
        self._journal.write(move)
        return move

    def _require_alone(self, move: Move) -> None:
        if not _is_renamed(move) and os.path.lexists(move.source):
            self.claims.require_alone(move.info_hash, move.source, multi_file=move.multi_file)
            require_same_targets(move.source, move.final, self.claims.links)

    def _undo_if_shared(self, move: Move) -> None:
        """Put the data back if an item that has it was loaded right before the rename."""
        if move.by_copy:  # the old data is still there
            return
        try:
            self.claims.require_alone(move.info_hash, move.source, multi_file=False)
        except MoveRefused as error:
            self._files.rename_back(move)
            self._revert(move, error)
            raise

    def _rename(self, move: Move) -> None:
        origin = move.partial if move.by_copy else move.source
        if _is_renamed(move):
            self._files.end_rename(move)
            return
        if os.path.lexists(origin):
            try:
                self._files.rename(move)
            except (OSError, UserError) as error:
                self._revert(move, error)
                raise
            self._files.sync(move)
            self._undo_if_shared(move)
        else:
            self._files.require_mounted(move)
            text = f"its data is neither at {printable(str(origin))} nor at {printable(str(move.final))}"
            raise MoveRefused(text, "missing")

    def _is_switched(self, move: Move) -> bool:
        """Whether an earlier run did all of the switch, except that rTorrent had not saved it."""
        # Compared by rTorrent, which may print another path than it has.
        compared = equal_call(move.info_hash, "d.directory=", os.fsencode(move.directory))
        state, is_equal = self._rtorrent.multicall([("d.state", (move.info_hash,)), compared])
        return _is_renamed(move) and (state, is_equal) == (int(move.started), 1)

    def _save(self, move: Move, wanted: Mapping[str, SavedValue]) -> None:
        """Save the item to rTorrent's session and wait until these values are in it, where the session can be seen.

        Raises UserError where they are not: the next run continues from here.
        """
        session = Session()
        if session.save(self._rtorrent, move.info_hash, wanted, _SAVED_WITHIN) is False:
            raise MoveRefused(
                f"rTorrent has not saved {move.name} in its session {printable(session.folder)} within "
                f"{_SAVED_WITHIN:.0f} s (is its disk full?); the next run continues the move",
                "session",
            )

    def _revert(self, move: Move, error: Exception) -> None:
        """The switch failed: start the item again where it was."""
        self._start_again(move)
        if isinstance(error, FileExistsError):
            self._files.remove_partial(move)
            self._journal.remove(move)
        else:
            other_disk = isinstance(error, OSError) and error.errno == errno.EXDEV
            back = msgspec.structs.replace(move, phase="copying", by_copy=move.by_copy or other_disk)
            self._journal.write(back)

    def _start_again(self, move: Move) -> None:
        """Start the item where its data still is."""
        if move.started:
            self._rtorrent.call("d.start", move.info_hash)
            self._rtorrent.call("d.save_full_session", move.info_hash)


def _is_renamed(move: Move) -> bool:
    """Whether the data has its final path. Other data may have come to the old one since."""
    origin = move.partial if move.by_copy else move.source
    final = found_at(move.final)
    return final[0] != 0 and (not os.path.lexists(origin) or (not move.by_copy and final == move.found))
