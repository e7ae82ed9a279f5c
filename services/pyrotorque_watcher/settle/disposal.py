"""Disposes of metafiles that are loaded or failed: renames, moves or deletes them, as the ledger's todo list requires.

Exactly the file that was loaded is disposed of, see `metafile_names`; each keeps a name that exists while an item is
tied to it, see `ties`. What is interrupted, or fails for a reason that may pass, is repeated later.
"""

import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from pyrotorque import logs
from pyrotorque.errors import UserError
from pyrotorque.linux.files import OtherFile
from pyrotorque.settings.schema import Disposal, WatchSettings
from pyrotorque.text import printable
from pyrotorque_watcher.fleet.answers import ANSWER_AGE, is_of_fleet
from pyrotorque_watcher.ledger import Ledger
from pyrotorque_watcher.load.outcomes import LoadOutcomes
from pyrotorque_watcher.load.prepare import LoadJob
from pyrotorque_watcher.load.visibility import mapped
from pyrotorque_watcher.rows import Row, Sighting, Todo
from pyrotorque_watcher.scan.files import look
from pyrotorque_watcher.settle.attempts import Attempts
from pyrotorque_watcher.settle.duplicate_items import ItemFact, item_facts
from pyrotorque_watcher.settle.kept_data import KeptData
from pyrotorque_watcher.settle.metafile_names import MetafileNames, second_name
from pyrotorque_watcher.settle.ties import TieChange, Ties

log = logging.getLogger(__name__)

_ROWS: Final = 100  # handled in one step
_RETIES: Final[tuple[Todo, ...]] = ("retie", "retie_loaded")
_SUFFIXES: Final[Mapping[Todo, bytes]] = {"loaded": b".loaded", "failed": b".failed"}


@dataclass(frozen=True, slots=True)
class Removal:
    """A metafile that loses its name, once its item is not tied to that; `target` is its other name, if it has one."""

    todo: Todo
    row: Row
    settings: WatchSettings
    names: MetafileNames
    target: bytes | None

    def tie_change(self, ties: Ties) -> TieChange:
        new = b"" if self.target is None else ties.target(self.target, self.settings)
        return TieChange(self.row.load.info_hash, mapped(self.row.path, self.settings.path_map), new)


