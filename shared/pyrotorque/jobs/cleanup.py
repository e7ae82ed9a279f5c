"""Removes items, and on request their data, when all minima are met: previewed, limited, journalled, restorable."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

import msgspec

from pyrotorque.errors import (
    PyrotorqueError,
    RemovalRefused,
    SessionNotKnown,
    UserError,
)
from pyrotorque.fields.field import Field, Rows
from pyrotorque.fields.table import FIELDS
from pyrotorque.housekeeping import quarantine
from pyrotorque.housekeeping.activity import Activity, activity_fields, read_activity, write_activity
from pyrotorque.housekeeping.cleanup_settings import private_below, read_cleanup
from pyrotorque.housekeeping.cleanup_state import PlanOfItems, StoredCleanup, is_short, take_accepted
from pyrotorque.housekeeping.disk_notes import disk_notes
from pyrotorque.housekeeping.erased_handlers import erased_handler_refusal
from pyrotorque.housekeeping.gate import DataRules, claimed_since, verify
from pyrotorque.housekeeping.inventory import InventoryReader
from pyrotorque.housekeeping.journal import RemovalJournal, RemovalRecord
from pyrotorque.housekeeping.last_run import LastRun, Problem
from pyrotorque.housekeeping.link_fields import link_fields
from pyrotorque.housekeeping.open_files import open_anywhere
from pyrotorque.housekeeping.other_clients import OtherClients
from pyrotorque.housekeeping.pending_events import removed_event
from pyrotorque.housekeeping.plan import PlannedRemoval
from pyrotorque.housekeeping.removal import Remover, VerifiedItem
from pyrotorque.housekeeping.survey import Conditions, Survey, Surveyor, is_match
from pyrotorque.humanize import size
from pyrotorque.jobs.housekeeping_job import HousekeepingJob
from pyrotorque.long_work import WorkReport
from pyrotorque.room import store_used
from pyrotorque.text import counted, printable
from pyrotorque.tracker_verdict import is_announced, verdict

_SHARE_OF_TIMEOUT: Final = 0.6
_SHOWN_MAX: Final = 3


class Cleanup(HousekeepingJob):
    """`condition` chooses items, the minima must hold for each, `data` says what happens to their files.

    All jobs of a group share one journal.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        if config.get("on"):
            raise UserError(f"job.{self.name}.on cannot be used: this job looks at all items; set a schedule")
        self.settings = read_cleanup(config)
        self.below, self.chosen_quarantine = self.settings.below, self.settings.quarantine
        self.conditions = Conditions(
            self.condition(self.settings.condition),
            self.condition(self.settings.protect),
            _order(self.settings.sort),
            [(self.condition(rule.condition), rule.limits) for rule in self.settings.rules],
            self.settings.limits,
        )
        if refusal := private_below(self.settings.below, self.private):
            raise UserError(f"job.{self.name}.below: {refusal}")
        self._time = float(config.get("timeout", 0.0) or 0.0) * _SHARE_OF_TIMEOUT or float("inf")

    def preview(self) -> Survey:
        """What a run would do now; changes nothing. Raises RemovalRefused, UserError or RTorrentError."""
        self.require_known_rtorrent()
        self._require_no_erased_handler()
        before = read_activity(self.folder)
        found = self.surveyor.survey(self.stored().state, before)
        self._require_complete_list(before, found.items, accept=False)
        return found

    def stored(self) -> StoredCleanup:
        """What the job keeps between runs. Raises RemovalRefused: without it the limits of a day are not known."""
        return self._stored_of(self.name)

    def _stored_of(self, job: str) -> StoredCleanup:
        folder = self._context.state_dir_of(job)
        try:
            return StoredCleanup(folder)
        except (OSError, msgspec.DecodeError) as error:
            raise RemovalRefused(f"{folder}/cleanup cannot be read: {error}; remove it, or restore it") from error

    # --- the run

    def carry_out(self) -> LastRun:
        deadline = time.monotonic() + self._time
        self.require_known_rtorrent()
        self._require_no_erased_handler()
        self._stored = self.stored()
        if not self.dry_run:
            try:
                self.remover.recover()
            except OSError as error:
                raise RemovalRefused(f"an interrupted removal cannot be finished: {error}") from error
        before = read_activity(self.folder)
        found = self.surveyor.survey(self._stored.state, before)
        self._require_complete_list(before, found.items, accept=not self.dry_run)
        self.clock.store()
        write_activity(self.folder, found.activity)
        self._stored.update(matched=dict(found.matched))
        result = LastRun(
            at=time.time(),
            dry_run=self.dry_run,
            planned=len(found.plan.removals),
            kept=Counter(kept.reason for kept in found.plan.kept.values()),
            missing=found.plan.missing,
            used=found.used,
            max_used=self.settings.max_used,
            notes=tuple(self.notes()),
        )
        store_used(self.folder, self.name, self.below, found.used, self.settings.max_used)
        if found.plan.held:
            return msgspec.structs.replace(result, problem="waiting", text=self._held(found))
        if self.dry_run:
            self._log_plan(found)
            return result
        if found.inventory is not None:
            self.purge_expired(found.inventory.claims)
        failed = self._remove_all(found, deadline)
        problem: Problem | None = "failed" if failed else None
        if found.plan.missing:
            problem = "space"
            failed.insert(0, f"{size(found.plan.missing)} less than needed can be freed: nothing else may be removed")
        return msgspec.structs.replace(result, problem=problem, text="; ".join(failed[:_SHOWN_MAX]))

    def _remove_all(self, found: Survey, deadline: float) -> list[str]:
        failed: list[str] = []
        removals = found.plan.removals
        with WorkReport(self._context.run_dir, f"{self.name}: removing", len(removals)) as work:
            for planned in work.each(removals):
                if time.monotonic() > deadline:
                    text = "the time of this run is used up; the next one continues (see job.%s.timeout)"
                    self.log.info(text, self.name)
                    break
                try:
                    self._remove(planned)
                except (PyrotorqueError, OSError) as error:
                    if isinstance(error, SessionNotKnown):
                        raise
                    failed.append(f"{printable(planned.candidate.name)} stays: {error}")
                    self.log.warning("%s", failed[-1])
        return failed

    def _forget(self, removal: RemovalRecord) -> None:
        """The item is expected to be missing from the next list."""
        known = read_activity(self.folder)
        left = {each: found for each, found in known.items.items() if each != removal.info_hash}
        removed = known.removed + len(known.items) - len(left)
        write_activity(self.folder, msgspec.structs.replace(known, items=left, removed=removed))

    def _remove(self, planned: PlannedRemoval) -> None:
        """Decide again from fresh facts, then remove the item, unless the gate finds a reason against it."""
        info_hash = planned.candidate.info_hash
        self.require_known_rtorrent()
        self._require_no_erased_handler()
        before = read_activity(self.folder)
        again = self.surveyor.survey(self._stored.state, before)
        self._require_complete_list(before, again.items, accept=False)
        current = next((each for each in again.plan.removals if each.candidate.info_hash == info_hash), None)
        if current is None or again.plan.held:
            reason = again.plan.kept.get(info_hash)
            raise RemovalRefused(reason.text if reason else again.plan.held or "the condition does not hold any more")
        removal = RemovalRecord(
            info_hash=info_hash,
            name=printable(planned.candidate.name),
            job=self.name,
            reason=planned.candidate.text,
            data=self.settings.data,
            at=time.time(),
            seal=self.seals.new(),
            counted_at=again.now,
            tracker=planned.candidate.tracker,
            purge_at=again.now + self.settings.keep_for,
            frees=current.size,
        )
        files = again.inventory.claims.files[info_hash] if again.inventory else ()
        inodes = {each.found.inode for each in files if each.found is not None}
        if again.inventory and inodes & open_anywhere(without=again.inventory.pid):
            raise RemovalRefused("another process has one of its files open")  # before the item is stopped
        self.remover.remove(removal, lambda: self._verified(info_hash, inodes))

    def _verified(self, info_hash: str, planned: "set[Any]") -> VerifiedItem:
        """The gate, after the item was closed: all facts again, but those that closing it changes."""
        self.require_known_rtorrent()
        self._require_no_erased_handler()
        this = self.items(f"hash={info_hash}", self.conditions.protect.fields)
        if any(is_match(self.conditions.protect, item, time.time()) is not False for item in this):
            raise RemovalRefused("it is protected now")
        if self.settings.data == "keep":
            return VerifiedItem(b"", False, False, (), None)
        inventory = self.reader.read()
        rules = self.surveyor.rules
        if rules.shared == "together":
            # The last one of a group takes the files; until then another one has them.
            rules = DataRules(rules.below, rules.private, rules.quarantine, "keep", rules.linked)
        return verify(self.rtorrent, inventory, info_hash, rules, planned)

    def _look_again(self, removal: RemovalRecord) -> None:
        """What may have changed while the files were moved."""
        self._require_no_erased_handler()
        this = self.items(f"hash={removal.info_hash}", self.conditions.protect.fields)
        if any(is_match(self.conditions.protect, item, time.time()) is not False for item in this):
            raise RemovalRefused("it is protected now")

    def _claimed(self, removal: RemovalRecord) -> str:
        try:
            return claimed_since(self.reader.read(), removal)
        except PyrotorqueError as error:
            return f"an item that cannot be seen ({error})"

    def notes(self) -> list[str]:
        """What its owner should know about the disks."""
        if self.settings.data == "keep":
            return []
        return disk_notes(self.below, self.folder, self.reader.session.folder)

    # --- refusals

    def _require_no_erased_handler(self) -> None:
        if not self.settings.accepts_erased_handler and (refusal := erased_handler_refusal(self.rtorrent)):
            raise RemovalRefused(refusal)

    def _require_complete_list(self, before: Activity, items: Mapping[str, Any], *, accept: bool) -> None:
        """A list that is much shorter than at the last time may be incomplete."""
        accepted = take_accepted(self.folder, self.clock.now()) if accept else None
        if not is_short(len(before.items), len(items)) or (accepted is not None and len(items) >= accepted):
            return
        raise RemovalRefused(
            f"rTorrent has {counted(len(items), 'item')}, {len(before.items)} at the last time: if that is right, "
            "confirm it with `pyrotorque cleanup --accept-items`"
        )

    def _held(self, found: Survey) -> str:
        made = found.plan
        effects = {each.candidate.info_hash: each.effect for each in made.removals}
        self._stored.update(pending=PlanOfItems(made.id, found.now, effects))
        return (
            f"{made.held}; look at `pyrotorque cleanup {self.name}`, and if it is right, approve it with "
            f"`pyrotorque cleanup {self.name} --approve {made.id}`"
        )

    # --- reports

    def _log_plan(self, found: Survey) -> None:
        for each in found.plan.removals:
            self.log.info("would remove %s (%s): %s", *(printable(each.candidate.name), each.candidate.text,
                          f"{size(each.frees)} free, data: {self.settings.data}"))  # fmt: skip
        self.log.info("would remove %s of %d", counted(len(found.plan.removals), "item"), len(found.items))

    def _removed(self, removal: RemovalRecord) -> None:
        self._forget(removal)
        where = f", data in {printable(removal.entry)}" if removal.data == "quarantine" else f", data: {removal.data}"
        self.log.info("removed %s (%s)%s", removal.name, removal.reason, where)
        self.events.add(f"removed-{removal.info_hash}-{removal.counted_at:.3f}", removed_event(removal))

    # --- parts

    @cached_property
    def reader(self) -> InventoryReader:
        others = self.settings.others or OtherClients()
        return InventoryReader(
            self.rtorrent, others, lambda: quarantine.quarantined_files(self.quarantines(), self.seals)
        )

    @cached_property
    def remover(self) -> Remover:
        def spend(removal: RemovalRecord) -> None:
            # One job may finish what another one has begun: it counts for the limits of that one.
            stored = self._stored if removal.job == self.name else self._stored_of(removal.job)
            stored.spend(removal.counted_at, removal.info_hash, removal.tracker, removal.frees)

        return Remover(
            self.rtorrent,
            self.reader.session,
            RemovalJournal(self.folder),
            self.log,
            spend,
            self._removed,
            self._claimed,
            self.clock.now,
            self.settings.announce,
            self._look_again,
        )

    @cached_property
    def surveyor(self) -> Surveyor:
        settings = self.settings
        rules = DataRules(settings.below, self.private, settings.quarantine, settings.shared, settings.linked)
        return Surveyor(self, self.rtorrent, self.reader, settings, self.conditions, rules, self._moving, self.clock)

    @cached_property
    def _table(self) -> Mapping[str, Field]:
        stored = activity_fields(self.folder) if self._context.state_dir else {}
        phrases = self.settings.phrases

        def is_gone(message: str, announces: Rows) -> bool:
            return verdict(message, phrases).verdict == "gone" and not is_announced(announces)

        gone = replace(FIELDS["is_unregistered"], convert=is_gone, details=("announces",))
        links = link_fields(lambda: self.reader.latest)
        return {**super()._table, **stored, **links, "is_unregistered": gone}

    def _moving(self) -> frozenset[str]:
        """The items whose data a mover of this group has begun to move."""
        return frozenset(path.stem for path in self.folder.parent.glob("jobs/*/*.json"))


def _order(text: str) -> Any:
    from pyrotorque.conditions import parse_sort

    return parse_sort(text)
