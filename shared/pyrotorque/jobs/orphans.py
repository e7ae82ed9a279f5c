"""Moves files that belong to no item to quarantine, when they have been seen as such for long enough."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from pyrotorque.errors import PyrotorqueError, RemovalRefused, UserError
from pyrotorque.events import OrphansMoved
from pyrotorque.housekeeping import moved_files, quarantine
from pyrotorque.housekeeping.activity import read_activity
from pyrotorque.housekeeping.cleanup_settings import COMMON, private_below, refuse_broad
from pyrotorque.housekeeping.cleanup_state import is_short, take_accepted
from pyrotorque.housekeeping.gate import claimed_since
from pyrotorque.housekeeping.inventory import Inventory, InventoryReader
from pyrotorque.housekeeping.item_files import Inode
from pyrotorque.housekeeping.journal import RemovalRecord, RemovedFile
from pyrotorque.housekeeping.last_run import LastRun
from pyrotorque.housekeeping.open_files import open_anywhere
from pyrotorque.housekeeping.orphans import OrphanCandidate, OrphanSurvey, SeenFile, orphans, walk
from pyrotorque.housekeeping.other_clients import OtherClients, parse_others
from pyrotorque.housekeeping.pending_magnets import accepted_magnets, magnet_refusal
from pyrotorque.housekeeping.quarantine import QuarantineEntry
from pyrotorque.housekeeping.restore import restore
from pyrotorque.humanize import size
from pyrotorque.jobs.housekeeping_job import HousekeepingJob
from pyrotorque.jobs.params import get_count, get_text
from pyrotorque.json_input import decode_json
from pyrotorque.linux.files import sync_folder
from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file
from pyrotorque.options import write_atomically
from pyrotorque.settings.values import duration, folders
from pyrotorque.suggestions import suggestion
from pyrotorque.text import counted, encode_json, printable

_NAMES: Final = ("below", "quarantine", "others", "ignore", "seen_for", "keep_for", "max_files", "max_percent")
_FLOOR: Final = 5
_SHOWN_MAX: Final = 3
_HOUR: Final = 3600.0


class OrphanState(msgspec.Struct, frozen=True):
    """What was seen before, by the path as hex; the number of items then, and of those that had been removed."""

    seen: dict[str, SeenFile] = {}
    items: int = 0
    removed: int = 0
    at: float = 0.0


class Orphans(HousekeepingJob):
    """`below` names the folders, `others` all other clients that have files there, or `none`."""

    refusal = "nothing is moved"

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        for key in config:
            if key not in COMMON and key not in _NAMES:
                raise UserError(f"job.{self.name}.{printable(key)} is no setting of this job{suggestion(key, _NAMES)}")
        self.below = folders(get_text(config, "below"))
        others = parse_others(self.name, get_text(config, "others"))
        if not self.below:
            raise UserError(f"job.{self.name}.below is not set: name the folders with the data of torrents")
        if others is None:
            raise UserError(
                f"job.{self.name}.others is not set: name the sessions or data folders of all other clients that use "
                "these disks, or `none`"
            )
        self.others: OtherClients = others
        chosen = folders(get_text(config, "quarantine"))
        self.chosen_quarantine = chosen[0] if chosen else None
        self.ignore = get_text(config, "ignore").replace(",", " ").split()
        self.seen_for = self._duration("seen_for", 3 * 24 * _HOUR)
        self.keep_for = self._duration("keep_for", 30 * 24 * _HOUR)
        if self.seen_for < _HOUR:
            raise UserError(
                f"job.{self.name}.seen_for is less than 1h: a file may belong to an item that is added later"
            )
        self.max_files = get_count(config, "max_files", 100)
        self.max_percent = get_count(config, "max_percent", 10)
        if refusal := refuse_broad(self.below) or private_below(self.below, self.private):
            raise UserError(f"job.{self.name}.below: {refusal}")

    def _duration(self, key: str, default: float) -> float:
        text = get_text(self.config, key)
        try:
            return duration(text) if text else default
        except ValueError as error:
            raise UserError(f"job.{self.name}.{key}: {error}") from None

    def survey(self, *, accept: bool = False, before: int | None = None) -> tuple[OrphanSurvey, Inventory]:
        """The orphans now; changes nothing, but takes a confirmed list of items with `accept`.

        `before` is the number of items at the last time, if it is not the stored one. Raises RemovalRefused,
        RTorrentError or SessionNotKnown.
        """
        self.require_known_rtorrent()
        inventory = self.reader.read()
        state = self.state()
        if before is None:
            known = read_activity(self.folder)
            before = max(
                state.items - max(0, known.removed - state.removed), len(known.items) if known.at > state.at else 0
            )
        if not inventory.items:
            raise RemovalRefused("rTorrent has no items, so each file would belong to none")
        if name := inventory.claims.unresolved:
            raise RemovalRefused(magnet_refusal(name))
        count = len(inventory.items)
        accepted = take_accepted(self.state_dir, self.clock.now()) if accept else None
        if is_short(before, count) and (accepted is None or count < accepted):
            raise RemovalRefused(
                f"rTorrent has {counted(count, 'item')}, {before} at the last time: if that is right, "
                f"confirm it with `pyrotorque cleanup {self.name} --accept-items`"
            )
        session = Path(os.fsdecode(self.reader.session.folder))
        if refusal := private_below(self.below, (session,)):
            raise RemovalRefused(f"below: {refusal}")
        with self.reader.working("looking for files", 0, "file") as work:
            found = list(work.each(walk(self.below, (*self.private, session, *self.quarantines()), self.ignore)))
        return orphans(found, inventory.claims, state.seen, self.clock.now(), self.seen_for), inventory

    def carry_out(self) -> LastRun:
        if not self.dry_run:
            self.require_known_rtorrent()
            try:
                self._finish_interrupted()
            except OSError as error:
                raise RemovalRefused(f"files that were being moved to quarantine: {error}") from error
        found, inventory = self.survey(accept=not self.dry_run)
        now = self.clock.store()
        removed = read_activity(self.folder).removed
        state = OrphanState(dict(found.seen), len(inventory.items), removed, now)
        self._write(state)
        self.log.info(
            "%s of %s belong to no item, %d of them for long enough",
            *(counted(len(found.old) + len(found.fresh), "file"), counted(found.files, "file"), len(found.old)),
        )
        unpurged = [] if self.dry_run else self.purge_expired(self.reader)
        all_orphans = (*found.old, *found.fresh)
        result = LastRun(
            at=time.time(),
            dry_run=self.dry_run,
            planned=len(found.old),
            orphans=len(all_orphans),
            orphan_bytes=sum(file.status.st_size for file in all_orphans),
            problem="failed" if unpurged else None,
            text="; ".join(unpurged[:_SHOWN_MAX]),
        )
        if not found.old:
            return result
        most = max(_FLOOR, found.files * self.max_percent // 100)
        if len(found.old) > self.max_files or len(found.old) > most:
            limit = "max_files" if len(found.old) > self.max_files else "max_percent"
            number = counted(len(found.old), "file")
            text = (
                f"nothing is moved: {number} belong to no item, more than {limit} allows; look at "
                f"`pyrotorque cleanup {self.name}`, and raise it if that is right"
            )
            return msgspec.structs.replace(result, problem="waiting", text=text, about=f"more orphans than {limit}")
        if self.dry_run:
            for file in found.old:
                self.log.info("would move %s to quarantine: %s", printable(file.full), size(file.status.st_size))
            return result
        self._move(found, len(inventory.items))
        return result

    def _move(self, found: OrphanSurvey, items: int) -> None:
        """Decide again from fresh facts, then move the files."""
        again, _ = self.survey(before=items)
        still = {file.full for file in again.old}
        used = open_anywhere()
        chosen = [
            file
            for file in found.old
            if file.full in still and Inode(file.status.st_dev, file.status.st_ino) not in used
        ]
        for root in dict.fromkeys(file.root for file in chosen):
            self._move_of_root(root, [file for file in chosen if file.root == root])

    def _move_of_root(self, root: bytes, files: list[OrphanCandidate]) -> None:
        records = tuple(
            RemovedFile(file.path.hex(), file.status.st_dev, file.status.st_ino, file.status.st_size) for file in files
        )
        folder = quarantine.quarantine_of(root, self.below, self.chosen_quarantine)
        record = RemovalRecord(
            info_hash="",
            name=f"orphaned files of {printable(root)}",
            job=self.name,
            reason="belong to no item",
            data="quarantine",
            at=time.time(),
            seal=self.seals.new(),
            phase="moving",
            directory_hex=root.hex(),
            purge_at=self.clock.now() + self.keep_for,
            files=records,
        )
        entry = quarantine.make_entry(folder, record)
        record = msgspec.structs.replace(record, entry_hex=os.fsencode(entry).hex())
        # Written first: after a kill, each file is at its old place or in this entry.
        target = quarantine.create(record, b"")
        source = moved_files.open_root(root)
        problem = ""
        try:
            moved_files.move(source, target, records)
            sync_folder(source)
        except OSError as error:
            problem = f"{printable(root)}: {error.strerror}: {printable(str(error.filename))}"
        except RemovalRefused as error:
            problem = str(error)
        finally:
            arrived = tuple(file for file in records if moved_files.is_at(target, file))
            os.close(source)
            os.close(target)
        self._finish(QuarantineEntry(entry, record), arrived)
        if problem:
            raise RemovalRefused(problem)

    def _finish(self, entry: QuarantineEntry, arrived: tuple[RemovedFile, ...]) -> None:
        """The entry has only what was moved before a problem, or a kill; an item that claims it has all back.

        Raises RemovalRefused. It is repeated after a kill, and reported once.
        """
        record = msgspec.structs.replace(entry.removal, files=arrived)
        if arrived != entry.removal.files:
            quarantine.describe(record)
        if name := self._claimed(record):
            restore(self.rtorrent, QuarantineEntry(entry.folder, record))
            raise RemovalRefused(f"{printable(name)} may have one of the files that were just moved: all are back")
        if arrived:
            self._report_moved(entry.folder, record)
            quarantine.describe(msgspec.structs.replace(record, phase="erased"))
        else:
            quarantine.discard(record)

    def _finish_interrupted(self) -> None:
        """A kill may have left files in the quarantine that no event has, and that items have claimed since."""
        for entry in self._own_entries():
            if entry.removal.info_hash or entry.removal.phase != "moving":
                continue
            arrived: tuple[RemovedFile, ...] = ()
            with suppress(FileNotFoundError):
                target = moved_files.open_root(os.path.join(entry.removal.entry, quarantine.DATA))
                try:
                    arrived = tuple(file for file in entry.removal.files if moved_files.is_at(target, file))
                finally:
                    os.close(target)
            self._finish(entry, arrived)

    def _report_moved(self, entry: Path, record: RemovalRecord) -> None:
        number, moved = len(record.files), sum(file.size for file in record.files)
        self.log.info("moved %s to %s", counted(number, "orphaned file"), printable(str(entry)))
        event = OrphansMoved(at=record.at, job=self.name, files=number, size=moved, quarantine=printable(str(entry)))
        self.events.add(f"orphans-{entry.name}", event)

    def _claimed(self, record: RemovalRecord) -> str:
        """The name of an item that has one of the files since it was loaded; empty if none has."""
        try:
            return claimed_since(self.reader.read_with_accepted(), record)
        except PyrotorqueError as error:
            return f"an item that cannot be seen ({error})"

    # --- parts

    def state(self) -> OrphanState:
        with suppress(OSError, msgspec.DecodeError):
            return decode_json(read_regular_file(self.state_dir / "orphans", limit=RECORDS_MAX), type=OrphanState)
        return OrphanState()

    def _write(self, state: OrphanState) -> None:
        write_atomically(self.state_dir / "orphans", encode_json(state))

    @cached_property
    def reader(self) -> InventoryReader:
        return InventoryReader(
            self.rtorrent, self.others, accepted=lambda: accepted_magnets(self.folder), gate=self._gate
        )
