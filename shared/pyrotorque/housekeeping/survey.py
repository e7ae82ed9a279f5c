"""Reads all facts of a clean-up and makes its plan: what the preview shows, and what the run carries out."""

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from pyrotorque.conditions import Condition, SortOrder
from pyrotorque.conditions.regexes import RegexTimeout
from pyrotorque.errors import RemovalRefused, RTorrentFault, UserError
from pyrotorque.fields.unknown import is_unknown
from pyrotorque.housekeeping.activity import Activity, sampled
from pyrotorque.housekeeping.claims import claims_of, used_below
from pyrotorque.housekeeping.cleanup_settings import CleanupSettings, private_below
from pyrotorque.housekeeping.cleanup_state import CleanupState, FailedRemoval
from pyrotorque.housekeeping.data_verdicts import DataVerdicts
from pyrotorque.housekeeping.gate import DataRules
from pyrotorque.housekeeping.inventory import Inventory, InventoryReader, LiveItem
from pyrotorque.housekeeping.limits import ItemFacts, Kept, RemovalLimits, reason_to_keep
from pyrotorque.housekeeping.link_fields import NAMES
from pyrotorque.housekeeping.own_clock import OwnClock
from pyrotorque.housekeeping.plan import Plan, PlanRules, RemovalCandidate, SpaceGoal, plan
from pyrotorque.humanize import duration
from pyrotorque.items import Item
from pyrotorque.linux.filesystems import disk_space
from pyrotorque.rtorrent import RTorrent
from pyrotorque.rtorrent.file_values import items_in_call
from pyrotorque.trackers import domain

log = logging.getLogger(__name__)

_SUCCESSES: Final = ("t.url=", "t.is_enabled=", "t.success_counter=", "t.success_time_last=")
_FIELDS: Final = frozenset(("name", "ratio", "alias", "size"))


class ItemSource(Protocol):
    """The part of a job that a survey needs."""

    def items(
        self, condition: "str | Condition" = "", fields: Iterable[str] = ("name",), *, view: str = "main"
    ) -> list[Item]: ...


@dataclass(frozen=True)
class Conditions:
    """The parsed conditions of a job; `rules` in the order of their numbers."""

    chosen: Condition
    protect: Condition
    order: SortOrder
    rules: Sequence[tuple[Condition, RemovalLimits]]
    base: RemovalLimits

    @property
    def fields(self) -> frozenset[str]:
        found = self.chosen.fields | self.protect.fields | frozenset(self.order.fields)
        return found.union(*(condition.fields for condition, _ in self.rules))

    def require_known_commands(self, rtorrent: RTorrent) -> None:
        """Raise UserError for a field that this rTorrent does not have: it would be 0, which is long ago or idle."""
        conditions = (self.chosen, self.protect, *(condition for condition, _ in self.rules))
        for name, each in sorted({name: each for one in conditions for name, each in one.table.items()}.items()):
            commands = [command.partition("=")[0] for command in each.commands]
            if commands and not any(rtorrent.known(command) for command in commands):
                raise UserError(f"the field {name} is always empty here: this rTorrent has no command {commands[0]}")


@dataclass(frozen=True)
class Survey:
    """The facts at one moment, `now` of the own clock, and the plan that follows from them."""

    now: float
    plan: Plan
    items: Mapping[str, LiveItem]
    activity: Activity
    inventory: Inventory | None
    matched: Mapping[str, float]
    """Since when the condition has held for each item that it chooses."""
    names: Mapping[str, str]
    facts: Mapping[str, ItemFacts] = field(default_factory=dict[str, ItemFacts])
    used: int = 0
    """What the data of all items below `below` occupies, for `max_used`."""


