"""One queue job over a real rTorrent: the cheapest question first, at most one call for each, then starts."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pyrotorque.conditions import Condition, parse
from pyrotorque.customfields import worker_of
from pyrotorque.items import Found, Item, ItemReader
from pyrotorque.logs import job_logger
from pyrotorque.rtorrent import RTorrent
from pyrotorque.text import printable
from pyrotorque_scheduler.due_jobs import Cause
from pyrotorque_scheduler.metrics import SchedulerMetrics
from pyrotorque_scheduler.queue.disk_space import LowDiskItems, as_candidate, promised_of
from pyrotorque_scheduler.queue.forecast import Forecast, QueueFacts, forecast
from pyrotorque_scheduler.queue.model import Candidate, Grant, Hold, Instant, QueueState, grant
from pyrotorque_scheduler.queue.policy import Batch, DiskBudget, after_start, closed, counts_for, full, jammed, room
from pyrotorque_scheduler.queue.rules import QueueRules
from pyrotorque_scheduler.queue.starter import Starter, StartIntent, print_start
from pyrotorque_scheduler.state import DecisionHistory, DecisionRecord, JobStates

# Of thousands that a full disk holds, the first tell the story; all of them would push everything else out of it.
_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check came to; `hold` says why no more was started, numbers are None where nobody needed to ask."""

    at: float
    hold: Hold
    started: int = 0
    startable: int | None = None
    downloading: int | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True)
class _Turn:
    """One check: what it may spend, when it is, and the moment for which its batch counts."""

    granted: Grant
    now: Instant
    counts_for: Instant


