"""Moves the data of complete items to their target folder: compared before removal, never overwriting anything.

The item keeps seeding while its data is copied to another disk, and is closed only for the switch. The next run
continues after a kill at any moment, which is why this job needs a schedule.
"""

import os
import time
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any, Final

from pyrotorque.errors import PyrotorqueError, RTorrentError, SessionNotKnown, UserError
from pyrotorque.events import Event, TorrentCompleted
from pyrotorque.housekeeping.removed_item import is_loaded
from pyrotorque.items import Item, field_of
from pyrotorque.jobs.arguments import compile_text
from pyrotorque.jobs.compared_files import remove_records
from pyrotorque.jobs.item_job import ItemJob
from pyrotorque.jobs.item_path import check_exact, exact_path, plain_path
from pyrotorque.jobs.move_claims import DataClaims
from pyrotorque.jobs.move_failures import MoveFailures, MoveRefused, about_of, cause_of
from pyrotorque.jobs.move_files import MoveFiles
from pyrotorque.jobs.move_journal import FinishedMoves, Move, MoveJournal, found_at, path_hex
from pyrotorque.jobs.move_links import FolderLinks, require_same_targets
from pyrotorque.jobs.move_switch import MoveSwitch
from pyrotorque.jobs.move_target import TargetRules
from pyrotorque.jobs.params import get_text, with_settings
from pyrotorque.jobs.partial_items import EarlierPartialItems
from pyrotorque.jobs.target_disks import TargetDisks
from pyrotorque.jobs.tree_copy import CopyDeadline
from pyrotorque.jobs.unfinished_changes import UnfinishedChanges
from pyrotorque.linux.filesystems import is_within, location, read_mounts
from pyrotorque.rtorrent.accepted_loads import await_accepted_loads
from pyrotorque.rtorrent.item_load import read_load
from pyrotorque.text import printable

_DONE: Final = "is_wanted_done=yes"
_CONDITION: Final = f"{_DONE} custom_targetdir=/./"
_PARTIAL: Final = f"is_complete=no {_DONE}"
_TARGET: Final = "{{custom_targetdir}}"
_SHARE_OF_TIMEOUT: Final = 0.8
_WAITS_FOR_CONDITION: Final = 86400.0  # seconds for which a copy is kept
_ERRORS_SHOWN: Final = 5


