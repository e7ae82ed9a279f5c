"""Base of jobs that remove items or files: one acts at a time, its problems are reported once, its events survive."""

import fcntl
import logging
import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pyrotorque.errors import AlreadyRunning, RemovalRefused, SessionNotKnown, UserError
from pyrotorque.events import Event, QuarantinePurged
from pyrotorque.housekeeping import FOLDER, pending_events, quarantine
from pyrotorque.housekeeping.entry_seals import EntrySeals
from pyrotorque.housekeeping.inventory import InventoryReader
from pyrotorque.housekeeping.last_run import LastRun, read_last_run, write_last_run
from pyrotorque.housekeeping.own_clock import OwnClock
from pyrotorque.housekeeping.quarantine import QuarantineEntry
from pyrotorque.jobs.base import Job
from pyrotorque.locks import hold
from pyrotorque.text import printable

if TYPE_CHECKING:
    from pyrotorque.conditions import Condition

_LOCK: Final = "lock"
_RUNNING: Final = "another clean-up is running"
_REPEATED: Final = "it is repeated at the next time"


def _folder_locks(folders: Sequence[str]) -> list[int]:
    """The descriptors of the locked folders; none of those that cannot be opened. Raises AlreadyRunning.

    The folders above are locked, too, but shared: another group may clean the folders beside these, not those around.
    """
    found: dict[tuple[int, int], int] = {}
    above = sorted({str(parent) for folder in folders for parent in Path(folder).parents})
    for folder, kind in [(each, fcntl.LOCK_EX) for each in folders] + [(each, fcntl.LOCK_SH) for each in above]:
        try:
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        status = os.fstat(opened)
        if (status.st_dev, status.st_ino) in found:  # a bind mount of a folder that is locked already
            os.close(opened)
            continue
        found[status.st_dev, status.st_ino] = opened
        try:
            fcntl.flock(opened, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            for each in found.values():
                os.close(each)
            raise AlreadyRunning(f"{_RUNNING} in {printable(folder)}: {_REPEATED}") from None
        except OSError:  # no locks on this filesystem
            pass
    return list(found.values())


class HousekeepingJob(Job):
    """All such jobs of a group share one folder and one lock, so that only one of them acts at a time."""

    below: tuple[Path, ...] = ()
    chosen_quarantine: Path | None = None
    refusal = "nothing is removed"

    def carry_out(self) -> LastRun:
        """One run, under the lock. Raises RemovalRefused or UserError if nothing may be removed."""
        raise NotImplementedError

    def condition(self, text: str) -> "Condition":
        """As in `Job`, but what cannot mean what was typed is always an error: what is removed does not come back."""
        from pyrotorque.conditions import parse, refuse

        return parse(text, custom=self._table, tolerate=refuse)

    def run(self, event: Event | None = None) -> None:
        try:
            with self.locked():
                self._run()
        except AlreadyRunning as error:
            self.log.info("skipped: %s", error)

    def _run(self) -> None:
        self.events.begin_run()
        try:
            self._report(self._outcome())
        except SessionNotKnown as error:
            self.log.warning("%s: %s", self.refusal, error)
        finally:
            self.events.send()

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
        if before is not None and before.subject == found.subject:
            self.log.debug("%s", found.text)
        elif found.text:
            raise UserError(found.text)

    def _own_entries(self) -> list[QuarantineEntry]:
        found = (entry for folder in self.quarantines() for entry in quarantine.entries(folder, self.seals))
        return [entry for entry in found if entry.removal.job == self.name]

    def purge_expired(self, reader: InventoryReader) -> list[str]:
        """Delete the data of entries whose time is over, unless an item uses it where it is now.

        Returns the errors of disks, such as one that is read-only.
        """
        now = self.clock.now()
        folders = [each for each in self.quarantines() if any(quarantine.expired(each, self.seals, now))]
        if not folders:
            return []
        claims = reader.read_with_accepted().claims
        problems: list[str] = []
        for folder in folders:
            for purged in quarantine.purge_expired(folder, self.seals, claims, now, self.add_purged):
                self.log.log(logging.WARNING if purged.problem else logging.INFO, "%s", purged.text)
                problems += filter(None, [purged.problem])
        return problems

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

    @cached_property
    def seals(self) -> EntrySeals:
        return EntrySeals(self.folder)

    @property
    def clock(self) -> OwnClock:
        """What all times that must pass before something goes are counted by."""
        return OwnClock(self.folder)

    @contextmanager
    def locked(self) -> Generator[None]:
        """No other clean-up, restore or purge of this group, or of another one in the same folders. AlreadyRunning."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        locks = [hold(self.folder / _LOCK, _RUNNING, _REPEATED)]
        try:
            folders = {*self.below, *(each.parent for each in self.quarantines())}
            locks += _folder_locks(sorted(map(os.path.realpath, folders)))
            yield
        finally:
            for lock in locks:
                os.close(lock)

    def quarantines(self) -> list[Path]:
        """The quarantine folders of this job."""
        if self.chosen_quarantine:
            return [self.chosen_quarantine]
        return [folder / quarantine.NAME for folder in self.below]

    @cached_property
    def private(self) -> tuple[Path, ...]:
        """The folders of pyrotorque and rTorrent's configuration, whose files are no data of torrents."""
        return self._context.private_folders()