class Queue:
    """A queue job; its checks belong to the loop, its state is written with each start."""

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
        self._returning = LowDiskItems()
        self._log = job_logger(rules.name)
        metrics.introduce_queue(rules.settings)

    def recall(self, now: Instant) -> None:
        """Take up what an earlier life remembered, or what a request changed."""
        self.state = replace(self._job_states.load(self.name, now), failures=self._starter.failures)

    @property
    def paused(self) -> bool:
        return self.state.paused

    def granted(self, now: Instant) -> Grant:
        return grant(self.rules.schedule, self.rules.limits.start_at_once, self.state.spent, now.wall)

    def closed(self, now: Instant) -> Hold | None:
        """Why nothing may be started at this time, whatever rTorrent would answer."""
        return self._closed(self.granted(now), now)

    def check(self, now: Instant, cause: Cause) -> CheckResult:
        """Look, and start what may be started.

        Raises RTorrentError where rTorrent does not answer; what was started before that is remembered.
        """
        outcome = self._look(self._granted_by(cause, now), now, cause)
        self._note(outcome, cause)
        return outcome

    def downloading(self, now: float) -> Sequence[Item]:
        """The items that take slots."""
        view, table = self.rules.settings.view, self.rules.table
        return self._reader.find(view, self.rules.downloading, {"hash"}, now, table=table, any_order=True)

    def startable(self, now: float) -> Found:
        """The startable items in the order in which they will be started."""
        rules, order = self.rules, self.rules.order
        # Without a total order the view has a say in it.
        anyhow = order is not None and not order.fields.isdisjoint(("name", "hash"))
        view = rules.settings.view
        found = self._reader.find(view, rules.startable, rules.fields, now, table=rules.table, any_order=anyhow)
        return found.sorted(order) if order else found

    def read(self, condition: Condition | None, fields: Collection[str], now: float) -> list[Item]:
        """Items of the job's view."""
        return self._reader.read(self.rules.settings.view, condition, fields, now, table=self.rules.table)

    def forecast(self, waiting: Sequence[Item], downloading: int, now: Instant) -> Forecast:
        """What a check would do now, and which will start something; the gates are asked as a check asks them."""
        rules, limits = self.rules, self.rules.limits
        promised = self._promised(now.wall) if limits.min_free else {}
        facts = QueueFacts([as_candidate(item) for item in waiting], downloading, self._down_rate(), promised)
        return forecast(facts, limits, self.state, rules.schedule, rules.hours, now)

    def is_checked(self, item: Item) -> bool:
        """Whether rTorrent still checks the data of an item that was started."""
        return self._starter.is_checked(str(item["hash"]))

    def being_checked(self, now: float) -> int:
        """How many of those that were started, by whatever job, take a slot of this one and are not active yet."""
        hashes = self._starter.still_checked()
        if not hashes:
            return 0
        counted = self.rules.downloading
        items = self.read(parse(f"hash={','.join(hashes)}"), counted.fields, now)
        values = [{name: item[name] for name in counted.fields} | {"is_active": True} for item in items]
        return sum(counted.matches(each, now) for each in values)

    def _granted_by(self, cause: Cause, now: Instant) -> Grant:
        if cause == "request":
            # Its owner says "now": that is a fire time of its own. Intermission and slots still hold.
            return Grant(now.wall, self.rules.limits.start_at_once, 0.0, None)
        return self.granted(now)

    def _closed(self, granted: Grant, now: Instant) -> Hold | None:
        return closed(self.rules.limits, self.state, granted, self.rules.hours.opens(now.wall), now)

    def _look(self, granted: Grant, now: Instant, cause: Cause) -> CheckResult:
        limits = self.rules.limits
        hold = self._closed(granted, now)
        if hold is not None:
            return CheckResult(now.wall, hold)
        # In this order: what becomes active between the two calls is counted twice for once, and never not at all.
        downloading = self.being_checked(now.wall) + len(self.downloading(now.wall))
        hold = full(limits, granted, downloading) or jammed(limits, self._down_rate())
        if hold is not None:
            return CheckResult(now.wall, hold, downloading=downloading, asked=True)
        items = self.startable(now.wall)
        oldest = float(min(filter(None, items.values("loaded")), default=0.0))
        self._metrics.oldest.set(oldest, self.name)
        returning = self._returning.due(self._rtorrent, self.rules, now.wall) if cause == "tick" else []
        candidates = self._ordered([*items, *returning]) if returning else items
        disks_matter = bool(returning or (limits.min_free and items))
        batch = self._batch(room(limits, granted.left, downloading), disks_matter, now.wall)
        self._start_some(batch, candidates, _Turn(granted, now, counts_for(granted, now, cause == "tick")))
        return CheckResult(
            now.wall, batch.why_no_more(), batch.started, len(items), downloading + batch.started, asked=True
        )

    def _ordered(self, items: list[Item]) -> list[Item]:
        return self.rules.order.sorted(items) if self.rules.order else items

    def _down_rate(self) -> int:
        return int(str(self._rtorrent.call("throttle.global_down.rate", ""))) if self.rules.limits.max_down_rate else 0

    def _batch(self, count: int, disks_matter: bool, now: float) -> Batch:
        promised = self._promised(now) if disks_matter else {}
        return Batch(count, DiskBudget(promised, self.rules.limits.min_free), self._starter.failures, now)

    def _promised(self, now: float) -> dict[int, int]:
        return promised_of(self._rtorrent, self.rules, now)

    def _start_some(self, batch: Batch, items: Sequence[Item], turn: _Turn) -> None:
        held = 0
        for candidate in map(as_candidate, items):
            decision = batch.decide(candidate)
            if isinstance(decision, Hold):
                if decision.reason == "batch_full":
                    return
                held += 1
                if held <= _TOLD:
                    self._record(decision, turn.now.wall)
            elif self._start(candidate, turn):
                batch.succeeded(candidate)
            else:
                batch.failed()

    def _start(self, item: Candidate, turn: _Turn) -> bool:
        before, after = self.state, after_start(self.state, turn.granted, turn.counts_for)

        def remember(begun: bool) -> None:
            self.state = after if begun else before
            self._job_states.save(self.name, self.state)

        if self.rules.settings.dry_run:
            self._log.info("WOULD start %s (%s)", printable(item.name), item.info_hash)
            remember(True)
            return True
        intent = StartIntent(item.info_hash, self.name, item.name, item.loaded, turn.now.wall)
        if self._starter.start(intent, remember, time.monotonic()).trouble is not None:
            return False
        self._returning.came_back(item.info_hash, turn.now.wall)
        if not self.rules.settings.quiet:
            print_start(self._rtorrent, self.name, item, self.rules.table)
        return True

    def _record(self, hold: Hold, now: float) -> bool:
        return self._history.record(
            DecisionRecord(
                at=now, job=self.name, verdict=hold.reason, text=hold.text, info_hash=hold.info_hash, name=hold.name
            )
        )

    def _note(self, outcome: CheckResult, cause: Cause) -> None:
        self.last = outcome
        metrics, name = self._metrics, self.name
        metrics.checks.inc(name, cause)
        metrics.last_run.set(outcome.at, name)
        if outcome.downloading is not None:
            metrics.downloading.set(outcome.downloading, name)
        if outcome.startable is not None:
            metrics.startable.set(max(0, outcome.startable - outcome.started), name)
        if (last := self.state.last_batch) is not None:
            metrics.intermission_end.set(last.wall + self.rules.limits.intermission, name)
            # Remembered from before a restart, too.
            metrics.last_start.set(max(last.wall, metrics.last_start.get(name)), name)
        if outcome.started:
            return
        metrics.skips.inc(name, outcome.hold.reason)
        if self._record(replace(outcome.hold, info_hash="", name=""), outcome.at):
            self._log.debug("nothing started: %s", outcome.hold.text)
