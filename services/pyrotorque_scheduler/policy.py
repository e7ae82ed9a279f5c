"""The rule of the queue: what may be started now, what waits, and why; no clock is read and nothing is asked here."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pyrotorque_scheduler.grant import Grant, Spent
from pyrotorque_scheduler.moments import Moment, elapsed

Reason: TypeAlias = Literal[
    "paused",
    "hours",
    "intermission",
    "pace",
    "no_slot",
    "traffic",
    "nothing_startable",
    "disk",
    "failed_before",
    "batch_full",
    "rpc",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers of one queue job, as the manual explains them."""

    downloading_max: int = 9
    downloading_min: int = 1
    start_at_once: int = 1
    intermission: float = 0.0
    max_down_rate: int = 0
    min_free: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A startable item in its turn; `need` is what it still has to download, `free` what its disk holds, if asked."""

    info_hash: str
    name: str
    loaded: float = 0.0
    need: int = 0
    free: int | None = None
    disk: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that did not start is left alone until `until`, so that it cannot use up every check."""

    until: float
    text: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class State:
    """What the queue remembers between checks; all of it survives a restart except `failures`."""

    last_batch: Moment | None = None
    spent: Spent = field(default_factory=Spent)
    paused: bool = False
    failures: Mapping[str, Failure] = field(default_factory=dict[str, Failure])


@dataclass(frozen=True, slots=True)
class Start:
    """This item is to be started."""

    info_hash: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is started, or not this item; `until` is when it is worth looking again without being told."""

    reason: Reason
    text: str
    until: float | None = None
    info_hash: str = ""
    name: str = ""


Decision: TypeAlias = Start | Hold


def closed(limits: Limits, state: State, granted: Grant, opens: float | None, now: Moment) -> Hold | None:
    """Why nothing may be started whatever rTorrent would answer; the hours of the job are open when `opens` is past."""
    if state.paused:
        return Hold("paused", "the job is paused: `pyrotorque resume` lets it run again")
    if opens is None or opens > now.wall:
        return Hold("hours", "outside the hours of this job", opens)
    since = elapsed(state.last_batch, now) if state.last_batch else None
    if since is not None and since < limits.intermission:
        wait = limits.intermission - since
        return Hold(
            "intermission", f"the last start was {since:.0f} s ago, intermission ends in {wait:.1f} s", now.wall + wait
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


class Disks:
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


def choose(
    candidates: Iterable[Candidate],
    count: int,
    disks: Disks,
    failures: Mapping[str, Failure],
    now: float,
    start: Callable[[Start], bool],
) -> Iterator[Decision]:
    """Go through the candidates in their order until `count` are started; `start` says whether one really did.

    An item that is held back, or fails to start, does not block those behind it and uses no slot.
    """
    started = 0
    for item in candidates:
        if started == count:
            yield Hold("batch_full", "the next one in the queue", info_hash=item.info_hash, name=item.name)
            return
        held = _held(item, failures, now) or disks.refusal(item)
        if held is not None:
            yield held
            continue
        decision = Start(item.info_hash, item.name, f"{started + 1} of {count} that may be started now")
        if start(decision):
            started += 1
            disks.promise(item)
            yield decision


def _held(item: Candidate, failures: Mapping[str, Failure], now: float) -> Hold | None:
    failure = failures.get(item.info_hash)
    if failure is None or failure.until <= now:
        return None
    text = f"failed to start ({failure.text}), tried again in {failure.until - now:.0f} s"
    return Hold("failed_before", text, failure.until, item.info_hash, item.name)


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
    count = room(limits, granted.left, downloading)
    disks = Disks(promised or {}, limits.min_free)
    decisions = list(choose(candidates, count, disks, state.failures, now.wall, lambda _: True))
    return decisions or [Hold("nothing_startable", "no item is startable")]


def after_start(state: State, granted: Grant, at: Moment) -> State:
    """The state after one more start of the batch at `at`."""
    fire = granted.fire if granted.fire is not None else at.wall
    return State(at, state.spent.and_one_more(fire), state.paused, state.failures)
