"""The rule of the queue as pure functions: what may be started now, what is held back, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pyrotorque_scheduler.queue.groups import GroupLimits, GroupRoom, Turns
from pyrotorque_scheduler.queue.model import (
    Candidate,
    Decision,
    Failure,
    Grant,
    Hold,
    Instant,
    Limits,
    QueueStart,
    QueueState,
    elapsed,
)

NO_GROUPS: Final = GroupRoom(GroupLimits())
# Each failed start costs a call to rTorrent: a queue full of failing items must not block the loop.
FAILURES_MAX: Final = 10
# A batch that begins within this many seconds of its fire time counts for the fire time.
_TICK_DELAY_MAX: Final = 1.0


def schedule_hold(limits: Limits, state: QueueState, granted: Grant, opens: float | None, now: Instant) -> Hold | None:
    """The hold that needs no facts from rTorrent; `opens` is when the job's hours begin (past: they have begun)."""
    if state.paused:
        return Hold("paused")
    if opens is None or opens > now.wall:
        return Hold("hours", until=opens)
    since = elapsed(state.last_batch, now) if state.last_batch else None
    if since is not None and since < limits.intermission:
        numbers = {"since": since, "intermission": limits.intermission}
        return Hold("intermission", until=now.wall + limits.intermission - since, numbers=numbers)
    if granted.fire is None:
        return Hold("pace", "window", granted.next_fire)
    if since is not None and since < granted.gap:
        return Hold("pace", "gap", now.wall + granted.gap - since, {"since": since, "gap": granted.gap})
    return None


def batch_size(limits: Limits, left: int, downloading: int) -> int:
    """How many items may be started: the grant as far as slots are free, and always up to `downloading_min`."""
    return max(min(left, limits.downloading_max - downloading), limits.downloading_min - downloading, 0)


def slot_hold(limits: Limits, granted: Grant, downloading: int) -> Hold | None:
    """The hold that depends on the number of downloading items."""
    if batch_size(limits, granted.left, downloading) > 0:
        return None
    if downloading >= limits.downloading_max:
        return Hold("no_slot", numbers={"downloading": downloading, "slots": limits.downloading_max})
    return Hold("pace", "grant_used", granted.next_fire)


def traffic_hold(limits: Limits, down_rate: int) -> Hold | None:
    """The hold of `max_down_rate`."""
    if not limits.max_down_rate or down_rate < limits.max_down_rate:
        return None
    return Hold("traffic", numbers={"down_rate": down_rate, "max_down_rate": limits.max_down_rate})


class DiskBudget:
    """The bytes reserved on each disk: for items that are running, and for those started in this check."""

    def __init__(self, reserved: Mapping[int, int], min_free: int) -> None:
        self._reserved = dict(reserved)
        self._min_free = min_free

    def hold(self, item: Candidate) -> Hold | None:
        if item.free is None:
            return None
        left = item.free - self._reserved.get(item.disk, 0) - item.need
        if left >= self._min_free:
            return None
        numbers = {"left": left, "min_free": self._min_free}
        return Hold("disk", numbers=numbers, info_hash=item.info_hash, name=item.name)

    def reserve(self, item: Candidate) -> None:
        self._reserved[item.disk] = self._reserved.get(item.disk, 0) + item.need


