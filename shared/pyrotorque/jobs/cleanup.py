"""Removes items, and on request their data, when all minima are met: previewed, limited, journalled, restorable."""

import time
from collections import Counter
from functools import cached_property
from typing import Final

import msgspec

from pyrotorque.errors import PyrotorqueError, RemovalRefused, SessionNotKnown
from pyrotorque.housekeeping.activity import read_activity, write_activity
from pyrotorque.housekeeping.cleanup_state import PlanOfItems
from pyrotorque.housekeeping.disk_reserve import DiskReserve
from pyrotorque.housekeeping.journal import RemovalJournal, RemovalRecord
from pyrotorque.housekeeping.last_run import LastRun, Problem
from pyrotorque.housekeeping.open_files import open_anywhere
from pyrotorque.housekeeping.pending_events import removed_event
from pyrotorque.housekeeping.plan import PlannedRemoval
from pyrotorque.housekeeping.removal import Remover
from pyrotorque.housekeeping.survey import Survey
from pyrotorque.humanize import size
from pyrotorque.jobs.cleanup_facts import CleanupFacts
from pyrotorque.long_work import WorkReport
from pyrotorque.room import store_used
from pyrotorque.rtorrent.item_load import read_load
from pyrotorque.text import counted, printable

_SHOWN_MAX: Final = 3
_INTERRUPTED: Final = "an interrupted removal cannot be finished"


class Cleanup(CleanupFacts):
    """`condition` chooses items, the minima must hold for each, `data` says what happens to their files.

    All jobs of a group share one journal.
    """

    def carry_out(self) -> LastRun:
        deadline = time.monotonic() + self.seconds
        self.require_known_rtorrent()
        self.require_no_erased_handler()
        self._stored = self.stored()
        interrupted: list[str] = []
        if not self.dry_run:
            if self._needs_reserve:
                self.reserve.release(self.quarantines())
            try:
                interrupted = [f"{_INTERRUPTED}: {each}" for each in self.remover.recover()]
            except OSError as error:
                raise RemovalRefused(f"{_INTERRUPTED}: {error}") from error
        before = read_activity(self.folder)
        found = self.surveyor.survey(self._stored.state, before)
        self.require_complete_list(before, found.items, accept=not self.dry_run)
        self.clock.store()
        write_activity(self.folder, found.activity)
        known = {each: failure for each, failure in self._stored.state.failed.items() if each in found.matched}
        self._stored.update(matched=dict(found.matched), failed=known)
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
            about = f"plan {found.plan.id} waits"
            return msgspec.structs.replace(result, problem="waiting", text=self._held(found), about=about)
        if held_back := found.plan.held_back:
            result = msgspec.structs.replace(result, problem="refused", text=f"no data is removed: {held_back}")
        if self.dry_run:
            self._log_plan(found)
            return result
        unpurged = self.purge_expired(self.reader) if found.inventory is not None else []
        failed = [*interrupted, *unpurged, *self._remove_all(found, deadline), *self._waiting(found)]
        failed += self.remover.unfinished
        if self._needs_reserve:
            self.reserve.make(self.quarantines())
        problem: Problem | None = "failed" if failed else None
        subjects = failed.copy()
        if found.plan.missing:
            problem = "space"
            failed.insert(0, found.plan.shortage)
            subjects.insert(0, found.plan.why_short)
        if held_back:
            problem = "refused"
            failed.insert(0, result.text)
            subjects.insert(0, result.text)
        text, subject = ("; ".join(each[:_SHOWN_MAX]) for each in (failed, subjects))
        return msgspec.structs.replace(result, problem=problem, text=text, about=subject)

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
                    failed.append(_stays(planned.candidate.name, error))
                    self.log.warning("%s", failed[-1])
        return failed

    def _waiting(self, found: Survey) -> list[str]:
        """The items whose removal failed and is not tried now: their problem is the same as before."""
        known = self._stored.state.failed
        waiting = [each for each, kept in found.plan.kept.items() if kept.reason == "failed" and each in known]
        return [_stays(found.names.get(each, each), known[each].text) for each in waiting]

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
        self.require_no_erased_handler()
        load = read_load(self.rtorrent, info_hash)  # before the facts: they are those of this item
        before = read_activity(self.folder)
        again = self.surveyor.survey(self._stored.state, before)
        self.require_complete_list(before, again.items, accept=False)
        current = next((each for each in again.plan.removals if each.candidate.info_hash == info_hash), None)
        if current is None or again.plan.held:
            reason = again.plan.kept.get(info_hash)
            raise RemovalRefused(reason.text if reason else again.plan.held or "the condition does not hold any more")
        claims = again.inventory.claims if again.inventory else None
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
            directory_hex=claims.contents[info_hash].directory.hex() if claims else "",
            load=load,
        )
        files = claims.files[info_hash] if claims else ()
        inodes = {each.found.inode for each in files if each.found is not None}
        if again.inventory and inodes & open_anywhere(without=again.inventory.pid):
            raise RemovalRefused("another process has one of its files open")  # before the item is stopped
        try:
            self.remover.remove(removal, lambda: self.verified(info_hash, inodes))
        except SessionNotKnown:
            raise
        except (RemovalRefused, OSError) as error:
            self._stored.add_failure(info_hash, again.now, str(error))
            raise

    def _held(self, found: Survey) -> str:
        made = found.plan
        self._stored.update(pending=waiting_plan(found))
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

    @property
    def _needs_reserve(self) -> bool:
        return bool(self.settings.min_free or self.settings.max_used)

    @cached_property
    def reserve(self) -> DiskReserve:
        return DiskReserve(self.folder)

    @cached_property
    def remover(self) -> Remover:
        def spend(removal: RemovalRecord) -> None:
            # One job may finish what another one has begun: it counts for the limits of that one.
            stored = self._stored if removal.job == self.name else self.stored_of(removal.job)
            stored.spend(removal.counted_at, removal.info_hash, removal.tracker, removal.frees)

        return Remover(
            self.rtorrent,
            self.reader.session,
            RemovalJournal(self.folder),
            self.log,
            spend,
            self._removed,
            self.claimed,
            self.clock.now,
            self.settings.announce,
            self.read_known,
            self.look_again,
        )


def _stays(name: str, why: object) -> str:
    return f"{printable(name)} stays: {why}"


def waiting_plan(found: Survey) -> PlanOfItems:
    """The plan of this survey, to wait for its approval."""
    effects = {each.candidate.info_hash: each.effect for each in found.plan.removals}
    return PlanOfItems(found.plan.id, found.now, effects)
