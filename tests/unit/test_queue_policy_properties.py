"""Invariants of the policy over random ticks, events, completions and clock steps."""

import math
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pyrotorque.hours import Hours
from pyrotorque_scheduler.queue.forecast import QueueFacts, forecast
from pyrotorque_scheduler.queue.model import Candidate, Failure, Instant, QueueStart
from pyrotorque_scheduler.queue.policy import FAILURES_MAX, Batch, DiskBudget
from tests.histories import History, history

ALREADY = 8
SECONDS = st.integers(min_value=0, max_value=20)
THINGS = st.lists(
    st.tuples(st.sampled_from(["tick", "event", "event", "queue", "complete", "clock"]), SECONDS),
    min_size=5,
    max_size=60,
)
LIMITS = st.fixed_dictionaries(
    {
        "slots": st.integers(0, 5),
        "at_least": st.integers(0, 3),
        "at_once": st.integers(0, 4),
        "intermission": st.sampled_from([0.0, 7.0, 60.0]),
        "every": st.sampled_from([1.0, 5.0, 15.0]),
        "until": st.sampled_from([1030.0, math.inf, math.inf]),
    }
)


def lived(limits: dict[str, float], things: list[tuple[str, int]], clock: bool = False) -> History:
    """A history of random events, each some seconds after the previous one; ticks follow the schedule."""
    queue, now, number = history(**limits), 1000.0, ALREADY  # type: ignore[arg-type]
    queue.queued(*(f"{number:03}" for number in range(ALREADY)))
    for thing, seconds in things:
        now += seconds
        if thing == "queue":
            number += 1
            queue.queued(f"{number:03}")
        elif thing == "complete" and queue.running:
            queue.completes(queue.running[0])
        elif thing == "clock" and clock:
            queue.clock_steps(seconds * 100 - 2000)
        elif thing == "tick":
            fire = queue.schedule.next_fire(now - 0.001)
            now = now if fire is None else fire
            queue.event(at=now) if fire is None else queue.step(at=now)
        else:
            queue.event(at=now)
        assert len(queue.running) <= max(queue.limits.downloading_max, queue.limits.downloading_min)
    return queue


def batches(queue: History) -> list[float]:
    return sorted(set(queue.times))


@given(LIMITS, THINGS)
def test_no_item_is_started_twice_and_the_order_is_kept(
    limits: dict[str, float], things: list[tuple[str, int]]
) -> None:
    queue = lived(limits, things)
    assert queue.started == sorted(set(queue.started))


@given(LIMITS, THINGS)
@settings(max_examples=300)
def test_batches_keep_the_pace_and_the_intermission(limits: dict[str, float], things: list[tuple[str, int]]) -> None:
    queue = lived(limits, things, clock=False)
    least = max(limits["every"], limits["intermission"])
    times = batches(queue)
    assert all(after - before >= least for before, after in pairwise(times))


@given(LIMITS, THINGS)
def test_nothing_starts_outside_the_window_of_the_schedule(
    limits: dict[str, float], things: list[tuple[str, int]]
) -> None:
    assert all(at < limits["until"] + limits["every"] for at in lived(limits, things).times)


@given(LIMITS, THINGS)
def test_no_clock_step_cuts_an_intermission(limits: dict[str, float], things: list[tuple[str, int]]) -> None:
    queue = lived(limits, things, clock=True)
    times = batches(queue)
    assert all(after - before >= limits["intermission"] for before, after in pairwise(times))


@given(LIMITS, THINGS)
@settings(max_examples=50)
def test_a_batch_is_no_larger_than_the_grant_or_the_minimum(
    limits: dict[str, float], things: list[tuple[str, int]]
) -> None:
    queue = lived(limits, things)
    largest = max((queue.times.count(at) for at in batches(queue)), default=0)
    assert largest <= max(limits["at_once"], limits["at_least"])


TROUBLES = st.lists(
    st.tuples(
        st.sampled_from(["tick", "event", "queue", "complete", "by hand", "pause", "resume", "close", "open"]), SECONDS
    ),
    min_size=5,
    max_size=60,
)


@given(LIMITS, TROUBLES)
def test_nothing_starts_while_paused_or_outside_the_hours_or_beyond_the_slots(
    limits: dict[str, float], things: list[tuple[str, int]]
) -> None:
    queue, now = history(**limits), 1000.0  # type: ignore[arg-type]
    most = max(queue.limits.downloading_max, queue.limits.downloading_min)
    for number, (thing, seconds) in enumerate(things):
        now += seconds
        before = len(queue.started)
        if thing == "queue":
            queue.queued(f"{number:03}")
        elif thing == "complete":
            queue.completes(*queue.running[:1])
        elif thing == "by hand":
            queue.runs(f"by hand {number}")
        elif thing in ("pause", "resume"):
            queue.state = replace(queue.state, paused=thing == "pause")
        elif thing in ("close", "open"):
            queue.opens = None if thing == "close" else 0.0
        elif thing == "tick":
            now = queue.schedule.next_fire(now - 0.001) or now
            queue.step(at=now)
        else:
            queue.event(at=now)
        fresh = len(queue.started) - before
        assert not fresh or not (queue.state.paused or queue.opens is None)
        assert not fresh or len(queue.running) <= most


ITEMS = st.lists(st.tuples(st.integers(0, 100), st.booleans(), st.booleans()), max_size=25)


@given(ITEMS, st.integers(0, 10), st.integers(0, 200), st.integers(0, 100))
def test_a_batch_keeps_the_order_and_the_disk_space_whatever_fails(
    items: list[tuple[int, bool, bool]], count: int, free: int, least: int
) -> None:
    candidates = [Candidate(f"{n:02}", "x", need=need, free=free, disk=1) for n, (need, _, _) in enumerate(items)]
    late = {c.info_hash: Failure(60.0, "broken") for c, (_, failed, _) in zip(candidates, items, strict=True) if failed}
    breaks = {c.info_hash for c, (_, _, broken) in zip(candidates, items, strict=True) if broken}
    batch, started, tried = Batch(count, DiskBudget({}, least), late, 0.0), [], 0
    for candidate in candidates:
        if isinstance(batch.decide(candidate), QueueStart):
            tried += 1
            if candidate.info_hash in breaks:
                batch.failed()
            else:
                batch.succeeded(candidate)
                started.append(candidate)
    assert [c.info_hash for c in started] == sorted({c.info_hash for c in started} - late.keys() - breaks)
    assert len(started) == batch.started <= count
    assert tried <= count + FAILURES_MAX
    assert not started or free - sum(c.need for c in started) >= least


@given(LIMITS, THINGS)
@settings(max_examples=50)
def test_a_forecast_is_correct_if_nothing_else_happens(limits: dict[str, float], things: list[tuple[str, int]]) -> None:
    queue = lived(limits, things)
    now = 1000.0 + sum(seconds for _, seconds in things) + 100.0
    seen = forecast(
        QueueFacts(queue.waiting, len(queue.running)),
        queue.limits,
        queue.state,
        queue.schedule,
        Hours(),
        Instant(now, now, "boot"),
    )
    for fire in (now + n * queue.schedule.seconds / 4 for n in range(400)):
        if seen.at is not None and fire >= seen.at:
            break
        before = list(queue.started)
        queue.event(at=fire)
        assert queue.started == before
    if seen.at is not None:
        queue.event(at=seen.at)
        assert queue.started[-len(seen.starts) :] == [start.info_hash for start in seen.starts]
