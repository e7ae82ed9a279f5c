"""One check of a queue job over rTorrent: the cheapest question first, at most one call for each, then the starts."""

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pyrotorque.conditions import Condition, parse
from pyrotorque.customfields import worker_of
from pyrotorque.events import QueueChecked
from pyrotorque.items import Item, ItemReader, LazyItems
from pyrotorque.logs import job_logger
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable
from pyrotorque_scheduler.due_jobs import Cause
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.disk_space import ClosedItems, candidates, reserved_bytes
from pyrotorque_scheduler.queue.explain_text import hold_text
from pyrotorque_scheduler.queue.forecast import Forecast, QueueFacts, forecast
from pyrotorque_scheduler.queue.model import Candidate, Grant, Hold, Instant, QueueState, grant
from pyrotorque_scheduler.queue.policy import (
    Batch,
    DiskBudget,
    after_start,
    batch_size,
    batch_time,
    schedule_hold,
    slot_hold,
    traffic_hold,
)
from pyrotorque_scheduler.queue.printed_start import print_start
from pyrotorque_scheduler.queue.rules import QueueRules
from pyrotorque_scheduler.queue.start_result import StartIntent
from pyrotorque_scheduler.queue.starter import Starter
from pyrotorque_scheduler.state import DecisionHistory, DecisionRecord, JobStates

