"""What holds for the queue whatever happens: ticks, events, completions, clock steps, in any order."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.histories import History, history

SECONDS = st.integers(min_value=0, max_value=40)
THINGS = st.lists(
    st.tuples(st.sampled_from(["tick", "event", "queue", "complete", "clock"]), SECONDS), min_size=5, max_size=60
)
LIMITS = st.fixed_dictionaries(
    {
        "slots": st.integers(0, 5),
        "at_least": st.integers(0, 3),
        "at_once": st.integers(0, 4),
        "intermission": st.sampled_from([0.0, 7.0, 60.0]),
        "every": st.sampled_from([1.0, 5.0, 15.0]),
    }
)


def lived(limits: dict[str, float], things: list[tuple[str, int]], clock: bool = False) -> History:
    """A history in which each thing happens some seconds after the one before; ticks fall on the schedule."""
    queue, now, number = history(**limits), 1000.0, 0  # type: ignore[arg-type]
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
            now = queue.schedule.next_fire(now - 0.001) or now
            queue.step(at=now)
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
def test_batches_keep_the_pace_and_the_intermission(limits: dict[str, float], things: list[tuple[str, int]]) -> None:
    queue = lived(limits, things, clock=False)
    least = max(limits["every"], limits["intermission"])
    times = batches(queue)
    assert all(after - before >= least for before, after in pairwise(times))


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
