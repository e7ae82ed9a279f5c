"""Base of jobs that remove items or files: one acts at a time, its problems are reported once, its events survive."""

import os
import time
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque.errors import AlreadyRunning, RemovalRefused, SessionNotKnown, UserError
from pyrotorque.events import Event, QuarantinePurged
from pyrotorque.housekeeping import FOLDER, pending_events, quarantine
from pyrotorque.housekeeping.claims import Claims
from pyrotorque.housekeeping.last_run import LastRun, read_last_run, write_last_run
from pyrotorque.housekeeping.own_clock import OwnClock
from pyrotorque.housekeeping.quarantine import QuarantineEntry
from pyrotorque.jobs.base import Job
from pyrotorque.locks import hold

_LOCK: Final = "lock"


class HousekeepingJob(Job):
    """All such jobs of a group share one folder and one lock, so that only one of them acts at a time."""

    below: tuple[Path, ...] = ()
    chosen_quarantine: Path | None = None
    refusal = "nothing is removed"

    def carry_out(self) -> LastRun:
        """One run, under the lock. Raises RemovalRefused or UserError if nothing may be removed."""
        raise NotImplementedError

    def run(self, event: Event | None = None) -> None:
        try:
            lock = self.locked()
        except AlreadyRunning as error:
            self.log.info("skipped: %s", error)
            return
        self.events.begin_run()
        try:
            self._report(self._outcome())
        except SessionNotKnown as error:
            self.log.warning("%s: %s", self.refusal, error)
        finally:
            self.events.send()
            os.close(lock)

    def _outcome(self) -> LastRun:
        try:
            return self.carry_out()
        except RemovalRefused as error:
            return LastRun(at=time.time(), problem="refused", text=f"{self.refusal}: {error}")
        except UserError as error:
            return LastRun(at=time.time(), problem="refused", text=str(error))

    def _report(self, found: LastRun) -> None:
        """Store the result; the run fails when its problem is new, and succeeds while it stays the same."""
        before = read_last_run(self.state_dir)
        sizes = [entry.size for entry in self._own_entries()]
        write_last_run(self.state_dir, msgspec.structs.replace(found, entries=len(sizes), quarantined=sum(sizes)))
        if before is not None and before.text == found.text:
            self.log.debug("%s", found.text)
        elif found.text:
            raise UserError(found.text)

    def _own_entries(self) -> list[QuarantineEntry]:
        found = (entry for folder in self.quarantines() for entry in quarantine.entries(folder))
        return [entry for entry in found if entry.removal.job == self.name]

    def purge_expired(self, claims: Claims) -> None:
        """Delete the data of entries whose time is over, unless an item uses it where it is."""
        for folder in self.quarantines():
            for purged in quarantine.purge_expired(folder, claims, self.clock.now()):
                self.log.info("%s", purged.text)
                if purged.freed is not None:
                    self.add_purged(purged.entry, purged.freed)

    def add_purged(self, entry: QuarantineEntry, freed: int) -> None:
        """Publish that the data of an entry was deleted."""
        removal = entry.removal
        event = QuarantinePurged(
            at=time.time(), info_hash=removal.info_hash, name=removal.name, job=removal.job, freed=freed
        )
        self.events.add(f"purged-{entry.folder.name}", event)

    @cached_property
    def events(self) -> pending_events.PendingEvents:
        return pending_events.PendingEvents(self.folder / pending_events.FOLDER, self._context.publish_once)

    @property
    def folder(self) -> Path:
        """The private folder that all housekeeping of the group shares."""
        return self.state_dir.parents[1] / FOLDER

    @property
    def clock(self) -> OwnClock:
        """What all times that must pass before something goes are counted by."""
        return OwnClock(self.folder)

    def locked(self) -> int:
        """The descriptor of the lock, to be closed. Raises AlreadyRunning."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return hold(self.folder / _LOCK, "another clean-up is running", "it is repeated at the next time")

    def quarantines(self) -> list[Path]:
        """The quarantine folders of this job."""
        if self.chosen_quarantine:
            return [self.chosen_quarantine]
        return [folder / quarantine.NAME for folder in self.below]

    @cached_property
    def private(self) -> tuple[Path, ...]:
        """The folders of pyrotorque and rTorrent's configuration, whose files are no data of torrents."""
        return self._context.private_folders()