@dataclass
class Disposer:
    """Disposes of the metafiles of all jobs; files of jobs that are not active stay where they are."""

    ledger: Ledger
    jobs: Mapping[str, LoadJob]
    ties: Ties
    outcomes: LoadOutcomes
    as_user: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """Gives new folders and files the owner's permissions."""
    kept_data: KeptData = field(default_factory=KeptData)
    attempts: Attempts = field(default_factory=Attempts)
    """Those of rows that wait, by their turn."""
    _reported_kept: set[str] = field(default_factory=set[str])
    """The jobs for which it was reported that `on_failed` does not apply to all that failed."""

    def disposes(self, row: Row) -> bool:
        """Whether something is to be done about the file of `row` when it is loaded."""
        job = self.jobs.get(row.job)
        return job is not None and self._how("loaded", row, job) != "keep"

    def step(self, now: float) -> bool:
        """Do a part of what is still to be done about files; whether there is more to do at once."""
        limit = _ROWS + len(self.attempts)
        todo = self.ledger.todo(limit)
        if len(todo) < limit:
            self.attempts.keep_only({row.turn for _, row in todo})
        todo = [each for each in todo if self.attempts.is_due(each[1].turn, now)][:_ROWS]
        if not todo:
            return False
        self._retie([(what, row) for what, row in todo if what in _RETIES], now)
        self._keep([(what, row) for what, row in todo if what == "failed_kept"])
        removals: list[Removal] = []
        for what, row in self._with_items(self._with_fresh_answers(todo, now), now):
            if what in _SUFFIXES and (removal := self._prepared(what, row, now)) is not None:
                removals.append(removal)
        self._remove(removals, now)
        return len(todo) == _ROWS

    # -- ties that follow a rename by the owner

    def _retie(self, todo: Sequence[tuple[Todo, Row]], now: float) -> None:
        active: list[tuple[Todo, Row, WatchSettings]] = [
            (what, row, self.jobs[row.job].settings) for what, row in todo if row.job in self.jobs
        ]
        changes = [
            TieChange(row.load.info_hash, None, self.ties.target(row.path, settings)) for _, row, settings in active
        ]
        done = self.ties.apply(changes)
        with self.ledger.transaction():
            for what, row in todo:
                if row.job not in self.jobs:
                    self._done(what, row)
            for each, is_saved in zip(active, done, strict=True):
                if is_saved:
                    self._done(each[0], each[1])
                else:
                    self._wait_for_session(each[1], now)

    # -- disposal

    def _keep(self, todo: Sequence[tuple[Todo, Row]]) -> None:
        """These failed for a reason that is not their content: they stay, and are loaded when it is gone."""
        with self.ledger.transaction():
            for what, row in todo:
                self._done(what, row)
                job = self.jobs.get(row.job)
                if job is None or job.settings.on_failed == "keep" or row.job in self._reported_kept:
                    continue
                self._reported_kept.add(row.job)
                text = (
                    f"{row.job}: {printable(row.path)} stays where it is: on_failed = {job.settings.on_failed} applies "
                    "to what is no metafile, not to one that failed for another reason (`pyrotorque watched`)"
                )
                log.warning("%s", text)
                logs.owner_event("metafile kept", text, subject=row.job)

    def _with_fresh_answers(self, todo: Sequence[tuple[Todo, Row]], now: float) -> list[tuple[Todo, Row]]:
        """Without those whose item a group of the fleet had too long ago, by its answer: their files stay."""
        old = [row for what, row in todo if what == "loaded" and self._has_old_answer(row, now)]
        if old:
            with self.ledger.transaction():
                for row in old:
                    self.outcomes.answer_too_old(row, now)
                    self.attempts.end(row.turn)
        left = {row.turn for row in old}
        return [(what, row) for what, row in todo if row.turn not in left]

    def _has_old_answer(self, row: Row, now: float) -> bool:
        job = self.jobs.get(row.job)
        if not is_of_fleet(row) or 0.0 <= now - row.progress.changed <= ANSWER_AGE or job is None:
            return False
        return not job.settings.dry_run and self.disposes(row)

    def _with_items(self, todo: Sequence[tuple[Todo, Row]], now: float) -> list[tuple[Todo, Row]]:
        """Without the duplicates whose item rTorrent does not have, completely and saved: their files stay."""
        rows = [row for what, row in todo if what == "loaded" and self._needs_item(row)]
        if not rows:
            return list(todo)
        left: set[int] = set()
        facts, incarnation = item_facts(self.ties, rows)
        with self.ledger.transaction():
            for row, fact in zip(rows, facts, strict=True):
                if fact in (ItemFact.SAVED, ItemFact.WAITS) and row.progress.incarnation != incarnation:
                    # What is missing later was not lost in the restart before: its owner erased it.
                    self.ledger.seen_after_restart(row, incarnation)
                if fact is ItemFact.SAVED:
                    continue
                left.add(row.turn)
                if fact is ItemFact.WAITS:
                    self._wait_for_session(row, now)
                else:
                    self.outcomes.item_gone(row, now, was_restarted=fact is ItemFact.LOST)
                    self.attempts.end(row.turn)
        return [(what, row) for what, row in todo if row.turn not in left]

    def _needs_item(self, row: Row) -> bool:
        return row.progress.state == "duplicate" and not is_of_fleet(row) and self.disposes(row)

    def _how(self, todo: Todo, row: Row, job: LoadJob) -> Disposal:
        if row.hold:
            return "keep"
        if todo == "failed":
            return job.settings.on_failed
        try:
            return job.recipes.of(row).on_loaded
        except UserError as error:
            log.warning("%s: %s stays where it is: %s", row.job, printable(row.path), error)
            return "keep"

    def _prepared(self, todo: Todo, row: Row, now: float) -> Removal | None:
        """The removal of its name, after its other name was made; None if nothing more is to be done, or not now."""
        job = self.jobs.get(row.job)
        how = "keep" if job is None else self._how(todo, row, job)
        removal = None
        if job is not None and how != "keep" and not self.kept_data.has(row, job.settings, how):
            if job.settings.dry_run:
                if not self.attempts.wait(row.turn, now):
                    log.info("%s: WOULD %s %s", row.job, how, printable(row.path))
                return None
            try:
                removal = self._named(todo, row, job.settings, how)
            except OtherFile:
                self._load_other(row, now)
                return None
            except OSError as error:
                self._retry(row, f"cannot {how}", error, now)
                return None
        if removal is None:
            with self.ledger.transaction():
                self._done(todo, row)
        return removal

    def _named(self, todo: Todo, row: Row, settings: WatchSettings, how: Disposal) -> Removal | None:
        names = MetafileNames.find(row)
        if names is None:
            found = look(row.path)
            if row.load.info_hash and found is not None and found.version == row.file.version:
                raise OtherFile(row.path)
            return None
        if how == "delete":
            return Removal(todo, row, settings, names, None)
        folder = settings.failed_path if todo == "failed" else settings.loaded_path
        if how == "move" and folder is None:
            return None
        place = second_name(row, _SUFFIXES[todo], os.fsencode(folder) if how == "move" and folder else None)
        if place is None:
            return None
        with self.as_user():
            target = names.link_to(*place)
        return Removal(todo, row, settings, names, target)

    def _remove(self, removals: Sequence[Removal], now: float) -> None:
        """Remove the names whose items are safely not tied to them."""
        items = [removal for removal in removals if removal.row.load.info_hash]
        safe = self.ties.apply([removal.tie_change(self.ties) for removal in items])
        waiting = {removal.row.turn for removal, is_safe in zip(items, safe, strict=True) if not is_safe}
        for removal in removals:
            if removal.row.turn in waiting:
                self._wait_for_session(removal.row, now)
        ready = [removal for removal in removals if removal.row.turn not in waiting]
        if not ready:
            return
        with self.ledger.transaction():
            self.ledger.mark_disposing([removal.row for removal in ready])
        # If this process ends before the ledger has it, a walk finds the file as one that its owner renamed.
        removed = [removal for removal in ready if self._remove_name(removal, now)]
        with self.ledger.transaction():
            for removal in removed:
                self._record(removal)

    def _remove_name(self, removal: Removal, now: float) -> bool:
        row = removal.row
        try:
            removal.names.remove()
        except OtherFile:
            if removal.target is None:
                self._load_other(row, now)
                return False
        except OSError as error:
            self._retry(row, "cannot remove the old name of", error, now)
            return False
        return True

    def _load_other(self, row: Row, now: float) -> None:
        """Another file has the name of the loaded one, whatever its size and times: it is new."""
        found = look(row.path)
        with self.ledger.transaction():
            if found is None:
                self.ledger.mark_gone(row.job, [row.path], now)
            else:
                log.info("%s: another file is at %s now: loading it", row.job, printable(row.path))
                self.ledger.add(row.job, row.root, found, now, Sighting(found.ctime_ns / 1e9, settled=False))

    def _record(self, removal: Removal) -> None:
        row = removal.row
        found = None if removal.target is None else look(removal.target)
        if found is not None:
            self.ledger.move(row.job, row.path, row.root, found, retie=False)
        elif not os.path.lexists(row.path):
            self.ledger.mark_gone(row.job, [row.path], time.time())
        self._done(removal.todo, row)

    # -- what waits

    def _done(self, todo: Todo, row: Row) -> None:
        self.ledger.mark_done(todo, row)
        self.attempts.end(row.turn)

    def _retry(self, row: Row, what: str, error: OSError, now: float) -> None:
        if self.attempts.wait(row.turn, now):
            return
        text = f"{row.job}: {what} {printable(row.path)}: {error.strerror}; trying again"
        log.warning("%s", text)
        if error.errno in (errno.ENAMETOOLONG, errno.ENODEV):
            logs.owner_event("metafile kept", text, subject=row.job)

    def _wait_for_session(self, row: Row, now: float) -> None:
        if not self.attempts.wait(row.turn, now) and self.ties.session.folder:
            log.info("%s: waiting until rTorrent has saved the item of %s completely", row.job, printable(row.path))
