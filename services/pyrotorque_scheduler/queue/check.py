"""One check of a queue job over rTorrent: the cheapest question first, at most one call for each, then the starts."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from pyrotorque.items import Item
from pyrotorque.logs import job_logger
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable
from pyrotorque_scheduler.due_jobs import Cause
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.adoption import Adoption
from pyrotorque_scheduler.queue.check_result import CheckResult, count_check
from pyrotorque_scheduler.queue.disk_space import ClosedCause, ClosedItems, candidates, reserved_bytes
from pyrotorque_scheduler.queue.explain_text import hold_text
from pyrotorque_scheduler.queue.forecast import Forecast, QueueFacts, forecast
from pyrotorque_scheduler.queue.groups import GroupRoom, Turns
from pyrotorque_scheduler.queue.model import Candidate, Grant, Hold, Instant, QueueStart, QueueState, grant
from pyrotorque_scheduler.queue.parked_items import ParkedItems
from pyrotorque_scheduler.queue.parking import Parking
from pyrotorque_scheduler.queue.policy import (
    Batch,
    DiskBudget,
    after_start,
    batch_size,
    batch_time,
    group_hold,
    schedule_hold,
    slot_hold,
    traffic_hold,
)
from pyrotorque_scheduler.queue.printed_start import print_start
from pyrotorque_scheduler.queue.queue_items import QueueItems
from pyrotorque_scheduler.queue.rotation import Rotation
from pyrotorque_scheduler.queue.rules import QueueRules
from pyrotorque_scheduler.queue.stall import RunningItem
from pyrotorque_scheduler.queue.start_result import StartIntent, StartResult
from pyrotorque_scheduler.queue.starter import Starter
from pyrotorque_scheduler.state import DecisionHistory, DecisionRecord, JobStates

# So many items of a group may fail or not fit before no stalled item gives up its slot to one behind them.
_HELD_BACK: Final = 20
# A full disk can hold thousands of items: recording all of them would push everything else out of the history.
_RECORDED_HOLDS_MAX: Final = 20
# rTorrent finds an item by its info-hash in a list, from its beginning: a look at all items costs as much as about 30.
_NEW_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class _CheckTime:
    """What one check may spend, when it is, and the time that counts for its batch."""

    granted: Grant
    now: Instant
    batch_at: Instant


class Queue:
    """A queue job; its checks run in the service's loop, its state is saved with each start."""

    def __init__(
        self,
        rules: QueueRules,
        rtorrent: RTorrent,
        starter: Starter,
        job_states: JobStates,
        history: DecisionHistory,
        metrics: SchedulerMetrics,
        parked: ParkedItems,
    ) -> None:
        self.rules = rules
        self.name = rules.name
        self.state = QueueState()
        self.last: CheckResult | None = None
        self.progressed: Callable[[], None] = lambda: None
        """Is called after each start of a batch, which may be long."""
        self._rtorrent = rtorrent
        self.items = QueueItems(rules, rtorrent, starter)
        self._starter = starter
        parking = Parking(rtorrent, parked, starter.is_known_now)
        self.rotation = Rotation(rules, rtorrent, self.items, parked, parking, history, metrics)
        self._adoption = Adoption(rules, self.items, parking, history, metrics)
        self._job_states = job_states
        self._latest_of_groups: dict[str, int] = {}
        self._all_started = False
        """Whether the last check looked at all items and left none that waits."""
        self._history = history
        self._metrics = metrics
        self._closed = ClosedItems(self.items.reader, self.items.started_by_us)
        self._log = job_logger(rules.name)
        metrics.introduce_queue(rules.settings)

    def load_state(self, now: Instant) -> None:
        """Read the stored state: after a start of the service, or after a pause or resume."""
        self.state = replace(self._job_states.load(self.name, now), failures=self._starter.failures)

    def granted(self, now: Instant) -> Grant:
        return grant(self.rules.schedule, self.rules.limits.start_at_once, self.state.used, now.wall)

    def schedule_hold(self, now: Instant) -> Hold | None:
        """Why nothing may be started now, as far as that is known without a call to rTorrent."""
        return self._schedule_hold(self.granted(now), now)

    def check(self, now: Instant, cause: Cause) -> CheckResult:
        """Start what may be started.

        Raises RTorrentError if rTorrent does not answer; starts that succeeded before are stored.
        """
        granted = self.granted(now)
        if cause == "request":
            # A request is a fire time of its own; intermission and slots still apply.
            granted = Grant(now.wall, self.rules.limits.start_at_once, 0.0, None)
        result = self._checked(granted, now, cause)
        self.last = result
        count_check(self._metrics, self.name, result, cause, self.state, self.rules.limits.intermission)
        if not result.started and self._record(replace(result.hold, info_hash="", name=""), result.at):
            self._log.debug("nothing started: %s", hold_text(result.hold, result.at))
        return result

    def waiting(self, now: float) -> Sequence[Item]:
        """The startable items and those that rTorrent closed by itself, in the order in which they are started."""
        items, closed = self.items.startable(now), self._closed.read(self.rules, now)
        return self.items.ordered([*items, *closed]) if closed else items

    def closed_cause(self, item: Item, now: float) -> ClosedCause | None:
        """Why rTorrent closed this item, if it is tried again."""
        return self._closed.cause(item, self.rules, now)

    def room(self, running: Sequence[Item]) -> GroupRoom:
        """The slots of the groups, of which `running` take some."""
        return GroupRoom(self.rules.groups, self.items.groups(running), self._latest_of_groups)

    def forecast(self, startable: Sequence[Item], running: Sequence[Item], now: Instant) -> Forecast:
        """What a check would do now, and which later one starts something; with the facts that a check reads."""
        rules, limits = self.rules, self.rules.limits
        reserved = reserved_bytes(self._rtorrent, rules, now.wall) if limits.min_free else {}
        disks = DiskBudget(reserved, limits.min_free)
        places = zip(self.items.groups(startable), self.items.ranks(startable), strict=True)
        found = candidates(self._rtorrent, startable, range(len(startable)), disks)
        waiting = [
            replace(candidate, group=group, rank=rank)
            for (group, rank), (_, _, candidate) in zip(places, found, strict=True)
        ]
        facts = QueueFacts(waiting, len(running), self._down_rate(), reserved, self.room(running))
        return forecast(facts, limits, self.state, rules.schedule, rules.hours, now)

    def is_hash_checking(self, item: Item) -> bool:
        """Whether rTorrent still checks the data of an item that was started."""
        return self._starter.is_hash_checking(str(item["hash"]))

    def _schedule_hold(self, granted: Grant, now: Instant) -> Hold | None:
        return schedule_hold(self.rules.limits, self.state, granted, self.rules.hours.opens(now.wall), now)

    def _checked(self, granted: Grant, now: Instant, cause: Cause) -> CheckResult:
        limits = self.rules.limits
        hold = self._schedule_hold(granted, now)
        if hold is not None:
            return CheckResult(now.wall, hold)
        read_ahead = cause == "event" and self.last is not None and self.last.hold.reason != "no_slot"
        only_counted = cause == "event" and self.rotation.may_wait(now)
        new = self._new_items() if read_ahead else []
        self._all_started = False
        running = self.items.running(now.wall, read_ahead=read_ahead, only_counted=only_counted, new=new)
        if not only_counted:
            self.rotation.observe(running, now)
        running = self._without_adopted(running, now)
        downloading = len(running)
        hold = slot_hold(limits, granted, downloading) or traffic_hold(limits, self._down_rate())
        stalled = self._stalled(hold, granted, now)
        if hold is not None and not stalled:
            return CheckResult(now.wall, hold, downloading=downloading, called_rtorrent=True)
        items = self.items.startable(now.wall)
        oldest = float(min(filter(None, items.values("loaded")), default=0.0))
        self._metrics.oldest.set(oldest, self.name)
        failed = bool(self._starter.failures)
        may_return = cause == "tick" or failed
        returning = self._closed.due(self.rules, now.wall, at_once=failed) if may_return else []
        waiting = self.items.ordered([*items, *returning]) if returning else items
        retried = self.rotation.due(limits.start_at_once, now.wall)
        waiting = self.rotation.merged(waiting, retried)
        reserved: dict[int, int] = {}
        if returning or (limits.min_free and items):
            reserved = reserved_bytes(self._rtorrent, self.rules, now.wall)
        disks = DiskBudget(reserved, limits.min_free)
        room = self.room(running)
        given = self._swap(stalled, waiting, room, disks, downloading, granted, now) if stalled else []
        if hold is not None and not given:
            return CheckResult(now.wall, hold, 0, len(items), downloading, called_rtorrent=True)
        for item in given:
            room.stop(item.group)
        downloading -= len(given)
        size = batch_size(limits, granted.left, downloading)
        batch = Batch(size, disks, self._starter.failures, now.wall, room, self.rotation.held_until)
        self._start_batch(batch, waiting, disks, _CheckTime(granted, now, batch_time(granted, now, cause == "tick")))
        self._all_started = not new and batch.started == len(waiting)
        if batch.started < size:
            self.rotation.retries.postpone(str(item["hash"]) for item in retried)
        return CheckResult(
            now.wall, batch.hold(), batch.started, len(items), downloading + batch.started, called_rtorrent=True
        )

    def _new_items(self) -> list[str]:
        """The items whose load is the cause of this check; none where others may wait as well.

        Every other look is at all items: what another program added or changed meanwhile waits for it.
        """
        may_look = self._all_started and not self._starter.failures and self.items.may_look_at_new()
        return self._starter.new_items(_NEW_MAX) if may_look else []

    def _without_adopted(self, running: list[Item], now: Instant) -> list[Item]:
        """The running items that are left when those that others started above the limit are closed."""
        may_exceed = len(running) > self.rules.limits.downloading_max or bool(self.rules.groups.field)
        if self.rules.adopt is None or not may_exceed:
            return running
        # An item with a row was closed before, and its owner started it again.
        kept = self.items.started_by_us() | self.rotation.rows.keys()
        rows = self._adoption.adopt(self.rotation.running, kept, self.room(running), now)
        self.rotation.parked(rows)
        closed = {row.info_hash for row in rows}
        return [item for item in running if str(item["hash"]) not in closed] if closed else running

    def _stalled(self, hold: Hold | None, granted: Grant, now: Instant) -> list[RunningItem]:
        """The items that may give up their slot in this check."""
        if granted.left <= 0 or (hold is not None and hold.reason != "no_slot"):
            return []
        return self.rotation.candidates(now, slots_full=hold is not None)

    def _swap(
        self,
        stalled: Sequence[RunningItem],
        waiting: Sequence[Item],
        room: GroupRoom,
        disks: DiskBudget,
        downloading: int,
        granted: Grant,
        now: Instant,
    ) -> list[RunningItem]:
        """Let stalled items give up their slots to the first waiting items of each group that could start."""
        groups, found = self.items.groups(waiting), list[int]()
        counts: Counter[str] = Counter()
        for place, group in enumerate(groups):
            counts[group] += 1
            found += [place] if counts[group] <= granted.left + _HELD_BACK else []
        batch = Batch(len(found), disks, self._starter.failures, now.wall, parked=self.rotation.held_until)
        able = [
            groups[place]
            for place, _, candidate in candidates(self._rtorrent, waiting, found, disks)
            if isinstance(batch.decide(candidate), QueueStart)
        ]
        free = self.rules.limits.downloading_max - downloading
        return self.rotation.swap(stalled, able, room, free, granted.left, now)

    def _down_rate(self) -> int:
        return int(str(self._rtorrent.call("throttle.global_down.rate", ""))) if self.rules.limits.max_down_rate else 0

    def _start_batch(self, batch: Batch, waiting: Sequence[Item], disks: DiskBudget, check: _CheckTime) -> None:
        groups, held = self.items.groups(waiting), 0
        turns = Turns(groups, batch.room, self.items.ranks(waiting))
        for place, item, candidate in candidates(self._rtorrent, waiting, turns, disks):
            candidate = replace(candidate, group=groups[place])
            decision = batch.decide(candidate)
            if isinstance(decision, Hold):
                if decision.reason == "batch_full":
                    break
                held += 1
                if held <= _RECORDED_HOLDS_MAX:
                    self._record(decision, check.now.wall)
                continue
            if not self.items.is_in_group(item, candidate.group):
                continue  # it was moved to another group, and is decided on at the next check
            result = self._start(candidate, check)
            self.progressed()
            if result.withheld:
                hold = Hold("loading", info_hash=candidate.info_hash, name=candidate.name)
                batch.note(hold)
                self._record(hold, check.now.wall)
            elif result.failure is None:
                batch.succeeded(candidate)
            else:
                batch.failed()
        for group, place in islice(turns.full.items(), _RECORDED_HOLDS_MAX):
            hold = group_hold(batch.room, group, str(waiting[place]["hash"]), str(waiting[place]["name"]))
            batch.note(hold)
            self._record(hold, check.now.wall)

    def _start(self, item: Candidate, check: _CheckTime) -> StartResult:
        before, after = self.state, after_start(self.state, check.granted, check.batch_at)

        def save_state(started: bool) -> None:
            self.state = after if started else before
            self._job_states.save(self.name, self.state)

        if self.rules.settings.dry_run:
            self._log.info("WOULD start %s (%s)", printable(item.name), item.info_hash)
            save_state(True)
            return StartResult(None)
        intent = StartIntent(item.info_hash, self.name, item.name, item.loaded, check.now.wall, item.marked)
        result = self._starter.start(intent, save_state, time.monotonic())
        if result.failure is not None:
            return result
        self._closed.started(item.info_hash, check.now.wall)
        self.rotation.started(item.info_hash)
        if not self.rules.settings.quiet:
            print_start(self._rtorrent, self.name, item, self.rules.table)
        return result

    def _record(self, hold: Hold, now: float) -> bool:
        text = hold_text(hold, now)
        return self._history.record(
            DecisionRecord(
                at=now, job=self.name, verdict=hold.reason, text=text, info_hash=hold.info_hash, name=hold.name
            )
        )