class Mover(ItemJob):
    """`target` is a template for the folder that receives the data, by default the custom value `targetdir`.

    `below` names folders (separated by `:`); a target outside of them is an error.
    """

    scheduled_runs_continue = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        target = get_text(config, "target") or _TARGET
        own = get_text(config, "condition", "matcher")
        super().__init__(with_settings(config, condition=own or (_CONDITION if target == _TARGET else _DONE)))
        # A condition that names these fields chooses such items itself.
        names = self.condition(own).fields if own else frozenset[str]()
        self._leaves_earlier_partial = names.isdisjoint(("is_wanted_done", "is_partial"))
        if not config.get("schedule"):
            raise UserError(f"job.{self.name}.schedule is not set: interrupted moves continue at its times")
        self._target = compile_text(target)
        paths = frozenset(("path", "is_multi_file", "is_complete", "is_wanted_done", "done"))
        used = self.check_fields(self._target.fields - {"job_name"})
        self.needed = used | paths
        self._target_fields = [field_of(name, self._table) for name in sorted(used)]
        self._below = get_text(config, "below")
        self.rules = TargetRules.read(self._below, self._context.private_folders())
        self._time = float(config.get("timeout", 0.0) or 0.0) * _SHARE_OF_TIMEOUT or float("inf")
        self._deadline = float("inf")
        self._links = FolderLinks()
        self._files = MoveFiles(self.rules, self._check_deadline, self._context.run_dir)

    def due(self, event: Event | None) -> list[Item]:
        """With `after`, a run without an event only tries again what failed: other items may wait for their jobs."""
        items = super().due(event)
        if event is None and not self._limit:
            self._failures.retain([*(str(item["hash"]) for item in items), *self._journal.hashes()])
        if event is None and self.config.get("after"):
            failed = self._failures.hashes()
            return [item for item in items if str(item["hash"]) in failed]
        return items

    @cached_property
    def _finished(self) -> FinishedMoves:
        return FinishedMoves(self.state_dir, self.name, self._context.publish_once)

    def run(self, event: Event | None = None) -> None:
        self._failures = MoveFailures(self.state_dir)
        own = str(getattr(event, "info_hash", ""))
        if own and self.config.get("after"):
            # Scheduled runs leave all other items to their events, and this run may be killed.
            self._failures.expect(own, printable(str(getattr(event, "name", ""))), time.time())
        try:
            self.require_known_rtorrent()
        except SessionNotKnown as error:
            self.log.warning("nothing is moved: %s", error)
            return
        # A file in rTorrent's session is an item at its next start.
        session = os.fsencode(str(self.rtorrent.call("session.path", "")))
        self._disks = TargetDisks(self.state_dir)
        self.rules = TargetRules.read(self._below, self._context.private_folders(session), self._disks)
        self._files = MoveFiles(self.rules, self._check_deadline, self._context.run_dir, self.state_dir)
        self._deadline = time.monotonic() + self._time
        self._journal = MoveJournal(self.state_dir)
        remove_records(self.state_dir, frozenset(self._journal.hashes()))
        changes = UnfinishedChanges(self.state_dir)
        claims = DataClaims(self.rtorrent, self.rules.private, self._gate, self._links, changes)
        self._switch = MoveSwitch(self.rtorrent, self._files, self._journal, claims)
        self._finished.begin_run()
        self._is_event = event is not None
        self._moved: set[str] = set()
        self._targets: dict[str, str] = {}
        self._earlier_partial = self._update_earlier_partial(event)
        failed: list[str] = []
        try:
            self._continue_moves(event, own, failed)
            super().run(event)
            if not failed:
                self._failures.remove(own)
        except CopyDeadline:
            self.log.info("the time of this run is used up; the next run continues (see job.%s.timeout)", self.name)
        except SessionNotKnown as error:
            self.log.warning("nothing more is moved: %s", error)
        finally:
            self._finished.publish()
        if failed:
            raise UserError(f"{len(failed)} unfinished moves failed: {'; '.join(failed[:_ERRORS_SHOWN])}")

    def _continue_moves(self, event: Event | None, own: str, failed: list[str]) -> None:
        """Continue unfinished moves, for an event that of its item only; what fails is added to `failed`."""
        for info_hash in self._journal.hashes():
            # The outcome of a run for an event is that of its item: jobs after this one depend on it.
            is_own = info_hash == own
            if (event is not None and not is_own) or (
                event is None and self._failures.is_waiting(info_hash, time.time())
            ):
                continue
            name = info_hash
            try:
                move = self._journal.read(info_hash)
                name, self._targets[info_hash] = move.name, printable(str(move.final))
                if self.dry_run:
                    self.log.info("would continue to move %s to %s", name, printable(str(move.final)))
                    continue
                self._resume(move)
                self._failures.remove(info_hash)
            except SessionNotKnown:
                raise
            except (PyrotorqueError, OSError) as error:
                if self._is_reported(info_hash, name, error) and not is_own:
                    continue
                failed.append(f"{name}: {_problem(error)}")
                self.log.error("%s", failed[-1])

    def _update_earlier_partial(self, event: Event | None) -> EarlierPartialItems:
        earlier = EarlierPartialItems(self.state_dir)
        if self._leaves_earlier_partial and earlier.needs_update:
            completed = event.info_hash if isinstance(event, TorrentCompleted) else ""
            earlier.update((str(item["hash"]) for item in self.items(_PARTIAL)), completed)
        return earlier

    def run_item(self, item: Item) -> None:
        """Move the item; a move that failed is tried again after a pause that doubles, or for an event of the item."""
        info_hash = str(item["hash"])
        if not self._is_event and self._failures.is_waiting(info_hash, time.time()):
            return
        # rTorrent shows the path of before until it has opened a moved item again.
        if info_hash in self._moved or self._journal.has(info_hash):
            return
        try:
            self._move(item)
        except UserError as error:
            if not self._is_reported(info_hash, printable(str(item["name"])), error) or self._is_event:
                raise
        else:
            self._failures.remove(info_hash)

    def _is_reported(self, info_hash: str, name: str, error: Exception) -> bool:
        """Record a failure; whether this cause was reported before. A failure of rTorrent itself is not the item's."""
        if isinstance(error, RTorrentError):
            return False
        target = self._targets.get(info_hash, "")
        is_reported = not self._failures.add(
            info_hash, str(error), time.time(), name=name, target=target, cause=cause_of(error), about=about_of(error)
        )
        if is_reported:
            self.log.debug("%s: %s", info_hash, error)
        return is_reported

    def _move(self, item: Item) -> None:
        info_hash, name = str(item["hash"]), printable(str(item["name"]))
        target = self._target_of(item)
        self._targets[info_hash] = printable(target)
        if not target:
            return
        source = plain_path(str(item["path"]))
        if not item["is_wanted_done"] or source == self.rules.folder(target) / source.name:
            return
        is_earlier = self._leaves_earlier_partial and info_hash in self._earlier_partial
        if not item["is_complete"] and (not item["done"] or is_earlier):
            return
        check_exact(self.rtorrent, info_hash, self._target_fields)
        source = exact_path(self.rtorrent, info_hash, bool(item["is_multi_file"]))
        final = self.rules.folder(target) / source.name
        if source == final:
            return
        if not os.path.lexists(source):
            raise MoveRefused(f"its data {printable(str(source))} is not on this machine", "missing")
        self.rules.check_location(final)
        if os.path.lexists(final):
            raise MoveRefused(f"{printable(str(final))} exists already and is not overwritten", "exists")
        mounts = read_mounts()
        # Again right before the switch; here so that no copy is made for nothing.
        self._switch.claims.require_alone(info_hash, source, multi_file=bool(item["is_multi_file"]))
        require_same_targets(source, final, self._links)
        if is_within(location(bytes(final.parent), mounts), location(bytes(source), mounts)):
            raise MoveRefused(f"the target {printable(str(final))} is inside of its own data", "target")
        if self.dry_run:
            self.log.info("would move %s to %s", name, printable(str(final)))
            return
        move = Move(
            info_hash=info_hash,
            name=name,
            source_hex=path_hex(source),
            final_hex=path_hex(final),
            multi_file=bool(item["is_multi_file"]),
            identity=os.urandom(8).hex(),
            found=found_at(source),
            load=read_load(self.rtorrent, info_hash),
        )
        self._journal.write(move)
        try:
            self._resume(move, is_decided=True)
        except OSError as error:
            raise UserError(f"cannot be moved to {printable(str(final))}: {_problem(error)}") from error

    def _target_of(self, item: Item) -> str:
        return self._target.render({**{field: item[field] for field in self.needed}, "job_name": self.name})

    def _resume(self, move: Move, *, is_decided: bool = False) -> None:
        """Continue a move from its phase; each step is idempotent. `is_decided`: the item was read just now."""
        # What another rTorrent lacks was not erased, and a move that is cut off there would never be finished.
        ended = self.read_known(partial(self._why_ended, move))
        if not ended:
            move = self.read_known(partial(self._switch.of_this_load, move))
        if not ended and not move.is_begun and not is_decided:
            ended = self._why_unwanted(move)
        if not ended and move.phase == "copying":
            move = self._switch.prepare(move)
            if move.by_copy:  # which may have taken hours
                ended = self.read_known(partial(self._why_ended, move)) or self._why_unwanted(move)
        if ended:
            self._abandon(move, ended)
            return
        if move.phase == "switching":
            move = self._switch.switch(move)
        if move.phase == "cleaning":
            if move.by_copy and os.path.lexists(move.source):
                self._remove_old(move)
            self._disks.remember(move.final.parent)
            self._finished.add(move, self._journal)
            self._moved.add(move.info_hash)
            self.log.info("moved %s to %s", move.name, printable(str(move.final)))

    def _remove_old(self, move: Move) -> None:
        """Remove the data at the old place, unless an item has it by now: another one, or this one again."""
        await_accepted_loads(self.rtorrent)
        try:
            self._switch.claims.require_alone(move.info_hash, move.source, multi_file=move.multi_file)
            if ended := self.read_known(partial(self._why_ended, move)):
                raise MoveRefused(f"it {ended}", "shared")
        except MoveRefused as error:
            self.log.warning("kept the old data of %s: %s", move.name, error)
            return
        for kept in self._files.clean(move):
            self.log.warning("kept %s: the copy does not have it", printable(str(kept)))

    def _why_ended(self, move: Move) -> str:
        """Why this is no longer a move of the item; empty if it is."""
        if not is_loaded(self.rtorrent, move.info_hash):
            return "is no longer in rTorrent"
        if move.phase != "cleaning":
            return self._switch.moved_by_others(move)
        return "" if self._switch.has_new_path(move) else f"was moved from {printable(str(move.final))} by others"

    def _why_unwanted(self, move: Move) -> str:
        """Why the item, to which nothing was done yet, is not to be moved there any more; empty if it is.

        Raises MoveRefused while that cannot be decided: its data is incomplete, or being checked. So it does for a day
        if the item does not match the condition and was copied: `up=0` may be false for some minutes of a long copy.
        """
        this, wanted = self.condition(f"hash={move.info_hash}"), self.chosen
        for item in self.items(this, self.needed):
            target = self._target_of(item)
            if not target:
                return "has no target any more"
            if self.rules.folder(target) / move.source.name != move.final:
                return f"is to be moved to {printable(target)} now"
            if not item["is_wanted_done"] or self.rtorrent.call("d.hashing", move.info_hash):
                raise MoveRefused("its data is incomplete, or is being checked: its move waits", "other")
        if wanted is None or self.items(this.also(wanted), view=self.view):
            self._journal.touch(move.info_hash)
            return ""
        if os.path.lexists(move.partial) and self._journal.age(move.info_hash) < _WAITS_FOR_CONDITION:
            raise MoveRefused(
                "it does not match the condition any more: its move and the copy wait for it, up to a day", "other"
            )
        return "does not match the condition any more"

    def _abandon(self, move: Move, why: str) -> None:
        """The item was erased, moved, or is not to be moved any more: keep all data, remove only an unfinished copy."""
        if os.path.lexists(move.source):
            self._files.remove_partial(move)
        self._journal.remove(move)
        self.log.warning("%s %s: its move ends, and all data stays where it is", move.name, why)

    def _check_deadline(self) -> None:
        if time.monotonic() > self._deadline:
            raise CopyDeadline


def _problem(error: Exception) -> str:
    """The text of an error, with the file that it is about."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    file = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    return f"{error.strerror} ({printable(file)})" if file and not file.startswith("/proc/") else error.strerror
