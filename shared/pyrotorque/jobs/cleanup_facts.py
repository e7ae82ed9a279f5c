"""What a clean-up job reads and decides: settings, the facts about items, the plan, and when nothing may be removed."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

import msgspec

from pyrotorque.errors import PyrotorqueError, RemovalRefused, UserError
from pyrotorque.fields import configured
from pyrotorque.fields.field import Field, Rows
from pyrotorque.fields.table import FIELDS
from pyrotorque.housekeeping import quarantine
from pyrotorque.housekeeping.activity import Activity, activity_fields, read_activity
from pyrotorque.housekeeping.cleanup_settings import private_below, read_cleanup
from pyrotorque.housekeeping.cleanup_state import StoredCleanup, is_short, take_accepted
from pyrotorque.housekeeping.disk_notes import disk_notes
from pyrotorque.housekeeping.erased_handlers import erased_handler_refusal
from pyrotorque.housekeeping.gate import DataRules, claimed_since, verify
from pyrotorque.housekeeping.inventory import InventoryReader
from pyrotorque.housekeeping.journal import RemovalJournal, RemovalRecord
from pyrotorque.housekeeping.link_fields import link_fields
from pyrotorque.housekeeping.other_clients import OtherClients
from pyrotorque.housekeeping.pending_magnets import accepted_magnets
from pyrotorque.housekeeping.removal import VerifiedItem
from pyrotorque.housekeeping.survey import Conditions, Survey, Surveyor, is_match
from pyrotorque.jobs.housekeeping_job import HousekeepingJob
from pyrotorque.text import counted
from pyrotorque.tracker_verdict import is_announced, verdict

_SHARE_OF_TIMEOUT: Final = 0.6


class CleanupFacts(HousekeepingJob):
    """The part of a clean-up job that changes nothing in rTorrent or on disks."""

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
        self.seconds = float(config.get("timeout", 0.0) or 0.0) * _SHARE_OF_TIMEOUT or float("inf")

    def preview(self) -> Survey:
        """What a run would do now; changes nothing. Raises RemovalRefused, UserError or RTorrentError."""
        self.require_known_rtorrent()
        self.require_no_erased_handler()
        before = read_activity(self.folder)
        found = self.surveyor.survey(self.stored().state, before)
        self.require_complete_list(before, found.items, accept=False)
        return found

    def stored(self) -> StoredCleanup:
        """What the job keeps between runs. Raises RemovalRefused: without it the limits of a day are not known."""
        return self.stored_of(self.name)

    def stored_of(self, job: str) -> StoredCleanup:
        folder = self._context.state_dir_of(job)
        try:
            return StoredCleanup(folder)
        except (OSError, msgspec.DecodeError) as error:
            raise RemovalRefused(f"{folder}/cleanup cannot be read: {error}; remove it, or restore it") from error

    # --- one item

    def verified(self, info_hash: str, planned: "set[Any]") -> VerifiedItem:
        """The gate, after the item was closed: all facts again, but those that closing it changes."""
        self.require_known_rtorrent()
        self.require_no_erased_handler()
        this = self.items(f"hash={info_hash}", self.conditions.protect.fields)
        if any(is_match(self.conditions.protect, item, time.time()) is not False for item in this):
            raise RemovalRefused("it is protected now")
        if info_hash in self._moving():  # it may have begun after the plan was made
            raise RemovalRefused("a mover has begun to move its data")
        if self.settings.data == "keep":
            return VerifiedItem(b"", False, False, (), None)
        inventory = self.reader.read()
        rules = self.surveyor.rules
        if rules.shared == "together":
            # The last one of a group takes the files; until then another one has them.
            rules = DataRules(rules.below, rules.private, rules.quarantine, "keep", rules.linked)
        return verify(self.rtorrent, inventory, info_hash, rules, planned)

    def look_again(self, removal: RemovalRecord) -> None:
        """What may have changed while the files were moved."""
        self.require_no_erased_handler()
        this = self.items(f"hash={removal.info_hash}", self.conditions.protect.fields)
        if any(is_match(self.conditions.protect, item, time.time()) is not False for item in this):
            raise RemovalRefused("it is protected now")

    def claimed(self, removal: RemovalRecord) -> str:
        try:
            return claimed_since(self.reader.read_with_accepted(), removal)
        except PyrotorqueError as error:
            return f"an item that cannot be seen ({error})"

    def notes(self) -> list[str]:
        """What its owner should know about interrupted removals, and about the disks."""
        found = self._unfinished()
        if self.settings.data != "keep":
            found += disk_notes(self.below, self.folder, self.reader.session.folder)
        return found

    def _unfinished(self) -> list[str]:
        when = "a run without dry_run" if self.dry_run else "the next run"
        try:
            return [
                f"the removal of {each.name} has begun and has not ended: {when} finishes it, or puts the item back"
                for each in RemovalJournal(self.folder).unfinished()
            ]
        except RemovalRefused as error:
            return [str(error)]

    # --- refusals

    def require_no_erased_handler(self) -> None:
        if not self.settings.accepts_erased_handler and (refusal := erased_handler_refusal(self.rtorrent)):
            raise RemovalRefused(refusal)

    def require_complete_list(self, before: Activity, items: Mapping[str, Any], *, accept: bool) -> None:
        """A list that is much shorter than at the last time may be incomplete."""
        accepted = take_accepted(self.folder, self.clock.now()) if accept else None
        if not is_short(len(before.items), len(items)) or (accepted is not None and len(items) >= accepted):
            return
        raise RemovalRefused(
            f"rTorrent has {counted(len(items), 'item')}, {len(before.items)} at the last time: if that is right, "
            "confirm it with `pyrotorque cleanup --accept-items`"
        )

    # --- parts

    @cached_property
    def reader(self) -> InventoryReader:
        others = self.settings.others or OtherClients()
        return InventoryReader(
            self.rtorrent,
            others,
            lambda: quarantine.quarantined_files(self.quarantines(), self.seals),
            lambda: accepted_magnets(self.folder),
            gate=self._gate,
        )

    @cached_property
    def surveyor(self) -> Surveyor:
        settings = self.settings
        rules = DataRules(settings.below, self.private, settings.quarantine, settings.shared, settings.linked)
        alias = configured(self._context.aliases)["alias"]
        return Surveyor(
            self,
            self.rtorrent,
            self.reader,
            settings,
            self.conditions,
            rules,
            self._moving,
            self.clock,
            lambda url: str(alias.convert(((url, "1"),))),
        )

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
