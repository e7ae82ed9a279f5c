"""The rule of the queue: what may be started now, what waits, and why; no clock is read and nothing is asked here."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from pyrotorque_scheduler.batch import Batch, Disks
from pyrotorque_scheduler.decisions import Candidate, Decision, Hold, Limits, Start, State
from pyrotorque_scheduler.grant import Grant
from pyrotorque_scheduler.moments import Moment, elapsed

_LATE: Final = 1.0


def closed(limits: Limits, state: State, granted: Grant, opens: float | None, now: Moment) -> Hold | None:
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
    state: State,
    granted: Grant,
    now: Moment,
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
        room(limits, granted.left, downloading), Disks(promised or {}, limits.min_free), state.failures, now.wall
    )
    return list(_succeeding(batch, candidates)) or [batch.why_no_more()]


def _succeeding(batch: Batch, candidates: Iterable[Candidate]) -> Iterable[Decision]:
    for item in candidates:
        decision = batch.decide(item)
        yield decision
        if isinstance(decision, Start):
            batch.succeeded(item)
        elif decision.reason == "batch_full":
            return


def counts_for(granted: Grant, now: Moment, tick: bool) -> Moment:
    """The moment for which a batch counts that begins now.

    Ticks come some milliseconds late: their batches count for the fire time itself, or the pace would drift. One that
    comes later than that (rTorrent hung, the machine slept) counts for when it came, or the next would be too soon.
    """
    late = now.wall - granted.fire if tick and granted.fire is not None else 0.0
    return now.earlier(late) if late < _LATE else now


def after_start(state: State, granted: Grant, at: Moment) -> State:
    """The state after one more start of the batch at `at`."""
    fire = granted.fire if granted.fire is not None else at.wall
    return replace(state, last_batch=at, spent=state.spent.and_one_more(fire))