@dataclass
class Surveyor:
    """Makes surveys of one job."""

    source: ItemSource
    rtorrent: RTorrent
    reader: InventoryReader
    settings: CleanupSettings
    conditions: Conditions
    rules: DataRules
    moving: Callable[[], Collection[str]]
    """The items whose data a mover of this group is moving."""
    clock: OwnClock
    alias_of: Callable[[str], str] = domain
    """The alias of an announce address."""
    _verdicts: DataVerdicts = field(default_factory=DataVerdicts)

    def survey(self, state: CleanupState, before: Activity) -> Survey:
        """Raises RemovalRefused, UserError or RTorrentError; then nothing may be removed.

        Conditions compare with the times of rTorrent, by the system's clock; what must last is counted by our own.
        """
        now, own = time.time(), self.clock.now()
        self.conditions.require_known_commands(self.rtorrent)
        if self.settings.data == "keep" and self.conditions.fields & set(NAMES):
            self.reader.read()  # for the fields
        inventory = self.reader.read() if self.settings.data != "keep" else None
        if inventory is not None:
            self._protect_session()
        items = inventory.items if inventory else self.reader.live_items()
        incarnation = inventory.incarnation if inventory else self.rtorrent.identity().incarnation
        activity = sampled(before, items, incarnation, own, now)
        wanted = _FIELDS | self.conditions.fields | ({"seeds"} if self._needs_seeds else set())
        matching = self.source.items(self.conditions.chosen, wanted, view=self.settings.view)
        found = [item for item in matching if str(item["hash"]) in items]
        matched = {str(item["hash"]): min(own, state.matched.get(str(item["hash"]), own)) for item in found}
        alive = self._tracker_successes(found) if self.settings.tracker_alive else None
        moving = self.moving()
        facts = {
            str(item["hash"]): self._facts(item, items[str(item["hash"])], activity, state, (now, own), alive, moving)
            for item in found
        }
        used = used_below(inventory.claims, self.settings.below) if inventory and self.settings.max_used else 0
        made = self._plan(found, facts, inventory, state, len(items), (now, own), used)
        names = {str(item["hash"]): str(item["name"]) for item in found}
        return Survey(own, made, items, activity, inventory, matched, names, facts, used)

    def _protect_session(self) -> None:
        """Raise UserError if the session is below a folder whose data may be removed."""
        session = Path(os.fsdecode(self.reader.session.folder))
        if refusal := private_below(self.settings.below, (session,)):
            raise UserError(f"below: {refusal}")
        if session not in self.rules.private:
            self.rules = replace(self.rules, private=(*self.rules.private, session))

    @property
    def _needs_seeds(self) -> bool:
        limits = (self.conditions.base, *(each for _, each in self.conditions.rules))
        return any(each.min_seeds for each in limits)

    def limits_of(self, item: Item, now: float) -> RemovalLimits:
        """The minima of the first rule that matches; a rule that cannot be evaluated in time removes nothing."""
        for condition, limits in self.conditions.rules:
            holds = is_match(condition, item, now)
            if holds is None:
                return replace(limits, never=True)
            if holds:
                return limits
        return self.conditions.base

    def _facts(
        self,
        item: Item,
        live: LiveItem,
        activity: Activity,
        state: CleanupState,
        times: tuple[float, float],
        alive: Mapping[str, float] | None,
        moving: Collection[str],
    ) -> ItemFacts:
        now, own = times
        info_hash = live.info_hash
        since = state.matched.get(info_hash)
        alias = str(item["alias"])
        # The time of a tracker's answer is the system's; one in the future says nothing.
        first = now - (own - since if since is not None else 0.0)
        is_down = alive is not None and not first <= alive.get(alias, 0.0) <= now + 1
        unknown = tuple(name for name in sorted(self.conditions.fields) if is_unknown(item[name]))
        return ItemFacts(
            ratio=float(item["ratio"]) if live.done else None,
            seedtime=activity.seeded(info_hash),
            seeds=item["seeds"] if self._needs_seeds else None,
            idle=activity.idle(info_hash),
            unknown=unknown,
            protected=is_match(self.conditions.protect, item, now) is not False,
            hashing=live.hashing,
            moving=info_hash in moving,
            tracker_problem=f"no other item of {alias or 'its tracker'} had a success since" if is_down else "",
            matched_for=own - since if since is not None and since < own else None,
            failed=_waiting(state.failed.get(info_hash), own),
        )

    def _tracker_successes(self, found: Sequence[Item]) -> dict[str, float]:
        """When a tracker last answered for an item that the condition does not choose, by alias.

        Such an item may have further trackers, or DHT, whose answers say nothing about the one of that alias.
        """
        chosen = {str(item["hash"]) for item in found}
        aliases = {str(item["alias"]) for item in found}
        others = [item for item in self.source.items("", ("alias",)) if str(item["alias"]) in aliases]
        hashes = {str(item["hash"]): str(item["alias"]) for item in others if str(item["hash"]) not in chosen}
        latest: dict[str, float] = {}
        wanted = list(hashes)
        number = items_in_call(len(wanted))
        for at in range(0, len(wanted), number):
            batch = wanted[at : at + number]
            answers = self.rtorrent.multicall([("t.multicall", (each, "", *_SUCCESSES)) for each in batch])
            for info_hash, rows in zip(batch, answers, strict=True):
                alias = hashes[info_hash]
                times = [
                    float(str(row[3]))
                    for row in (rows if isinstance(rows, list) else ())
                    if isinstance(row, list) and row[1] and row[2] and self.alias_of(str(row[0])) == alias
                ]
                latest[alias] = max(latest.get(alias, 0.0), *times, 0.0)
        return latest

    def _plan(
        self,
        found: Sequence[Item],
        facts: Mapping[str, ItemFacts],
        inventory: Inventory | None,
        state: CleanupState,
        count: int,
        times: tuple[float, float],
        used: int,
    ) -> Plan:
        now, own = times
        kept: dict[str, Kept] = {}
        candidates: list[RemovalCandidate] = []
        for item in self.conditions.order.sorted(found):
            info_hash = str(item["hash"])
            if reason := reason_to_keep(facts[info_hash], self.limits_of(item, now), self.settings.matched_for):
                kept[info_hash] = reason
            else:
                text = _shown(facts[info_hash])
                candidates.append(RemovalCandidate(info_hash, str(item["name"]), str(item["alias"]), text))
        if inventory is not None:
            candidates = self._with_data(candidates, inventory, kept)
        claims = inventory.claims if inventory else claims_of(())
        rules = PlanRules(
            data=self.settings.data,
            shared=self.settings.shared,
            caps=self.settings.caps,
            spent=state.spent_since(own),
            items=count,
            approved=state.approved_effects(own),
            disposal=self.settings.disposal,
            goal=self._goal(used),
        )
        made = plan(candidates, claims, rules)
        return replace(made, kept={**kept, **made.kept})

    def _with_data(
        self,
        candidates: Sequence[RemovalCandidate],
        inventory: Inventory,
        kept: dict[str, Kept],
    ) -> list[RemovalCandidate]:
        """The candidates whose data may go, as far as their own files say."""
        self._verdicts.begin(inventory, self.rules)
        try:
            hashes = [each.info_hash for each in candidates]
            self._verdicts.read_rows(self.rtorrent, inventory, hashes, self.reader.working)
        except RTorrentFault as fault:
            raise RemovalRefused(f"rTorrent does not list the files of items: {fault}") from fault
        found: list[RemovalCandidate] = []
        with self.reader.working("data of items", len(candidates), "item") as work:
            for each in work.each(candidates):
                if reason := self._verdicts.kept(inventory, each.info_hash, self.rules):
                    kept[each.info_hash] = reason
                else:
                    found.append(each)
        return found

    def _goal(self, used: int) -> SpaceGoal | None:
        """How much is to be freed; None if the job is not about space."""
        settings = self.settings
        if not settings.min_free and not settings.max_used:
            return None
        # Never more than our own data exceeds `max_used`, whatever others have written.
        rooms = [settings.max_used - used] if settings.max_used else []
        needed = max([0, *(-room for room in rooms)])
        if settings.min_free:
            spaces = [disk_space(str(folder)) for folder in settings.below]
            known = [space for space in spaces if space is not None]
            if len(known) < len(spaces) or len({space.device for space in known}) != 1:
                raise RemovalRefused("the folders of `below` are on several disks, or their space is not known")
            room = min(*(space.free for space in known), *rooms, known[0].free)
            needed = max(needed, settings.until_free - room if room < settings.min_free else 0)
        return SpaceGoal(needed)


def is_match(condition: Condition, item: Item, now: float) -> bool | None:
    """Whether an item matches; None if one of its regular expressions exceeds its time limit."""
    try:
        return condition.at(now)(item)
    except RegexTimeout:
        return None


def _waiting(failure: FailedRemoval | None, own: float) -> str:
    pause = failure.pause(own) if failure is not None else 0.0
    if failure is None or not pause:
        return ""
    return f"its removal failed {failure.times} times ({failure.text}): tried again in {duration(pause)}"


def _shown(facts: ItemFacts) -> str:
    parts = [f"ratio {facts.ratio:.2f}"] if facts.ratio is not None else []
    parts += [f"seeded {duration(facts.seedtime)}"] if facts.seedtime is not None else []
    parts += [f"{facts.seeds} seeds"] if facts.seeds is not None else []
    return ", ".join(parts)