# A full disk can hold thousands of items: recording all of them would push everything else out of the history.
_RECORDED_HOLDS_MAX: Final = 20
_SAME_CHECK_EVERY: Final = 60.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: `hold` is why no more was started; numbers are None where the check needed none."""

    at: float
    hold: Hold
    started: int = 0
    startable: int | None = None
    downloading: int | None = None
    called_rtorrent: bool = False


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
    ) -> None:
        self.rules = rules
        self.name = rules.name
        self.state = QueueState()
        self.last: CheckResult | None = None
        self._rtorrent = rtorrent
        self._reader = ItemReader(rtorrent, worker_of(rules.table))
        self._starter = starter
        self._job_states = job_states
        self._history = history
        self._metrics = metrics
        self._closed = ClosedItems(self._reader)
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
        self._publish_metrics(result, cause)
        if not result.started and self._record(replace(result.hold, info_hash="", name=""), result.at):
            self._log.debug("nothing started: %s", hold_text(result.hold, result.at))
        return result

    def downloading(self, now: float) -> Sequence[Item]:
        """The items that take slots."""
        view, table = self.rules.settings.view, self.rules.table
        return self._reader.find(view, self.rules.downloading, {"hash"}, now, table=table, any_order=True)

    def startable(self, now: float) -> LazyItems:
        """The startable items in the order in which they are started."""
        rules, order = self.rules, self.rules.order
        # Without a total order, the order of the view decides between equal items.
        any_order = order is not None and not order.fields.isdisjoint(("name", "hash"))
        view = rules.settings.view
        found = self._reader.find(view, rules.startable, rules.fields, now, table=rules.table, any_order=any_order)
        return found.sorted(order) if order else found

    def waiting(self, now: float) -> Sequence[Item]:
        """The startable items and those that rTorrent closed by itself, in the order in which they are started."""
        items, closed = self.startable(now), self._closed.read(self.rules, now)
        return self._ordered([*items, *closed]) if closed else items

    def read(self, condition: Condition | None, fields: Collection[str], now: float) -> list[Item]:
        """Items of the job's view."""
        return self._reader.read(self.rules.settings.view, condition, fields, now, table=self.rules.table)

    def forecast(self, startable: Sequence[Item], downloading: int, now: Instant) -> Forecast:
        """What a check would do now, and which later one starts something; with the facts that a check reads."""
        rules, limits = self.rules, self.rules.limits
        reserved = reserved_bytes(self._rtorrent, rules, now.wall) if limits.min_free else {}
        disks = DiskBudget(reserved, limits.min_free)
        waiting = [candidate for _, candidate in candidates(self._rtorrent, startable, disks)]
        facts = QueueFacts(waiting, downloading, self._down_rate(), reserved)
        return forecast(facts, limits, self.state, rules.schedule, rules.hours, now)

    def is_hash_checking(self, item: Item) -> bool:
        """Whether rTorrent still checks the data of an item that was started."""
        return self._starter.is_hash_checking(str(item["hash"]))

    def hash_checking(self, now: float) -> int:
        """How many items that any job started take a slot of this one, but are not active yet."""
        hashes = self._starter.hash_checking()
        if not hashes:
            return 0
        condition = self.rules.downloading
        items = self.read(parse(f"hash={','.join(hashes)}"), condition.fields, now)
        values = [{name: item[name] for name in condition.fields} | {"is_active": True} for item in items]
        return sum(condition.matches(each, now) for each in values)

    def _schedule_hold(self, granted: Grant, now: Instant) -> Hold | None:
        return schedule_hold(self.rules.limits, self.state, granted, self.rules.hours.opens(now.wall), now)

    def _checked(self, granted: Grant, now: Instant, cause: Cause) -> CheckResult:
        limits = self.rules.limits
        hold = self._schedule_hold(granted, now)
        if hold is not None:
            return CheckResult(now.wall, hold)
        # In this order, an item that becomes active between the two calls is counted twice, but never missed.
        downloading = self.hash_checking(now.wall) + len(self.downloading(now.wall))
        hold = slot_hold(limits, granted, downloading) or traffic_hold(limits, self._down_rate())
        if hold is not None:
            return CheckResult(now.wall, hold, downloading=downloading, called_rtorrent=True)
        items = self.startable(now.wall)
        oldest = float(min(filter(None, items.values("loaded")), default=0.0))
        self._metrics.oldest.set(oldest, self.name)
        failed = bool(self._starter.failures)
        may_return = cause == "tick" or failed
        returning = self._closed.due(self.rules, now.wall, at_once=failed) if may_return else []
        waiting = self._ordered([*items, *returning]) if returning else items
        reserved: dict[int, int] = {}
        if returning or (limits.min_free and items):
            reserved = reserved_bytes(self._rtorrent, self.rules, now.wall)
        size = batch_size(limits, granted.left, downloading)
        disks = DiskBudget(reserved, limits.min_free)
        batch = Batch(size, disks, self._starter.failures, now.wall)
        self._start_batch(
            batch,
            candidates(self._rtorrent, waiting, disks),
            _CheckTime(granted, now, batch_time(granted, now, cause == "tick")),
        )
        return CheckResult(
            now.wall, batch.hold(), batch.started, len(items), downloading + batch.started, called_rtorrent=True
        )

    def _ordered(self, items: list[Item]) -> list[Item]:
        return self.rules.order.sorted(items) if self.rules.order else items

    def _down_rate(self) -> int:
        return int(str(self._rtorrent.call("throttle.global_down.rate", ""))) if self.rules.limits.max_down_rate else 0

    def _start_batch(self, batch: Batch, waiting: Iterable[tuple[Item, Candidate]], check: _CheckTime) -> None:
        held = 0
        for _, candidate in waiting:
            decision = batch.decide(candidate)
            if isinstance(decision, Hold):
                if decision.reason == "batch_full":
                    return
                held += 1
                if held <= _RECORDED_HOLDS_MAX:
                    self._record(decision, check.now.wall)
            elif self._start(candidate, check):
                batch.succeeded(candidate)
            else:
                batch.failed()

    def _start(self, item: Candidate, check: _CheckTime) -> bool:
        before, after = self.state, after_start(self.state, check.granted, check.batch_at)

        def save_state(started: bool) -> None:
            self.state = after if started else before
            self._job_states.save(self.name, self.state)

        if self.rules.settings.dry_run:
            self._log.info("WOULD start %s (%s)", printable(item.name), item.info_hash)
            save_state(True)
            return True
        intent = StartIntent(item.info_hash, self.name, item.name, item.loaded, check.now.wall)
        if self._starter.start(intent, save_state, time.monotonic()).failure is not None:
            return False
        self._closed.started(item.info_hash, check.now.wall)
        if not self.rules.settings.quiet:
            print_start(self._rtorrent, self.name, item, self.rules.table)
        return True

    def _record(self, hold: Hold, now: float) -> bool:
        text = hold_text(hold, now)
        return self._history.record(
            DecisionRecord(
                at=now, job=self.name, verdict=hold.reason, text=text, info_hash=hold.info_hash, name=hold.name
            )
        )

    def _publish_metrics(self, result: CheckResult, cause: Cause) -> None:
        self.last = result
        metrics, name = self._metrics, self.name
        metrics.checks.inc(name, cause)
        metrics.last_run.set(result.at, name)
        if result.downloading is not None:
            metrics.downloading.set(result.downloading, name)
        if result.startable is not None:
            metrics.startable.set(max(0, result.startable - result.started), name)
        if (last := self.state.last_batch) is not None:
            metrics.intermission_end.set(last.wall + self.rules.limits.intermission, name)
            # The stored state may be from before a restart.
            metrics.last_start.set(max(last.wall, metrics.last_start.get(name)), name)
        if not result.started:
            metrics.skips.inc(name, result.hold.reason)


class PublishedChecks:
    """The last published check of each queue: one with the same result is published once a minute."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, tuple[object, ...]]] = {}

    def event(self, queue: Queue, result: CheckResult, now: float) -> QueueChecked | None:
        """The event to publish, if any; `now` is CLOCK_MONOTONIC seconds."""
        facts = (result.hold.reason, result.startable, result.downloading)
        at, published = self._last.get(queue.name, (float("-inf"), ()))
        if not result.started and published == facts and now - at < _SAME_CHECK_EVERY:
            return None
        self._last[queue.name] = (now, facts)
        return QueueChecked(
            at=result.at,
            job=queue.name,
            startable=result.startable,
            downloading=result.downloading,
            slots=queue.rules.limits.downloading_max,
            started=result.started,
            reason=hold_text(result.hold, result.at),
            summary=hold_text(result.hold, result.at, error=False),
        )
