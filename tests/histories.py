"""The life of a queue as a list of events, over the pure policy alone."""

import math
from dataclasses import dataclass, field

from pyrotorque_scheduler.queue.explain_text import hold_text
from pyrotorque_scheduler.queue.model import Candidate, Hold, Instant, Limits, QueueStart, QueueState, grant
from pyrotorque_scheduler.queue.policy import after_start, batch_time, decide


@dataclass
class Every:
    """A schedule that fires each `seconds`, from `first` to `last` (included); `next_fire` is strictly later."""

    seconds: float = 15.0
    first: float = 0.0
    last: float = math.inf

    def next_fire(self, after: float) -> float | None:
        fire = self.first + max(0, math.floor((after - self.first) / self.seconds) + 1) * self.seconds
        return fire if fire <= self.last else None

    def smallest_gap(self) -> float:
        return self.seconds


@dataclass
class History:
    """What is queued and running, and what was started when."""

    limits: Limits
    schedule: Every
    waiting: list[Candidate] = field(default_factory=list[Candidate])
    running: list[str] = field(default_factory=list[str])
    started: list[str] = field(default_factory=list[str])
    times: list[float] = field(default_factory=list[float])
    reasons: list[str] = field(default_factory=list[str])
    state: QueueState = field(default_factory=QueueState)
    wall_error: float = 0.0
    opens: float | None = 0.0

    def queued(self, *names: str) -> "History":
        self.waiting += [Candidate(name, name) for name in names]
        return self

    def completes(self, *names: str) -> "History":
        self.running = [name for name in self.running if name not in names]
        return self

    def runs(self, *names: str) -> "History":
        """Items that the owner started."""
        self.running += names
        return self

    def clock_steps(self, seconds: float) -> "History":
        self.wall_error += seconds
        return self

    def step(self, at: float) -> "History":
        """A tick of the schedule."""
        return self._check(at, tick=True)

    def event(self, at: float) -> "History":
        """A hint between two ticks."""
        return self._check(at, tick=False)

    @property
    def reason(self) -> str:
        return self.reasons[-1]

    def _check(self, at: float, tick: bool) -> "History":
        now = Instant(at + self.wall_error, at, "boot")
        granted = grant(self.schedule, self.limits.start_at_once, self.state.used, now.wall)
        decisions = decide(self.waiting, len(self.running), self.limits, self.state, granted, now, opens=self.opens)
        batch_at = batch_time(granted, now, tick)
        for decision in decisions:
            if isinstance(decision, QueueStart):
                self._start(decision, at)
                self.state = after_start(self.state, granted, batch_at)
        holds = [decision for decision in decisions if isinstance(decision, Hold)]
        assert all(hold_text(hold, now.wall) for hold in holds), "each hold has a text"
        self.reasons.append(holds[0].reason if holds else "")
        return self

    def _start(self, decision: QueueStart, at: float) -> None:
        self.waiting = [item for item in self.waiting if item.info_hash != decision.info_hash]
        self.running.append(decision.info_hash)
        self.started.append(decision.info_hash)
        self.times.append(at)


def history(
    slots: int = 9,
    at_least: int = 1,
    at_once: int = 1,
    intermission: float = 0.0,
    every: float = 15.0,
    until: float = math.inf,
) -> History:
    limits = Limits(slots, at_least, at_once, intermission)
    return History(limits, Every(every, last=until))