class Batch:
    """Decides on candidates in their order; one that is held or fails uses no slot and does not block the next."""

    def __init__(
        self,
        size: int,
        disks: DiskBudget,
        failures: Mapping[str, Failure],
        now: float,
        room: GroupRoom = NO_GROUPS,
        parked: Mapping[str, float] | None = None,
    ) -> None:
        self.started = 0
        self._size = size
        self._disks = disks
        self._failures = failures
        self._now = now
        self.room = room
        self._parked = parked or {}
        self._failed = 0
        self._first_hold: Hold | None = None

    def decide(self, item: Candidate) -> Decision:
        """Start this item or hold it; a hold with the reason `batch_full` ends the batch."""
        hold = (
            self._full(item)
            or self._parked_hold(item)
            or _failed_before(item, self._failures, self._now)
            or self._disks.hold(item)
        )
        if hold is None:
            return QueueStart(item.info_hash, item.name)
        self._first_hold = self._first_hold or hold
        return hold

    def succeeded(self, item: Candidate) -> None:
        """The item was started and uses its slot and its disk space."""
        self.started += 1
        self._disks.reserve(item)
        if self.room.limits.field:
            self.room.start(item.group)

    def failed(self) -> None:
        self._failed += 1

    def note(self, hold: Hold) -> None:
        """An item was held without a decision, because its group is full."""
        self._first_hold = self._first_hold or hold

    def hold(self) -> Hold:
        """Why the batch is not larger."""
        if self._first_hold is not None:
            return self._first_hold
        if self.started:
            return Hold("nothing_startable", "no_other")
        if self._failed:
            return Hold("failed_before", "all_failed")
        return Hold("nothing_startable")

    def _parked_hold(self, item: Candidate) -> Hold | None:
        until = self._parked.get(item.info_hash, 0.0)
        if until <= self._now:
            return None
        return Hold("parked", until=until, info_hash=item.info_hash, name=item.name)

    def _full(self, item: Candidate) -> Hold | None:
        if self.started >= self._size:
            return Hold("batch_full", numbers={"size": self._size}, info_hash=item.info_hash, name=item.name)
        if self._failed >= FAILURES_MAX:
            numbers = {"failed": self._failed}
            return Hold("batch_full", "failures", numbers=numbers, info_hash=item.info_hash, name=item.name)
        return None


def decide(
    candidates: Sequence[Candidate],
    downloading: int,
    limits: Limits,
    state: QueueState,
    granted: Grant,
    now: Instant,
    *,
    opens: float | None = 0.0,
    down_rate: int = 0,
    reserved: Mapping[int, int] | None = None,
    room: GroupRoom = NO_GROUPS,
) -> list[Decision]:
    """The whole rule over known facts: what a check would decide if every start succeeded."""
    hold = (
        schedule_hold(limits, state, granted, opens, now)
        or slot_hold(limits, granted, downloading)
        or traffic_hold(limits, down_rate)
    )
    if hold is not None:
        return [hold]
    disks = DiskBudget(reserved or {}, limits.min_free)
    batch = Batch(batch_size(limits, granted.left, downloading), disks, state.failures, now.wall, room.copy())
    return list(_successful(batch, candidates)) or [batch.hold()]


def batch_time(granted: Grant, now: Instant, tick: bool) -> Instant:
    """The time that counts for a batch that begins now.

    Ticks arrive some milliseconds late: their batches count for the fire time itself, or the pace would drift. A later
    one (rTorrent hung, the machine slept) counts for its actual time, or the next batch would be too early.
    """
    if not tick or granted.fire is None:
        return now
    late = now.wall - granted.fire
    return now.earlier(late) if late < _TICK_DELAY_MAX else now


def after_start(state: QueueState, granted: Grant, at: Instant) -> QueueState:
    """The state after one more start of the batch at `at`."""
    fire = granted.fire if granted.fire is not None else at.wall
    return replace(state, last_batch=at, used=state.used.and_one_more(fire))


def group_hold(room: GroupRoom, group: str, info_hash: str, name: str) -> Hold:
    """The hold of an item whose group has no free slot."""
    numbers = {"running": room.running[group], "group_max": room.limits.of(group)}
    return Hold("group_full", numbers=numbers, info_hash=info_hash, name=name, group=group)


def _successful(batch: Batch, candidates: Sequence[Candidate]) -> Iterable[Decision]:
    turns = Turns([item.group for item in candidates], batch.room, [item.rank for item in candidates])
    for index in turns:
        item = candidates[index]
        decision = batch.decide(item)
        yield decision
        if isinstance(decision, QueueStart):
            batch.succeeded(item)
        elif decision.reason == "batch_full":
            break
    for group, index in turns.full.items():
        yield group_hold(batch.room, group, candidates[index].info_hash, candidates[index].name)


def _failed_before(item: Candidate, failures: Mapping[str, Failure], now: float) -> Hold | None:
    failure = failures.get(item.info_hash)
    if failure is None or failure.until <= now:
        return None
    return Hold("failed_before", until=failure.until, error=failure.error, info_hash=item.info_hash, name=item.name)
