"""The rule of the queue, a pure function: what may be started now, what is held, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

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

# An item that does not start costs a call: a queue full of them must not hang the loop.
FAILURES_MAX: Final = 10


class DiskBudget:
    """What is promised of each disk: what running items still need, and those chosen in this very check."""

    def __init__(self, promised: Mapping[int, int], min_free: int) -> None:
        self._promised = dict(promised)
        self._min_free = min_free

    def refusal(self, item: Candidate) -> Hold | None:
        if item.free is None:
            return None
        left = item.free - self._promised.get(item.disk, 0) - item.need
        if left >= self._min_free:
            return None
        text = f"would leave {left} bytes free after what runs already, min_free is {self._min_free}"
        return Hold("disk", text, info_hash=item.info_hash, name=item.name)

    def promise(self, item: Candidate) -> None:
        self._promised[item.disk] = self._promised.get(item.disk, 0) + item.need


class Batch:
    """Takes candidates in their order; one that is held, or fails, uses no slot and does not block those behind it."""

    def __init__(self, count: int, disks: DiskBudget, failures: Mapping[str, Failure], now: float) -> None:
        self.started = 0
        self._count = count
        self._disks = disks
        self._failures = failures
        self._now = now
        self._failed = 0
        self._held: Hold | None = None

    def decide(self, item: Candidate) -> Decision:
        """Start this item or hold it; a hold with the reason `batch_full` ends the batch."""
        decision = self._full(item) or _failed_before(item, self._failures, self._now) or self._disks.refusal(item)
        if decision is None:
            return QueueStart(item.info_hash, item.name, f"{self.started + 1} of {self._count} that may be started now")
        self._held = self._held or decision
        return decision

    def succeeded(self, item: Candidate) -> None:
        """It was started: others have its slot and its room no more."""
        self.started += 1
        self._disks.promise(item)

    def failed(self) -> None:
        self._failed += 1

    def why_no_more(self) -> Hold:
        """Why the batch is not larger."""
        if self._held is not None:
            return self._held
        if self.started:
            return Hold("nothing_startable", "no other item is startable")
        if self._failed:
            return Hold("failed_before", "none of the startable items did start")
        return Hold("nothing_startable", "no item is startable")

    def _full(self, item: Candidate) -> Hold | None:
        if self.started >= self._count:
            text = f"{self._count} may be started now, this one is next"
            return Hold("batch_full", text, info_hash=item.info_hash, name=item.name)
        if self._failed >= FAILURES_MAX:
            text = f"{self._failed} items did not start, this one is tried at the next check"
            return Hold("batch_full", text, info_hash=item.info_hash, name=item.name)
        return None


def _failed_before(item: Candidate, failures: Mapping[str, Failure], now: float) -> Hold | None:
    failure = failures.get(item.info_hash)
    if failure is None or failure.until <= now:
        return None
    text = f"did not start ({failure.text}), tried again in {failure.until - now:.0f} s"
    return Hold("failed_before", text, failure.until, item.info_hash, item.name)


_LATE: Final = 1.0


def closed(limits: Limits, state: QueueState, granted: Grant, opens: float | None, now: Instant) -> Hold | None:
    """Why nothing may be started whatever rTorrent would answer; the hours of the job are open when `opens` is past."""
    if state.paused:
        return Hold("paused", "the job is paused: `pyrotorque resume JOB` lets it run again")
    if opens is None or opens > now.wall:
        return Hold("hours", "outside the hours of this job", opens)
    since = elapsed(state.last_batch, now) if state.last_batch else None
    if since is not None and since < limits.intermission:
        wait = limits.intermission - since
        return Hold(
            "intermission",
            f"the last start was {since:.0f} s ago, intermission is {limits.intermission:g} s",
            now.wall + wait,
        )
    if granted.fire is None:
        return Hold("pace", "outside the window of the schedule", granted.next_fire)
    if since is not None and since < granted.gap:
        wait = granted.gap - since
        return Hold(
            "pace",
            f"the last batch was {since:.1f} s ago, the schedule allows one in {granted.gap:g} s",
            now.wall + wait,
        )
    return None


def room(limits: Limits, left: int, downloading: int) -> int:
    """How many items may be started: the grant as far as slots are free, and always up to `downloading_min`."""
    return max(min(left, limits.downloading_max - downloading), limits.downloading_min - downloading, 0)


def full(limits: Limits, granted: Grant, downloading: int) -> Hold | None:
    """Why no item may be started, now that the number of downloading items is known."""
    if room(limits, granted.left, downloading) > 0:
        return None
    if downloading >= limits.downloading_max:
        return Hold("no_slot", f"{downloading} of {limits.downloading_max} slots are taken")
    return Hold("pace", "the starts granted by the schedule are used up", granted.next_fire)


def jammed(limits: Limits, down_rate: int) -> Hold | None:
    """Whether the line is busy already."""
    if not limits.max_down_rate or down_rate < limits.max_down_rate:
        return None
    return Hold("traffic", f"downloading {down_rate} bytes/s, max_down_rate is {limits.max_down_rate}")


def decide(
    candidates: Iterable[Candidate],
    downloading: int,
    limits: Limits,
    state: QueueState,
    granted: Grant,
    now: Instant,
    *,
    opens: float | None = 0.0,
    down_rate: int = 0,
    promised: Mapping[int, int] | None = None,
) -> list[Decision]:
    """The whole rule over known facts: what a check would do if every start succeeded."""
    hold = closed(limits, state, granted, opens, now) or full(limits, granted, downloading) or jammed(limits, down_rate)
    if hold is not None:
        return [hold]
    batch = Batch(
        room(limits, granted.left, downloading), DiskBudget(promised or {}, limits.min_free), state.failures, now.wall
    )
    return list(_succeeding(batch, candidates)) or [batch.why_no_more()]


def _succeeding(batch: Batch, candidates: Iterable[Candidate]) -> Iterable[Decision]:
    for item in candidates:
        decision = batch.decide(item)
        yield decision
        if isinstance(decision, QueueStart):
            batch.succeeded(item)
        elif decision.reason == "batch_full":
            return


def counts_for(granted: Grant, now: Instant, tick: bool) -> Instant:
    """The moment for which a batch counts that begins now.

    Ticks come some milliseconds late: their batches count for the fire time itself, or the pace would drift. One that
    comes later than that (rTorrent hung, the machine slept) counts for when it came, or the next would be too soon.
    """
    late = now.wall - granted.fire if tick and granted.fire is not None else 0.0
    return now.earlier(late) if late < _LATE else now


def after_start(state: QueueState, granted: Grant, at: Instant) -> QueueState:
    """The state after one more start of the batch at `at`."""
    fire = granted.fire if granted.fire is not None else at.wall
    return replace(state, last_batch=at, spent=state.spent.and_one_more(fire))
