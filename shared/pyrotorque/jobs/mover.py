"""Moves the data of complete items to where they belong: compared before anything is removed, never over anything.

The item keeps seeding while its data is copied to another disk, and is closed only for the switch. A kill at any moment
is taken up by the next run, which is why this job needs a schedule.
"""

import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pyrotorque.errors import PyrotorqueError, RTorrentFault, UserError
from pyrotorque.events import Event
from pyrotorque.items import Item
from pyrotorque.jobs.arguments import compile_text
from pyrotorque.jobs.item_job import ItemJob
from pyrotorque.jobs.move_journal import Journal, Move, path_hex, sync_folder
from pyrotorque.jobs.moving.placing import rename
from pyrotorque.jobs.params import text_of
from pyrotorque.jobs.tree_copy import OutOfTime, copy_tree, is_copied, remove_copied, remove_tree
from pyrotorque.text import printable

_CONDITION: Final = "is_complete=yes custom_targetdir=/./"
_TARGET: Final = "{{custom_targetdir}}"
_OF_TIMEOUT: Final = 0.8


class Mover(ItemJob):
    """`target` is a template for the folder that is to hold the data, by default the custom value `targetdir`.

    `below` names folders (separated by `:`) outside of which nothing is moved.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        target = text_of(config, "target") or _TARGET
        chosen = text_of(config, "condition", "matcher") or (_CONDITION if target == _TARGET else "is_complete=yes")
        super().__init__({**config, "condition": chosen})
        if not config.get("schedule"):
            raise UserError(f"job.{self.name}.schedule is not set: what was interrupted goes on at its times")
        self._target = compile_text(target)
        paths = frozenset(("path", "is_multi_file", "is_complete"))
        self.needed = self.check_fields(self._target.fields - {"job_name"}) | paths
        self._below = [Path(part).expanduser() for part in text_of(config, "below").split(":") if part]
        self._time = float(config.get("timeout", 0.0) or 0.0) * _OF_TIMEOUT or float("inf")
        self._until = float("inf")

    def run(self, event: Event | None = None) -> None:
        self._until = time.monotonic() + self._time
        self._journal = Journal(self.state_dir)
        failed: list[str] = []
        try:
            for move in list(self._journal.moves()):
                try:
                    self._go_on(move)
                except (PyrotorqueError, OSError) as error:
                    failed.append(f"{move.name}: {error}")
                    self.log.error("%s", failed[-1])
            super().run(event)
        except OutOfTime:
            self.log.info("the time for one run is up: the next one goes on (job.%s.timeout)", self.name)
        if failed:
            raise UserError(f"{len(failed)} moves that had begun failed: {'; '.join(failed[:5])}")

    def run_item(self, item: Item) -> None:
        info_hash, name = str(item["hash"]), printable(str(item["name"]))
        target = self._target.render({**{field: item[field] for field in self.needed}, "job_name": self.name})
        if not target or self._journal.has(info_hash):
            return
        source = Path(os.path.normpath(str(item["path"])))
        final = self.checked(target) / source.name
        if source == final or not item["is_complete"]:
            return
        if not os.path.lexists(source):
            raise UserError(f"its data {printable(str(source))} is not on this machine")
        if os.path.lexists(final):
            raise UserError(f"{printable(str(final))} is there already: nothing is overwritten")
        if final.is_relative_to(source):
            raise UserError(f"{printable(str(final))} lies inside of its data")
        if self.dry_run:
            self.log.info("would move %s to %s", name, printable(str(final)))
            return
        move = Move(
            info_hash=info_hash,
            name=name,
            source_hex=path_hex(source),
            final_hex=path_hex(final),
            multi_file=bool(item["is_multi_file"]),
        )
        self._journal.note(move)
        try:
            self._go_on(move)
        except OSError as error:
            raise UserError(f"cannot be moved to {printable(str(final))}: {error.strerror or error}") from error

    def checked(self, target: str) -> Path:
        """The folder, when data may be moved there."""
        path = Path(target)
        if not path.is_absolute() or ".." in path.parts:
            raise UserError(f"the target {printable(target)} is no absolute path without `..`")
        if self._below and not any(path.is_relative_to(folder) for folder in self._below):
            raise UserError(f"the target {printable(target)} is not below {':'.join(map(str, self._below))}")
        return path

    def _go_on(self, move: Move) -> None:
        """Take up a move wherever it is; each step may be repeated."""
        if not self._is_known(move):
            self._forget(move)
            return
        if move.phase == "copying":
            move = self._prepare(move)
        if move.phase == "switching":
            move = self._switch(move)
        if move.phase == "cleaning":
            copied = move.by_copy and os.path.lexists(move.source)
            for left in remove_copied(move.source, move.final) if copied else ():
                self.log.warning("left behind, it is not in the copy: %s", printable(str(left)))
            self._journal.drop(move)
            self.log.info("moved %s to %s", move.name, printable(str(move.final)))

    def _prepare(self, move: Move) -> Move:
        """Have all data on the target's disk, beside its final place; on the same disk there is nothing to do."""
        move.final.parent.mkdir(parents=True, exist_ok=True)
        by_copy = move.by_copy or move.source.lstat().st_dev != move.final.parent.stat().st_dev
        if by_copy:
            copy_tree(move.source, move.aside, self._pause)
        started = self.rtorrent.call("d.state", move.info_hash) == 1
        move = msgspec.structs.replace(move, phase="switching", by_copy=by_copy, started=started)
        self._journal.note(move)
        return move

    def _switch(self, move: Move) -> Move:
        """Close the item, put the data into its place, tell rTorrent, start it again."""
        for command in ("d.stop", "d.close", "d.save_full_session"):
            self.rtorrent.call(command, move.info_hash)
        origin = move.aside if move.by_copy else move.source
        if os.path.lexists(origin):
            try:
                if move.by_copy and not is_copied(move.source, origin):
                    raise UserError("its data changed after it was copied; it is copied again")
                rename(origin, move.final)
            except (OSError, UserError) as error:
                self._step_back(move, error)
                raise
            sync_folder(move.final.parent)
        elif not os.path.lexists(move.final):
            raise UserError(f"its data is neither at {printable(str(origin))} nor at {printable(str(move.final))}")
        place, command = (
            (move.final, "d.directory_base.set") if move.multi_file else (move.final.parent, "d.directory.set")
        )
        self.rtorrent.call(command, move.info_hash, str(place))
        self.rtorrent.call("d.save_full_session", move.info_hash)
        if move.started:
            self.rtorrent.call("d.start", move.info_hash)
        move = msgspec.structs.replace(move, phase="cleaning")
        self._journal.note(move)
        return move

    def _step_back(self, move: Move, error: Exception) -> None:
        """The switch cannot be made: the item runs on where it was."""
        if move.started:
            self.rtorrent.call("d.start", move.info_hash)
        if isinstance(error, FileExistsError):
            remove_tree(move.aside)
            self._journal.drop(move)
        else:
            over_disks = isinstance(error, OSError) and error.errno == errno.EXDEV
            back = msgspec.structs.replace(move, phase="copying", by_copy=move.by_copy or over_disks)
            self._journal.note(back)

    def _is_known(self, move: Move) -> bool:
        try:
            return bool(self.rtorrent.call("d.hash", move.info_hash))
        except RTorrentFault:
            return False

    def _forget(self, move: Move) -> None:
        """Its owner erased the item meanwhile: the data stays where it is, but for a copy that was not ended."""
        if os.path.lexists(move.source):
            remove_tree(move.aside)
        self._journal.drop(move)
        self.log.warning("%s is no longer in rTorrent: its data stays where it is", move.name)

    def _pause(self) -> None:
        if time.monotonic() > self._until:
            raise OutOfTime
