"""Stall rotation over rTorrent: observes the running items, closes those that give up their slot, and retries them."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from pyrotorque.humanize import duration
from pyrotorque.items import Item, LazyItems
from pyrotorque.logs import job_logger, owner_event
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.groups import GroupRoom
from pyrotorque_scheduler.queue.line import Line, announce_interval, on_checked_disks
from pyrotorque_scheduler.queue.model import Instant
from pyrotorque_scheduler.queue.parked_items import ParkedItem, ParkedItems
from pyrotorque_scheduler.queue.parking import Parking
from pyrotorque_scheduler.queue.queue_items import QueueItems
from pyrotorque_scheduler.queue.retries import Retries
from pyrotorque_scheduler.queue.rules import QueueRules
from pyrotorque_scheduler.queue.stall import (
    NEVER,
    ItemProgress,
    RunningItem,
    is_forgiven,
    progress,
    retry_delay,
    stalled,
    swap,
)
from pyrotorque_scheduler.state import DecisionHistory, DecisionRecord

# A stall that is shown where rotation is off.
_SHOWN_AFTER: Final = 300.0
# Nothing could be swapped: the waiting items are read again after this many seconds.
_READ_WAITING_EVERY: Final = 60.0
# The stalled items that are only shown may be as old as this, in seconds.
_LOOK_EVERY: Final = 5.0


class Rotation:
    """The rotation of one queue; its samples are in memory, parked items and strikes in the database."""

    def __init__(
        self,
        rules: QueueRules,
        rtorrent: RTorrent,
        items: QueueItems,
        parked: ParkedItems,
        parking: Parking,
        history: DecisionHistory,
        metrics: SchedulerMetrics,
    ) -> None:
        self._rules = rules
        self._limits = rules.stall
        self._rtorrent = rtorrent
        self._items = items
        self._parked = parked
        self._parking = parking
        self._history = history
        self._metrics = metrics
        self._log = job_logger(rules.name)
        self._known: dict[str, ItemProgress] = {}
        self._running: list[RunningItem] = []
        self.rows: dict[str, ParkedItem] = {}
        self._line = Line(rtorrent)
        self._useless_until = float("-inf")
        self.waits_for = ""
        self._counted: set[str] = set()
        self.retries = Retries(rules, items)
        self._looked_at = float("-inf")

    def may_wait(self, now: Instant) -> bool:
        """Whether the next look may come later: no item is closed because of it, and what is shown is recent."""
        rules = self._rules
        closes = self._limits.after or rules.adopt is not None or rules.groups.field
        return not closes and 0 <= now.awake - self._looked_at < _LOOK_EVERY

    def observe(self, items: Sequence[Item], now: Instant) -> None:
        """Another look at the running items; forgives strikes after progress."""
        self._looked_at = now.awake
        groups = self._items.groups(items)
        forced = self._items.untouchable(items, now.wall)
        found = {str(item["hash"]): _running(item, group, forced) for item, group in zip(items, groups, strict=True)}
        self._running = list(found.values())
        self._known = {h: progress(item, self._known.get(h), self._limits, now.awake) for h, item in found.items()}
        self.rows = self._parked.of(self._rules.name)
        changed = self.rows.keys() & found.keys()
        for info_hash in changed if changed and self._parking.is_known() else ():
            self._review(self.rows[info_hash], found[info_hash])
        if self._limits.after:
            self._line.look(now)
        if self._rules.groups.field:
            self._count_groups(groups)
        self._metrics.stalled.set(len(self._standing(now, self._limits.after or _SHOWN_AFTER)), self._rules.name)
        self._metrics.parked.set(len(self.held_until), self._rules.name)

    def _count_groups(self, groups: Sequence[str]) -> None:
        counts = {**dict.fromkeys(self._rules.groups.by_name, 0), **Counter(groups)}
        for group in self._counted.difference(counts):
            self._metrics.group_downloading.remove(self._rules.name, group)
        for group, count in counts.items():
            self._metrics.group_downloading.set(count, self._rules.name, group)
        self._counted = set(counts)

    def _review(self, row: ParkedItem, item: RunningItem) -> None:
        if row.is_parked and not row.strikes and 0 < item.started < int(row.parked_at):
            # It runs since before: the scheduler was killed before it closed the item, which may be adopted again.
            self._parked.delete(row.info_hash)
            del self.rows[row.info_hash]
            return
        if row.is_parked:  # its owner started it, or it was never closed
            self._parked.run_again(row.info_hash)
            self.rows[row.info_hash] = replace(row, is_parked=False)
        if is_forgiven(row.bytes_done, item, self._limits):
            self._parked.delete(row.info_hash)
            del self.rows[row.info_hash]

    @property
    def running(self) -> Sequence[RunningItem]:
        """The items of the last look that take slots."""
        return self._running

    def parked(self, rows: Iterable[ParkedItem]) -> None:
        """These items were closed for another reason than that they stand still."""
        for row in rows:
            self.rows[row.info_hash] = row
        self._running = [item for item in self._running if item.info_hash not in self.held_until]

    def reread(self) -> None:
        """The owner closed an item: its row counts from now on."""
        self.parked(self._parked.of(self._rules.name).values())

    def candidates(self, now: Instant, *, slots_full: bool) -> list[RunningItem]:
        """The items that may give up their slot; empty where reading what waits was useless a short time ago."""
        found = stalled(self._running, self._known, self._limits, now.awake, now.wall)
        self.waits_for = "" if found else "no item stands still long enough"
        return [] if slots_full and now.awake < self._useless_until else found

    def swap(
        self,
        found: Sequence[RunningItem],
        waiting: Iterable[str],
        room: GroupRoom,
        free: int,
        starts: int,
        now: Instant,
    ) -> list[RunningItem]:
        """Close the items that give up their slot, and return them."""
        chosen = swap(found, waiting, room, free, starts)
        if not chosen:
            self.waits_for = "no item waits that could start"
        else:
            exempt = on_checked_disks(self._rtorrent, found)
            for info_hash in exempt:
                self._known[info_hash] = replace(self._known[info_hash], at=now.awake)
            allowed = [item for item in found if item.info_hash not in exempt]
            chosen = swap(allowed, waiting, room, free, starts)
            self.waits_for = "" if chosen else "a hash check runs on their disk"
        if chosen and not self._line.is_up(self._running, self._limits.after, now):
            self.waits_for = "the line seems down: no byte moved and no tracker answered"
            chosen = []
        if not chosen:
            self._useless_until = now.awake + _READ_WAITING_EVERY
        given = [item for item in chosen if self._park(item, now)]
        self._running = [item for item in self._running if item not in given]
        return given

    def _park(self, item: RunningItem, now: Instant) -> bool:
        name, info_hash = printable(item.name), item.info_hash
        still = duration(now.awake - self._known[info_hash].at)
        if self._rules.settings.dry_run:
            self._log.info("WOULD close %s (%s): no progress for %s", name, info_hash, still)
            return False
        before = self.rows.get(info_hash)
        strikes = (before.strikes if before else 0) + 1
        wait = retry_delay(strikes, self._limits, announce_interval(self._rtorrent, info_hash))
        retry_at = NEVER if wait == NEVER else now.wall + wait
        row = ParkedItem(info_hash, self._rules.name, item.name, strikes, item.bytes_done, now.wall, retry_at)
        closed = self._parking.close(row)
        if closed is None:
            return False
        again = "not tried again" if wait == NEVER else f"tried again in {duration(wait)}"
        text = f"no progress for {still}: gave up its slot, strike {strikes}, {again}"
        record = DecisionRecord(
            at=now.wall, job=self._rules.name, verdict="stalled", text=text, info_hash=info_hash, name=name
        )
        self._history.record(record)
        self._metrics.strikes.inc(self._rules.name)
        level = logging.WARNING if wait == NEVER else logging.INFO
        self._log.log(level, "closed %s (%s): %s", name, info_hash, text)
        if wait == NEVER:
            owner_event("item gave up", f"{self._rules.name}: {name} ({info_hash}): {text}", subject=name)
        self.rows[info_hash] = closed
        return True

    def started(self, info_hash: str) -> None:
        """The queue started an item."""
        if info_hash in self.rows:
            self._parked.run_again(info_hash)

    @property
    def held_until(self) -> dict[str, float]:
        """When each parked item is tried again, in Unix seconds."""
        return {h: row.retry_at for h, row in self.rows.items() if row.is_parked}

    def due(self, count: int, now: float) -> list[Item]:
        """Parked items to be tried again, at most `count`, those that wait for longest first."""
        return self.retries.due(self.rows, count, now)

    def merged(self, waiting: list[Item] | LazyItems, due: Sequence[Item]) -> list[Item] | LazyItems:
        """The waiting items with those that are due: adopted ones in their place, those with strikes at the end."""
        struck = {str(item["hash"]) for item in due if self.rows[str(item["hash"])].strikes}
        known = {str(item["hash"]) for item in waiting} if due else set[str]()
        adopted = [item for item in due if str(item["hash"]) not in struck | known]
        if adopted:
            waiting = self._items.ordered([*waiting, *adopted])
        if struck:
            first = [item for item in waiting if str(item["hash"]) not in struck]
            waiting = [*first, *(item for item in due if str(item["hash"]) in struck)]
        return waiting

    def sentence(self, now: Instant) -> str:
        """What stands still, whether it gives up its slots, and what would change that; empty if nothing does."""
        standing = self._standing(now, min(self._limits.after or _SHOWN_AFTER, _SHOWN_AFTER))
        if not standing:
            return ""
        least = min(now.awake - self._known[item.info_hash].at for item in standing)
        slots = self._rules.limits.downloading_max
        text = f"{len(standing)} of {slots} slots stalled for {duration(least)}; "
        if not self._limits.after:
            return f"{text}rotation is off: job.{self._rules.name}.stall_after = 20m gives them to waiting items"
        why = f"; {self.waits_for}" if self.waits_for else ""
        return f"{text}each gives up its slot to a waiting item after {duration(self._limits.after)}{why}"

    def stalled_for(self, now: Instant) -> float:
        """For how long all slots have been taken by items without progress, as far as they were observed."""
        if len(self._running) < max(1, self._rules.limits.downloading_max):
            return 0.0
        return min(now.awake - self._known[item.info_hash].at for item in self._running)

    def moves_since(self, at: float, now: Instant) -> bool:
        """Whether there is evidence that the queue moves since `at` (Unix seconds): progress, a start, or a free slot.

        The first look after a restart of the service is none.
        """
        if len(self._running) < max(1, self._rules.limits.downloading_max):
            return True
        passed = now.wall - at
        return any(
            item.started > at
            or (
                self._known[item.info_hash].at > self._known[item.info_hash].seen
                and now.awake - self._known[item.info_hash].at < passed
            )
            for item in self._running
        )

    def _standing(self, now: Instant, least: float) -> list[RunningItem]:
        return [item for item in self._running if now.awake - self._known[item.info_hash].at >= least]


def _running(item: Item, group: str, forced: Collection[str]) -> RunningItem:
    info_hash = str(item["hash"])
    return RunningItem(
        info_hash=info_hash,
        forced=info_hash in forced,
        name=str(item["name"]),
        bytes_done=_whole(item["d_bytes_done"]),
        left=_whole(item["d_left_bytes"]),
        started=float(_whole(item["d_state_changed"])),
        group=group,
        priority=int(item["prio"]),
        ignored=bool(item["is_ignored"]),
    )


def _whole(value: object) -> int:
    text = str(value)
    return int(text) if text.isdecimal() else 0
